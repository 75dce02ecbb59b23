"""The reader's end of the relay."""

import asyncio
import contextvars
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
from gaji.mesh.v1 import relay_service_pb2 as pb
from gaji.mesh.v1 import relay_service_pb2_grpc as rpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from mesh.call_report import PLANNED, CallReport, told_of
from mesh.errors import Internal, MeshError, Unavailable, from_code, from_rpc_error, from_status
from mesh.gate import Gate
from mesh.relay.calls import WINDOW, PushedCall, RelayCall, Sink
from mesh.stillness import Stillness
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans import Span
from mesh.telemetry.spans.calls import end_attempt

log = get_logger(__name__)

MOST_OUTGOING = 10_000
"""Requests that wait for a peer to take them, beyond which no call is begun."""
SLICE = 16
"""Frames that are delivered in one turn of the loop: each is a system call at least, and others wait for their turn."""
REST_SECONDS = 2.0
STREAM_SECONDS = 30 * 24 * 3600.0  # no call lacks a deadline; at this one its readers have to come back


class RelayClient:
    """One relay stream to one replica, opened at the first call and again after it broke.

    Args:
        channel: a channel to that replica.
        gate: is asked before each call and hears how it went; None: there is none.
        stillness: looks after the calls for it.

    Attributes:
        draining: whether the replica has said that it is about to stop.
        offered: whether it offers the relay.
        heard_at: `time.monotonic` at the last batch.
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, gate: Gate | None = None, stillness: Stillness | None = None
    ) -> None:
        self._stub: Any = rpc.RelayServiceStub(channel)
        self._gate = gate
        self._stillness = stillness
        self._calls: dict[int, PushedCall] = {}
        self._numbers = itertools.count(1)
        self._outgoing: asyncio.Queue[pb.RelayRequest | None] = asyncio.Queue()
        self._waiting: deque[pb.Frame] = deque()  # bounded by the windows of the calls
        self._delivering: asyncio.Handle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._rest_until = 0.0
        self._closing = False
        self.draining = False
        self.offered = True
        self.heard_at = 0.0

    @property
    def active(self) -> int:
        """How many calls are running."""
        return len(self._calls)

    @property
    def resting(self) -> bool:
        """Whether the stream ended a moment ago: calls had better go elsewhere, if there is an elsewhere."""
        return self._rest_until > time.monotonic()

    def open(
        self,
        method: str,
        request: bytes,
        *,
        metadata: Mapping[str, str],
        timeout: float,
        format: pb.FrameFormat = pb.FRAME_FORMAT_SSE,  # noqa: A002 - the contract's name
    ) -> RelayCall:
        """Begins a call that is iterated; the arguments are those of `push`."""
        call = RelayCall()
        return call.begin(self.push(method, request, call, metadata=metadata, timeout=timeout, format=format))

    def push(
        self,
        method: str,
        request: bytes,
        sink: Sink,
        *,
        metadata: Mapping[str, str],
        timeout: float,
        format: pb.FrameFormat = pb.FRAME_FORMAT_SSE,  # noqa: A002 - the contract's name
        span: Span | None = None,
    ) -> PushedCall:
        """Begins a call whose output is handed to a sink.

        Args:
            method: its path, ``"/package.Service/Method"``.
            request: the request, serialized.
            sink: hears of its output and its end, and never before this returns.
            metadata: text metadata.
            timeout: its deadline in seconds from now.
            format: how its output is formatted.
            span: of this attempt, which ends with the call; None: nothing is recorded.

        Raises:
            MeshError: the gate is shut.
            Unavailable: the peer has not taken thousands of requests that were made before.
        """
        if self._outgoing.qsize() >= MOST_OUTGOING:
            raise Unavailable("the service does not take requests; try again", reason="RELAY_STUCK", retry_after=1.0)
        report = None if self._gate is None else CallReport(self._gate, method)
        if self._reading is None or self._reading.done():
            self._outgoing = asyncio.Queue()
            self._reading = asyncio.create_task(
                self._run(self._outgoing),
                context=contextvars.Context(),  # the stream is nobody's: not with the token of its first reader
            )
        call_id = next(self._numbers)
        call = self._calls[call_id] = PushedCall(self, call_id, sink)
        call.report, call.method, call.span = report, method, span
        if report is not None and self._stillness is not None:
            self._stillness.add(call)
        opening = pb.OpenCall(
            method=method,
            request=request,
            metadata=metadata,
            timeout_ms=max(1, round(timeout * 1000)),
            format=format,
            window_bytes=WINDOW,
        )
        self.send(pb.RelayRequest(call_id=call_id, open=opening))
        return call

    def send(self, request: pb.RelayRequest) -> None:
        """Queues a request: a call makes few of them, and calls are bounded in `push` where the peer takes none."""
        self._outgoing.put_nowait(request)

    def forget(self, call_id: int) -> None:
        """Cancels a call at the producer."""
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._reported(call, None)
            if call.span is not None:
                end_attempt(call.span, grpc.StatusCode.CANCELLED, left=True)
            self.send(pb.RelayRequest(call_id=call_id, cancel=pb.CancelCall()))

    async def close(self) -> None:
        """Ends the stream and, with UNAVAILABLE, the calls on it."""
        self._closing = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._end_all(Unavailable("the relay is closed", reason="RELAY_CLOSED"))  # calls of a stream never begun

    async def _run(self, outgoing: asyncio.Queue[pb.RelayRequest | None]) -> None:
        error: MeshError = Unavailable("the connection to the service has ended; try again", reason="RELAY_CLOSED")
        call = self._stub.Relay(_drained(outgoing), timeout=STREAM_SECONDS)
        try:
            async for batch in call:
                if batch.draining:
                    self.draining = True
                self.heard_at = time.monotonic()
                self._sort(batch.frames)
        except grpc.aio.AioRpcError as failed:
            self.offered = failed.code() is not grpc.StatusCode.UNIMPLEMENTED
            log.warning(
                "a relay stream broke",
                extra={"code": failed.code().name, "error": failed.details(), "calls": len(self._calls)},
            )
            told = from_rpc_error(failed)
            if told.reason != failed.code().name:
                error = told  # otherwise it is the transport's own words, which are for logs
        finally:
            call.cancel()
            self.draining = False  # whoever is there next time has not said so
            self._rest_until = time.monotonic() + REST_SECONDS
            outgoing.put_nowait(None)  # of a call that its peer has ended, gRPC would wait for requests for ever
            try:
                self._deliver_some(len(self._waiting))
            finally:
                self._end_all(error)

    def _end_all(self, error: MeshError) -> None:
        calls, self._calls = self._calls, {}
        code = None if self._closing or error.reason in PLANNED else error.code
        for call in calls.values():
            self._reported(call, code)
            if call.span is not None:
                end_attempt(call.span, error.code)
            code = None  # one connection was lost, however many calls were on it
            _end(call, error)

    def _reported(self, call: PushedCall, code: grpc.StatusCode | None) -> None:
        """A call has ended; None: by its reader, or otherwise without a word on the peer."""
        if call.report is not None:
            call.report.done(code, call.heard_at)
            if self._stillness is not None:
                self._stillness.discard(call)

    def _sort(self, frames: Iterable[pb.Frame]) -> None:
        """Delivers first output, for which somebody waits; then the rest, with pauses in which such output may come."""
        begun = False
        for frame in frames:
            call = self._calls.get(frame.call_id)
            if call is not None and not call.begun:
                self._deliver(frame)
                begun = True
            elif call is not None:
                self._waiting.append(frame)
        if self._waiting and self._delivering is None:
            if begun:  # whoever begins an answer with it does so first
                self._delivering = asyncio.get_running_loop().call_soon(self._deliver_some)
            else:
                self._deliver_some()

    def _deliver_some(self, count: int = SLICE) -> None:
        waiting = self._waiting
        try:
            for _ in range(min(count, len(waiting))):
                self._deliver(waiting.popleft())
        finally:
            self._delivering = asyncio.get_running_loop().call_soon(self._deliver_some) if waiting else None

    def _deliver(self, frame: pb.Frame) -> None:
        call = self._calls.get(frame.call_id)
        if call is None:  # cancelled meanwhile
            return
        data = frame.data
        if data:
            call.heard_at = self.heard_at
            if not call.begun:
                call.begin()
            try:
                if call.sink.data(data):
                    call.passed_on(len(data))
                else:
                    call.owed += len(data)
            except Exception:
                log.exception("a relayed call's sink failed")  # the other calls on the stream have done nothing wrong
                call.cancel()
                _end(call, Internal("something went wrong on our side; the request id is in the logs"))
                return
        # Its sink may have cancelled it just now.
        if frame.HasField("status") and self._calls.pop(frame.call_id, None) is not None:
            error = _error(frame.status)
            code = grpc.StatusCode.OK if error is None else error.code
            self._reported(call, told_of(code, error, call.method))
            if call.span is not None:
                end_attempt(call.span, code)
            _end(call, error)


def _end(call: PushedCall, error: MeshError | None) -> None:
    try:
        call.sink.end(error)
    except Exception:
        log.exception("a relayed call's sink failed at its end")


async def _drained(outgoing: asyncio.Queue[pb.RelayRequest | None]) -> AsyncIterator[pb.RelayRequest]:
    while (request := await outgoing.get()) is not None:
        yield request


def _error(status: pb.CallStatus) -> MeshError | None:
    if status.code == 0:
        return None
    if status.details:
        try:
            return from_status(status_pb2.Status.FromString(status.details))
        except DecodeError:
            log.warning("the details of a status cannot be read", extra={"status": status.code})
    return from_code(status.code, f"status {status.code}")
