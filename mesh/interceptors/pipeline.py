"""One interceptor that runs every handler inside a stack of context managers.

A stack of gRPC interceptors would wrap each stream in as many generators and cost each message as many hops. Here a
message passes one frame, however much stands around the call.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias

import grpc

from mesh.errors import MeshError
from mesh.streams import Feed, shared_once
from mesh.telemetry import rpc_metrics
from mesh.wire import parsed

# The classes are generic in the stubs alone; a handler is None where a method is not offered.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Unary = Callable[[Any, Any], Awaitable[Any]]
Parse = Callable[[bytes], Any]
Write = Callable[[Any], Awaitable[None]]
Follow = Callable[[Feed, "Call"], Awaitable[None]]
Stream = Callable[[Any, Any], AsyncGenerator[Any, None]]


@dataclass(slots=True)
class Call:
    """A call that is being answered.

    Attributes:
        method: its path, ``"/package.Service/Method"``.
        metadata: what came with it; of repeated keys the last.
        seconds_left: what its caller gives it; None: no limit.
        streaming: whether the answer is a stream.
        started: `time.perf_counter` at its arrival.
        messages: messages sent so far, on a stream.
        peer: whose connection it came on, as gRPC names it; empty: not known.
        began: called when a stream's first message has been sent.
    """

    method: str
    metadata: Mapping[str, str | bytes]
    seconds_left: float | None
    streaming: bool
    started: float = field(default_factory=time.perf_counter)
    messages: int = 0
    first_message: float | None = None
    peer: str = ""
    began: Callable[[], None] | None = None

    @property
    def late(self) -> bool:
        """Whether its caller waits no longer."""
        return self.seconds_left is not None and time.perf_counter() - self.started >= self.seconds_left

    def sent(self) -> None:
        """A message of a stream has gone out."""
        if not self.messages:
            self.first_message = time.perf_counter()
            if self.began is not None:
                self.began()
        self.messages += 1

    def text(self, key: str) -> str | None:
        """A text value of the metadata."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None


# Health and reflection are asked every few seconds, by anybody, and their handlers are of other shapes.
_OTHERS = "/grpc."
_HEALTH = "/grpc.health."

Around = Callable[[Call], AbstractContextManager[None] | None]
"""What stands around a call; None: it was done at the call's beginning, and there is nothing to do at its end."""
Before = Callable[[Call], Awaitable[None] | None]
"""What a call may have to wait for; None: nothing, as nearly always."""


class _Entered:
    """What `contextlib.ExitStack` does for context managers that swallow nothing, at half of the steps."""

    __slots__ = ("_managers",)

    def __init__(self) -> None:
        self._managers: list[AbstractContextManager[None]] = []

    def enter(self, manager: AbstractContextManager[None]) -> None:
        manager.__enter__()
        self._managers.append(manager)

    def __enter__(self) -> "_Entered":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told = error
        while self._managers:
            try:
                self._managers.pop().__exit__(kind, error, trace)
            except BaseException as raised:  # noqa: BLE001 - raised below, when all have been left
                kind, error, trace = type(raised), raised, raised.__traceback__
        if error is not None and error is not told:
            raise error


class Pipeline(grpc.aio.ServerInterceptor):
    """Runs handlers inside the given context managers, the first outermost, and ends calls with a typed status.

    Unary handlers are coroutine functions, streaming ones give async generators; both take and give messages. A stream
    may have a `Feed` in place of messages that come by themselves.

    Args:
        arounds: what stands around each call.
        before: what a call waits for first, if it must.
        authenticate: notes who has opened a call's connection. With it, nothing but health goes untouched.
    """

    def __init__(
        self,
        arounds: Sequence[Around],
        before: Before | None = None,
        authenticate: Callable[[Context], None] | None = None,
    ) -> None:
        self._arounds = tuple(arounds)
        self._before = before
        self._authenticate = authenticate
        self._untouched = _OTHERS if authenticate is None else _HEALTH
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}  # as many as the server offers methods

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wraps the handler of a call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(self._untouched):  # None: gRPC answers UNIMPLEMENTED
            if handler is None:
                rpc_metrics.not_offered()
            return handler
        wrapped = self._wrapped.get(method)
        if wrapped is None or wrapped[0] is not handler:
            wrapped = self._wrapped[method] = handler, self._wrap(method, handler)
        return wrapped[1]

    def _wrap(self, method: str, handler: Any) -> Handler:
        # The stubs type handlers as of the synchronous server; ours are asynchronous.
        shapes = ("unary", "stream")
        shape = f"{shapes[handler.request_streaming]}_{shapes[handler.response_streaming]}"
        inner: Any = getattr(handler, shape)
        wrap = self._streaming if handler.response_streaming else self._unary
        make: Any = getattr(grpc, f"{shape}_rpc_method_handler")
        # Requests are parsed here: gRPC itself would call one that does not parse an INTERNAL error.
        parse, read = handler.request_deserializer, None
        if handler.request_streaming:
            parse, read = read, parse
        serializer: Any = handler.response_serializer
        if handler.response_streaming and serializer is not None:
            serializer = shared_once(serializer)
        wrapped: Handler = make(wrap(method, inner, parse), read, serializer)
        return wrapped

    def _unary(self, method: str, inner: Unary, parse: Parse | None) -> Unary:
        async def run(request: Any, context: Context) -> Any:
            try:
                call = self._call(method, context, streaming=False)
                if self._before is not None and (wait := self._before(call)) is not None:
                    await wait
                with _Entered() as entered:
                    self._enter(entered, call)
                    return await inner(request if parse is None else parsed(parse, request), context)
            except MeshError as error:
                await _abort(context, error)

        return run

    def _streaming(self, method: str, inner: Stream, parse: Parse | None) -> Unary:
        async def run(request: Any, context: Context) -> None:
            try:
                call = self._call(method, context, streaming=True)
                await self.stream(call, inner, request, parse, context=context, write=context.write, follow=None)
            except MeshError as error:
                await _abort(context, error)

        return run

    async def stream(
        self,
        call: Call,
        inner: Stream,
        request: Any,
        parse: Parse | None,
        *,
        context: Any,
        write: Write,
        follow: Follow | None,
    ) -> None:
        """Runs a streaming handler and writes its messages.

        Written with a `write` instead of as a generator: a cancellation then arrives in this frame wherever the call
        stands, and the handler is closed at once and in its own task, not by the garbage collector in another.

        Raises:
            MeshError: the call's end, when it is not OK.
        """
        if self._before is not None and (wait := self._before(call)) is not None:
            await wait
        with _Entered() as entered:
            self._enter(entered, call)
            message = request if parse is None else parsed(parse, request)
            async with aclosing(inner(message, context)) as messages:
                async for answer in messages:
                    if type(answer) is not Feed:
                        await write(answer)
                        call.sent()
                    elif follow is not None:
                        await follow(answer, call)
                    else:
                        await _written(answer, call, write)

    def _enter(self, entered: "_Entered", call: Call) -> None:
        for around in self._arounds:
            if (manager := around(call)) is not None:
                entered.enter(manager)

    def _call(self, method: str, context: Context, *, streaming: bool) -> Call:
        if self._authenticate is not None:
            self._authenticate(context)
        metadata, peer = dict(context.invocation_metadata() or ()), "" if streaming else context.peer()
        return Call(method, metadata, context.time_remaining(), streaming, peer=peer)


async def _written(feed: Feed, call: Call, write: Write) -> None:
    """Writes what a feed has, until it is over."""
    news = asyncio.Event()
    feed.source.listen(news.set)
    try:
        while True:
            news.clear()
            while (message := feed.take()) is not None:
                await write(message)
                call.sent()
            if feed.source.over:
                return
            await news.wait()
    finally:
        feed.source.leave(news.set)


async def _abort(context: Context, error: MeshError) -> None:
    await context.abort(error.code, error.short_message, error.trailing_metadata())
