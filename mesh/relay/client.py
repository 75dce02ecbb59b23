"""The reader's end of the relay."""

import asyncio
import contextvars
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from gaji.mesh.v1 import relay_service_pb2 as pb
from gaji.mesh.v1 import relay_service_pb2_grpc as rpc
from google.rpc import status_pb2

from mesh.errors import MeshError, Unavailable, from_code, from_rpc_error, from_status
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

WINDOW = 256 * 1024
STREAM_SECONDS = 30 * 24 * 3600.0  # no call lacks a deadline; at this one its readers have to come back


class RelayCall:
    """One call: an async iterator of formatted output, joined from what has come since the last look.

    Iterating raises the call's `MeshError` after its last output. Leave it by `cancel`, always.
    """

    merges = True  # what is ready together comes together

    def __init__(self, client: "RelayClient", call_id: int) -> None:
        self._client = client
        self._call_id = call_id
        self._parts: list[bytes] = []
        self._taken = 0
        self._ended = False
        self._error: MeshError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if not self._ended:
            self._taken += len(data)
            if self._taken >= WINDOW // 2:
                self._client.send(pb.RelayRequest(call_id=self._call_id, credit=pb.Credit(bytes=self._taken)))
                self._taken = 0
        return data

    def cancel(self) -> None:
        """Ends the call, at the producer as well; without effect when it has ended."""
        if not self._ended:
            self.end(None)
            self._client.forget(self._call_id)

    def feed(self, data: bytes) -> None:
        """Output has come."""
        self._parts.append(data)
        self._wake()

    def end(self, error: MeshError | None) -> None:
        """The call has ended."""
        self._ended, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class RelayClient:
    """One relay stream to one replica, opened at the first call and again after it broke.

    Args:
        channel: a channel to that replica.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = rpc.RelayServiceStub(channel)
        self._calls: dict[int, RelayCall] = {}
        self._numbers = itertools.count(1)
        self._outgoing: asyncio.Queue[pb.RelayRequest | None] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self.draining = False
        self.offered = True

    @property
    def active(self) -> int:
        """How many calls are running."""
        return len(self._calls)

    def open(
        self,
        method: str,
        request: bytes,
        *,
        metadata: Mapping[str, str],
        timeout: float,
        format: pb.FrameFormat = pb.FRAME_FORMAT_SSE,  # noqa: A002 - the contract's name
    ) -> RelayCall:
        """Begins a call.

        Args:
            method: its path, ``"/package.Service/Method"``.
            request: the request, serialized.
            metadata: text metadata.
            timeout: its deadline in seconds from now.
            format: how its output is formatted.
        """
        if self._reading is None or self._reading.done():
            self.draining = False
            self._outgoing = asyncio.Queue()
            self._reading = asyncio.create_task(
                self._run(self._outgoing),
                context=contextvars.Context(),  # the stream is nobody's: not with the token of its first reader
            )
        call_id = next(self._numbers)
        call = self._calls[call_id] = RelayCall(self, call_id)
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
        """Queues a request; a call makes few of them, so the queue is bounded by the calls."""
        self._outgoing.put_nowait(request)

    def forget(self, call_id: int) -> None:
        """Cancels a call at the producer."""
        if self._calls.pop(call_id, None) is not None:
            self.send(pb.RelayRequest(call_id=call_id, cancel=pb.CancelCall()))

    async def close(self) -> None:
        """Ends the stream and, with UNAVAILABLE, the calls on it."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._end_all(Unavailable("the relay is closed", reason="RELAY_CLOSED"))  # calls of a stream never begun

    async def _run(self, outgoing: asyncio.Queue[pb.RelayRequest | None]) -> None:
        error: MeshError = Unavailable("the connection to the service has ended; try again", reason="RELAY_CLOSED")
        call = self._stub.Relay(_drained(outgoing), timeout=STREAM_SECONDS)
        try:
            async for batch in call:
                self.draining = self.draining or batch.draining
                for frame in batch.frames:
                    self._deliver(frame)
        except grpc.aio.AioRpcError as failed:
            self.offered = failed.code() is not grpc.StatusCode.UNIMPLEMENTED
            log.warning(
                "a relay stream broke",
                extra={"code": failed.code().name, "error": failed.details(), "calls": len(self._calls)},
            )
            told = from_rpc_error(failed)
            if not (isinstance(told, Unavailable) and told.reason == failed.code().name):
                error = told  # otherwise it is the transport's own words, which are for logs
        finally:
            call.cancel()
            outgoing.put_nowait(None)  # of a call that its peer has ended, gRPC would wait for requests for ever
            self._end_all(error)

    def _end_all(self, error: MeshError) -> None:
        calls, self._calls = self._calls, {}
        for waiting in calls.values():
            waiting.end(error)

    def _deliver(self, frame: pb.Frame) -> None:
        call = self._calls.get(frame.call_id)
        if call is None:  # cancelled meanwhile
            return
        if frame.data:
            call.feed(frame.data)
        if frame.HasField("status"):
            del self._calls[frame.call_id]
            call.end(_error(frame.status))


async def _drained(outgoing: asyncio.Queue[pb.RelayRequest | None]) -> AsyncIterator[pb.RelayRequest]:
    while (request := await outgoing.get()) is not None:
        yield request


def _error(status: pb.CallStatus) -> MeshError | None:
    if status.code == 0:
        return None
    if status.details:
        return from_status(status_pb2.Status.FromString(status.details))
    return from_code(status.code, f"status {status.code}")
