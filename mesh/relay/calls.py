"""Calls on a relay's stream, as the reader's end has them."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol, Self

from gaji.mesh.v1 import relay_service_pb2 as pb

from mesh.call_report import CallReport
from mesh.errors import MeshError
from mesh.telemetry.spans import Span
from mesh.telemetry.spans.calls import FIRST_MESSAGE

WINDOW = 256 * 1024


class Peer(Protocol):
    """The stream that calls run on.

    Attributes:
        heard_at: `time.monotonic` at the last batch.
    """

    heard_at: float

    def send(self, request: pb.RelayRequest) -> None:
        """Queues a request."""

    def forget(self, call_id: int) -> None:
        """Cancels a call."""


class Sink(Protocol):
    """Where the output of a call goes as it comes, straight from the stream: what it does must be quick."""

    def data(self, data: bytes) -> bool:
        """Output has come. Whether it was taken; if not, `PushedCall.taken` is owed for it."""

    def end(self, error: MeshError | None) -> None:
        """The call has ended; None: well."""


class PushedCall:
    """One call whose output goes to a sink. Leave it by `cancel`, always.

    Args:
        relay: the stream that it runs on.
        call_id: its number there.
        sink: where its output goes.

    Attributes:
        begun: whether any output has come.
        heard_at: `time.monotonic` at the last output.
        owed: bytes that wait for the reader.
    """

    __slots__ = ("_call_id", "_credit", "begun", "heard_at", "method", "owed", "relay", "report", "sink", "span")

    def __init__(self, relay: "Peer", call_id: int, sink: Sink) -> None:
        self.relay = relay
        self.sink = sink
        self._call_id = call_id
        self._credit = 0
        self.begun = False
        self.heard_at = time.monotonic()
        self.owed = 0
        self.report: CallReport | None = None
        self.method = ""
        self.span: Span | None = None

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes that waited for it: as many more may come."""
        self.owed -= count
        self.passed_on(count)

    def passed_on(self, count: int) -> None:
        """So many bytes need no room any more; the producer hears of it once it is worth a message."""
        self._credit += count
        if self._credit >= WINDOW // 2:
            self.relay.send(pb.RelayRequest(call_id=self._call_id, credit=pb.Credit(bytes=self._credit)))
            self._credit = 0

    def cancel(self) -> None:
        """Ends the call, at the producer as well; its sink hears no more. Without effect when it has ended."""
        self.relay.forget(self._call_id)

    def begin(self) -> None:
        """Its first output has come."""
        self.begun = True
        if self.span is not None:
            self.span.event(FIRST_MESSAGE)
        if self.report is not None:
            self.report.begin()

    def waiting_since(self) -> float:
        """Since when nothing has come; 0 while the reader has not taken what came before.

        Once a call has begun, whatever comes from its server will do, be it a beat: a reply that waits for its turn at
        the model, or an ingestion in a queue, says nothing for minutes while all is well.
        """
        if self.owed > 0:
            return 0.0
        return max(self.heard_at, self.relay.heard_at) if self.begun else self.heard_at

    def stands_still(self, seconds: float) -> None:
        """Tells the gate."""
        if self.report is not None:
            self.report.stands_still(seconds)


class RelayCall:
    """One call, as an async iterator of formatted output, joined from what has come since the last look.

    Iterating raises the call's `MeshError` after its last output. Leave it by `cancel`, always.
    """

    def __init__(self) -> None:
        self._call: PushedCall | None = None
        self._parts: list[bytes] = []
        self._ended = False
        self._error: MeshError | None = None
        self._news = asyncio.Event()

    def begin(self, call: PushedCall) -> Self:
        """Runs on a call."""
        self._call = call
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._call is not None and not self._ended:
            self._call.taken(len(data))
        return data

    def cancel(self) -> None:
        """Ends the call, at the producer as well; without effect when it has ended."""
        if self._call is not None and not self._ended:
            self._call.cancel()
            self.end(None)

    def data(self, data: bytes) -> bool:
        """Output has come."""
        self._parts.append(data)
        self._news.set()
        return False

    def end(self, error: MeshError | None) -> None:
        """The call has ended."""
        self._ended, self._error = True, error
        self._news.set()
