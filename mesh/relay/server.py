"""The producer's end of the relay."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from gaji.mesh.v1 import relay_service_pb2 as pb
from gaji.mesh.v1 import relay_service_pb2_grpc as rpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from mesh import deadlines, sse
from mesh.errors import Aborted, Internal, InvalidArgument, MeshError, Unavailable, Unimplemented
from mesh.interceptors.pipeline import Call, Pipeline, Stream
from mesh.streams import Feed, Shared, shared_once
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH_SECONDS = 0.003
LARGE_BATCH_SECONDS = 0.008
FRAME_SECONDS = 0.0005
"""So much longer for each frame of a batch the next one waits, within these: what a message costs is much by then."""
BEAT_SECONDS = 5.0
"""After so long without a batch an empty one says that the server lives."""
MAX_WINDOW = 4 * 1024 * 1024
MIN_WINDOW = 1024

Format = Callable[[Any], bytes]
FormatFactory = Callable[[Descriptor], Format]
"""From a response type to the function that formats its messages."""
FORMATS: Mapping[int, FormatFactory] = {pb.FRAME_FORMAT_SSE: sse.formatter}


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """A server-streaming method: its handler, how its request is read, and its response's type."""

    handler: Stream
    parse: Callable[[bytes], Any]
    response: Descriptor


def pause_after(frames: int) -> float:
    """Seconds until the next batch, after one of so many frames, if nothing in it is urgent."""
    return min(LARGE_BATCH_SECONDS, max(BATCH_SECONDS, frames * FRAME_SECONDS))


class RelayServicer(rpc.RelayServiceServicer):
    """Runs the server-streaming methods of a server for relays.

    Args:
        methods: path -> method, of all server-streaming methods.
        pipeline: what stands around each call, the same as around plain ones.
    """

    def __init__(self, methods: Mapping[str, "StreamMethod"], pipeline: Pipeline) -> None:
        self._methods = methods
        self._pipeline = pipeline
        self._sessions: set[_Session] = set()
        self._draining = False

    async def Relay(  # noqa: N802, D102 - the contract's name, documented there
        self, request_iterator: AsyncIterator[pb.RelayRequest], context: Any
    ) -> AsyncGenerator[pb.RelayResponse, None]:
        session = _Session(self._start)
        self._sessions.add(session)
        reading = asyncio.create_task(session.read(request_iterator))
        reading.add_done_callback(session.input_over)
        try:
            if self._draining:
                session.drain()
            async for batch in session.batches():
                yield batch
        finally:
            self._sessions.discard(session)
            reading.cancel()
            await session.close()

    def drain(self) -> None:
        """Tells every relay to take new calls elsewhere; streams end when their last call has ended."""
        self._draining = True
        for session in self._sessions:
            session.drain()

    def _start(self, opening: pb.OpenCall, emit: "_Outlet") -> "asyncio.Task[None]":
        return asyncio.create_task(self._run(opening, emit))

    async def _run(self, opening: pb.OpenCall, outlet: "_Outlet") -> None:
        error: MeshError | None = None
        try:
            await self._answer(opening, outlet)
        except MeshError as failed:
            error = failed
        except grpc.aio.AbortError:
            error = Internal("the call was aborted")
        except Exception:
            log.exception("a relayed call failed outside its handler", extra={"method": opening.method})
            error = Internal("something went wrong on our side; the request id is in the logs")
        outlet.end(error)

    async def _answer(self, opening: pb.OpenCall, outlet: "_Outlet") -> None:
        method, factory = self._methods.get(opening.method), FORMATS.get(opening.format)
        if method is None:
            raise Unimplemented(f"{opening.method} is not a server-streaming method of this server")
        if factory is None:
            raise InvalidArgument("the format is not offered", fields={"format": "use FRAME_FORMAT_SSE"})
        if not MIN_WINDOW <= opening.window_bytes <= MAX_WINDOW:
            text = f"is {opening.window_bytes:,}; give {MIN_WINDOW:,} to {MAX_WINDOW:,}"
            raise InvalidArgument(f"window_bytes {text}", fields={"window_bytes": text})
        if self._draining:
            raise Unavailable("this server is about to stop", reason="DRAINING")
        format_ = shared_once(factory(method.response))
        seconds = opening.timeout_ms / 1000 or None
        call = Call(opening.method, opening.metadata, seconds, streaming=True)

        async def write(message: Any) -> None:
            await outlet.write(format_(message))

        async def follow(feed: Feed, call: Call) -> None:
            await outlet.follow(feed, call, format_)

        try:
            async with asyncio.timeout(seconds):
                await self._pipeline.stream(
                    call,
                    method.handler,
                    opening.request,
                    method.parse,
                    context=RelayContext(call),
                    write=write,
                    follow=follow,
                )
        except TimeoutError as error:
            raise deadlines.expired(seconds or 0.0, opening.method) from error


class RelayContext:
    """What a handler may ask of its call; the part of ``grpc.aio.ServicerContext`` that makes sense here."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """The metadata that came with the call."""
        return tuple(self._call.metadata.items())

    def time_remaining(self) -> float | None:
        """Seconds left; None: no limit."""
        left = self._call.seconds_left
        return None if left is None else left - (time.perf_counter() - self._call.started)


class _Outlet:
    """Where a call's output goes: into its session's next batch, within its window."""

    def __init__(self, session: "_Session", call_id: int, window: int) -> None:
        self._session = session
        self._call_id = call_id
        self._size = self._window = window
        self._room = asyncio.Event()
        self._room.set()
        self._begun = False
        self._more: Callable[[], None] | None = None

    async def write(self, data: bytes) -> None:
        """Hands data on; returns when there is room for more."""
        self._put(data)
        if self._window <= 0:
            self._room.clear()
            await self._room.wait()

    async def follow(self, feed: Feed, call: Call, format_: Format) -> None:
        """Hands on what a feed has whenever there is something, and room; returns when the feed is over."""
        over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        source, take, sent = feed.source, feed.take, call.sent

        def more() -> None:
            """Runs wherever the feed's source has grown: in the midst of somebody else's work, so it never fails."""
            if over.done():
                return
            try:
                while self._window > 0:
                    message = take()
                    if message is None:
                        if source.over:
                            over.set_result(None)
                        return
                    self._put(format_(message), urgent=type(message) is Shared and message.urgent)
                    sent()
            except Exception as error:  # noqa: BLE001 - raised in the call's own task, below
                over.set_result(error)

        self._more = more
        source.listen(more)
        try:
            more()
            error = await over
        finally:
            source.leave(more)
            self._more = None
        if error is not None:
            raise error

    def _put(self, data: bytes, *, urgent: bool = False) -> None:
        self._session.put(self._call_id, data, urgent=urgent or not self._begun)
        self._begun = True
        self._window -= len(data)

    def credit(self, count: int) -> None:
        self._window = min(self._window + count, self._size)  # nobody has read more than was sent
        if self._window > 0:
            self._room.set()
            if self._more is not None:
                self._more()

    def end(self, error: MeshError | None) -> None:
        if error is None:
            status = pb.CallStatus()
        else:
            status = pb.CallStatus(code=error.code.value[0], details=error.to_status().SerializeToString())
        self._session.end(self._call_id, status)


class _Session:
    """One relay stream: its calls, and the batch that is being filled."""

    def __init__(self, start: Callable[[pb.OpenCall, _Outlet], "asyncio.Task[None]"]) -> None:
        self._start = start
        # As many as the limit lets begin at once and gateways have streams (GAJI_MAX_STREAMS); each has a window.
        self._calls: dict[int, tuple[asyncio.Task[None], _Outlet]] = {}
        self._pending: dict[int, list[bytes]] = {}
        self._ended: dict[int, pb.CallStatus] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self._draining = False
        self._told = False
        self._input_over = False
        self._refusal: BaseException | None = None

    async def read(self, requests: AsyncIterator[pb.RelayRequest]) -> None:
        """Does what the relay asks for until it asks no more.

        Raises:
            InvalidArgument: what it sends is no request.
            Aborted: it opens a call anew while that is running.
        """
        try:
            await self._read(requests)
        except DecodeError as error:
            raise InvalidArgument("what was sent is no RelayRequest", reason="MALFORMED_MESSAGE") from error

    def input_over(self, reading: "asyncio.Task[None]") -> None:
        """Ends the stream: when the last call has ended or, if what was asked cannot be done, at once."""
        if not reading.cancelled():
            self._refusal = reading.exception()
        self._input_over = True
        self._wake()

    async def _read(self, requests: AsyncIterator[pb.RelayRequest]) -> None:
        async for request in requests:
            action = request.WhichOneof("action")
            running = self._calls.get(request.call_id)
            if action == "open" and running is None:
                outlet = _Outlet(self, request.call_id, request.open.window_bytes)
                self._calls[request.call_id] = (self._start(request.open, outlet), outlet)
            elif action == "open":
                raise Aborted(f"call {request.call_id} is open already")
            elif running is not None and action == "credit":
                running[1].credit(request.credit.bytes)
            elif running is not None and action == "cancel":
                self._calls.pop(request.call_id)
                self._cancel(running[0])
                self._pending.pop(request.call_id, None)
                self._ended.pop(request.call_id, None)

    def put(self, call_id: int, data: bytes, *, urgent: bool) -> None:
        """Adds output of a call to the next batch."""
        if call_id not in self._calls:  # cancelled meanwhile
            return
        parts = self._pending.get(call_id)
        if parts is not None:
            parts.append(data)
        elif urgent:  # before what others wait for less: a batch is written reader by reader
            self._pending = {call_id: [data], **self._pending}
        else:
            self._pending[call_id] = [data]
        if urgent:
            self._wake()
        elif self._timer is None and not self._due.is_set():
            self._timer = self._loop.call_at(self._next_at, self._wake)

    def end(self, call_id: int, status: pb.CallStatus) -> None:
        """Adds the end of a call to the next batch."""
        if self._calls.pop(call_id, None) is not None:
            self._ended[call_id] = status
            self._wake()

    def drain(self) -> None:
        """Tells the relay, and ends the stream when the last call has ended."""
        self._draining = True
        self._wake()

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.set()

    async def batches(self) -> AsyncGenerator[pb.RelayResponse, None]:
        """Batches, so far apart as `pause_after` says unless something is urgent, and one at least in `BEAT_SECONDS`.

        Raises:
            MeshError: what `read` raises.
        """
        while self._refusal or not ((self._told or self._input_over) and self._idle()):
            if not self._due.is_set() and not await self._news():
                yield pb.RelayResponse()
                continue
            if self._refusal is not None:
                raise self._refusal
            self._due.clear()
            batch = self._take()
            self._next_at = self._loop.time() + pause_after(len(batch.frames))
            if batch.frames or batch.draining:
                yield batch

    async def _news(self) -> bool:
        """Whether there is something to say before it is time to say that nothing is wrong."""
        silent = False

        def beat() -> None:
            nonlocal silent
            silent = True
            self._due.set()

        timer = self._loop.call_later(BEAT_SECONDS, beat)  # a sixth of what `asyncio.timeout` costs each batch
        try:
            await self._due.wait()
        finally:
            timer.cancel()
        return not silent

    def _idle(self) -> bool:
        return not (self._calls or self._pending or self._ended)

    def _take(self) -> pb.RelayResponse:
        pending, ended = self._pending, self._ended
        self._pending, self._ended = {}, {}
        self._told = self._draining
        batch = pb.RelayResponse(draining=self._draining)
        add = batch.frames.add
        for call_id, parts in pending.items():
            frame = add()  # and filled in place, which takes half as long as by arguments
            frame.call_id = call_id
            frame.data = parts[0] if len(parts) == 1 else b"".join(parts)
            if ended and (last := ended.pop(call_id, None)) is not None:
                frame.status.CopyFrom(last)
        for call_id, status in ended.items():
            add(call_id=call_id, status=status)
        return batch

    async def close(self) -> None:
        """Ends what still runs."""
        self._wake()
        for task, _ in self._calls.values():
            self._cancel(task)
        self._calls.clear()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _cancel(self, task: "asyncio.Task[None]") -> None:
        self._leaving.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._leaving.discard)
        task.cancel()
