"""Calls to peers: each attempt asks the gate, says how it went, and may be followed by another.

A call to which none of this applies (of the mesh's own services, or of gRPC's: relays, health) is gRPC's own object.
Messages of the others pass one frame of ours, in the place of one of gRPC's.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

import grpc

from mesh import retries
from mesh.attempts import Earlier, Metadata, Method, Sent, ended
from mesh.call_report import CallReport
from mesh.deadlines import typed_rpc_error
from mesh.errors import MeshError
from mesh.telemetry.spans import Span, calls


class Attempts(ABC):
    """What unary and streaming calls have in common: one attempt after the other, each with a permit.

    Args:
        method: whose call it is.
        request: the message, or for client streams the iterator.
        seconds: its deadline, for all attempts together.
        metadata: whole.
        options: of ``grpc.aio``.
    """

    __slots__ = (
        "_call",
        "_deadline",
        "_earlier",
        "_metadata",
        "_method",
        "_options",
        "_pausing",
        "_request",
        "_retry",
        "_seconds",
    )

    def __init__(
        self, method: Method, request: Any, seconds: float, metadata: Metadata, options: Mapping[str, Any]
    ) -> None:
        self._method = method
        self._request = request
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._metadata = metadata
        self._options = options
        self._retry = 0
        self._earlier: Earlier | None = None
        self._pausing: asyncio.Future[None] | None = None
        self._call: Any = self._attempt(seconds)
        if method.retries is not None:  # and the gate has let it through
            method.retries.budget.called()

    def __getattr__(self, name: str) -> Any:
        """Everything else that may be asked of a call is the attempt's to answer."""
        return getattr(self._call, name)

    def cancel(self) -> bool:
        """Ends the call; False when it had ended."""
        if self._pausing is not None and not self._pausing.done():
            self._pausing.cancel()
            return True
        return bool(self._call.cancel())

    @abstractmethod
    def _attempt(self, seconds: float) -> Any:
        """Begins one.

        Raises:
            MeshError: the gate is shut.
        """

    def _begin(self, seconds: float, span: Span | None) -> Any:
        self._method.called.started += 1
        metadata = retries.with_previous(self._metadata, self._retry)
        if span is not None:
            metadata = calls.carrying(metadata, span)
        return self._method.multicallable(self._request, timeout=seconds, metadata=Sent(metadata), **self._options)

    async def _again(self, error: grpc.aio.AioRpcError, *, counted: bool) -> None:
        """Makes the call again after a pause.

        Args:
            error: how it failed.
            counted: whether its end is in the metrics already.

        Raises:
            grpc.aio.AioRpcError: it is not made again; what the failed attempt said, in words for people.
        """
        method, left = self._method, self._deadline - time.monotonic() - self._method.margin
        pause = None if method.retries is None else method.retries.pause(method.path, error, self._retry, left)
        if pause is None:
            if not counted:
                self._over(error.code())
            raise typed_rpc_error(error, method.path, self._seconds) from None
        loop = asyncio.get_running_loop()
        self._pausing = loop.create_future()  # and not sleep: `cancel` reaches it
        timer = loop.call_later(pause, _wake, self._pausing)
        try:
            await self._pausing
        except asyncio.CancelledError:
            self._over(grpc.StatusCode.CANCELLED)
            raise
        finally:
            timer.cancel()
            self._pausing = None
        before, self._retry = self._earlier, self._retry + 1
        waited = pause + (before.delay if before is not None else 0.0)
        self._earlier = Earlier(self._deadline - self._seconds, self._retry, waited)
        try:
            self._call = self._attempt(max(0.001, self._deadline - time.monotonic()))
        except MeshError:  # the circuit has opened meanwhile: what the peer said last says more
            self._earlier = before
            self._over(error.code())
            raise typed_rpc_error(error, method.path, self._seconds) from None
        retries.note_retry(method.path)

    def _over(self, code: grpc.StatusCode) -> None:
        """Counts the end of a call whose last attempt could have been followed by another."""
        seconds = time.monotonic() - (self._deadline - self._seconds)
        _, count, delay = self._earlier or (0.0, 0, 0.0)
        self._method.called.ended(code, seconds, count, delay)


class UnaryCall(Attempts):
    """A call that is awaited once. Its first attempt has begun already."""

    __slots__ = ()

    def _attempt(self, seconds: float) -> Any:
        method = self._method
        permit = None if method.gate is None else method.gate.acquire(method.path)
        span = calls.begin_attempt(method.path, self._retry)
        started = time.perf_counter()
        try:
            call = self._begin(seconds, span)
        except BaseException:
            if permit is not None:
                permit.end(None, 0.0)
            raise
        call.add_done_callback(partial(ended, method, permit, started, self._earlier, span=span))
        return call

    def __await__(self) -> Generator[Any, Any, Any]:
        while True:
            try:
                return (yield from self._call.__await__())
            except grpc.aio.AioRpcError as error:
                failed = error
            counted = not self._method.may_follow(failed.code())
            yield from self._again(failed, counted=counted).__await__()


class StreamCall(Attempts):
    """A call whose messages are read one by one. It is never made again once one has come."""

    __slots__ = ("_watch",)

    def __aiter__(self) -> "StreamCall":
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message

    async def read(self) -> Any:
        """The next message; `grpc.aio.EOF` after the last.

        Raises:
            grpc.aio.AioRpcError: the call has failed.
        """
        while True:
            watch = self._watch
            watch.since = time.monotonic()
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                failed = error
            else:
                if not watch.begun:
                    watch.begin()
                return message
            finally:
                watch.since = 0.0
            if watch.begun:
                if not watch.counted:  # it ended before its reader had looked at its first message
                    self._over(failed.code())
                raise typed_rpc_error(failed, self._method.path, self._seconds) from None
            await self._again(failed, counted=watch.counted)

    def _attempt(self, seconds: float) -> Any:
        method = self._method
        span = calls.begin_attempt(method.path, self._retry)
        report = None if method.gate is None else CallReport(method.gate, method.path)
        watch = _Watch(method, report, self._earlier, span)
        try:
            call = self._begin(seconds, span)
        except BaseException:
            watch.leave()
            raise
        self._watch = watch
        call.add_done_callback(watch.done)
        return call


class _Watch:
    """One attempt of a stream. It does not hold the call, which its reader may have forgotten."""

    __slots__ = ("_earlier", "_method", "_report", "_span", "_started", "begun", "counted", "since")

    def __init__(self, method: Method, report: CallReport | None, earlier: Earlier | None, span: Span | None) -> None:
        self._method = method
        self._span = span
        self._report = report
        self._earlier = earlier
        self._started = time.perf_counter()
        self.begun = self.counted = False
        self.since = 0.0  # its reader waits since then
        if report is not None:
            method.stillness.add(self)

    def waiting_since(self) -> float:
        """Since when its reader waits."""
        return self.since

    def stands_still(self, seconds: float) -> None:
        """Tells the gate."""
        if self._report is not None:
            self._report.stands_still(seconds)

    def begin(self) -> None:
        """The first message is there, or there will be none."""
        self.begun = True
        if self._span is not None:
            self._span.event(calls.FIRST_MESSAGE)
        if self._report is not None:
            self._report.begin()

    def done(self, call: Any) -> None:
        """The attempt has ended."""
        said, self.counted = ended(
            self._method, None, self._started, self._earlier, call, begun=self.begun, span=self._span
        )
        self._over(said)

    def leave(self) -> None:
        """The attempt was not even begun."""
        self._over(None)

    def _over(self, code: grpc.StatusCode | None) -> None:
        if self._report is not None:
            self._report.done(code, self.since)
            self._method.stillness.discard(self)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
