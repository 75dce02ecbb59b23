"""One stream on its way to one reader."""

import asyncio
import time
from typing import Protocol

from gateway import http_metrics
from gateway.config import GatewaySettings
from gateway.errors import ClientLeft, Header, failed_event
from gateway.http import NO_STORE, Request
from gateway.metrics import SSE_CONNECTIONS, SSE_EVENTS
from mesh import sse
from mesh.errors import MeshError
from mesh.identity import Identity
from mesh.relay import Sink
from mesh.telemetry import trace

_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    NO_STORE,
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
_DATA = b"\ndata: "


class Events(Protocol):
    """Where a reader's events come from."""

    def open(self, sink: Sink) -> None:
        """Begins. The sink hears of events as they come, and once of the end."""

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes that the sink did not take at once."""

    def cancel(self) -> None:
        """Ends; the sink hears no more."""


class Reader:
    """Writes a source's events to a connection, in order and as they come.

    The hot path is `data`: called from the stream that the events came on, it writes to the connection and wakes
    nobody. Where the connection is full events wait here, and their source, which is not told that they were taken,
    sends no more than its window. The task that runs `run` sleeps from the beginning of an answer to its end.

    Args:
        request: what is answered.
        settings: heartbeats and bounds.
    """

    def __init__(self, request: Request, settings: GatewaySettings) -> None:
        self._request = request
        self._span = trace.span()
        self._settings = settings
        self._wire = request.wire
        self._write = request.wire.write
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._source: Events | None = None
        self._news = asyncio.Event()
        self._open = False  # the answer has begun, nothing waits and the connection takes more
        self._pending: list[bytes] = []
        self._pending_bytes = self._owed = 0
        self._begun = self._ended = self._left = False
        self._error: MeshError | None = None
        self._last_words = b""
        self._events = self._sent = 0
        self._written_at = 0.0
        self._full_since = 0.0  # a client that takes drops makes no room for as long as one that takes nothing
        self._heart: asyncio.TimerHandle | None = None
        self._why = ""  # of an end that is the gateway's own
        self.data = self._first_data  # type: ignore[method-assign]  # for one event: the others pay nothing for it

    @property
    def identity(self) -> Identity | None:
        """Who reads; None: anybody."""
        return self._request.reader

    async def run(self, source: Events) -> None:
        """Answers the request: returns when the stream has ended.

        Raises:
            MeshError: it failed before its first event.
            ClientLeft: the client went away.
        """
        self._source = source
        self._wire.attach(self)
        try:
            source.open(self)
            await self._wait(self._settings.first_event_seconds)
            if self._ended and not self._pending and not self._last_words:
                if self._error is not None:
                    raise self._error
                # A native EventSource reconnects after any other end: https://html.spec.whatwg.org/multipage/server-sent-events.html
                await self._request.respond(204, b"", [NO_STORE])
                return
            await self._begin()
            while not self._ended:
                await self._wait()
            await self._finish()
        finally:
            self._wire.detach()
            source.cancel()
            self._close()

    def _first_data(self, data: bytes) -> bool:
        del self.data
        waited = time.perf_counter() - self._request.began
        http_metrics.FIRST_EVENT_SECONDS.labels(self._request.label).observe(waited)
        return self.data(data)

    def data(self, data: bytes) -> bool:
        """Events have come; whether they were written."""
        self._events += data.count(_DATA)
        if self._open:
            size = len(data)
            self._write(b"%x\r\n%b\r\n" % (size, data))
            self._sent += size
            self._written_at = self._now()
            return True
        self._hold(data)
        self._owed += len(data)
        if not self._begun:
            self._news.set()
        return False

    def end(self, error: MeshError | None) -> None:
        """The source has ended; None: well."""
        self._ended, self._error = True, error
        if error is not None:
            self._last_words = self._last_words or (sse.event("failed", failed_event(error)) if self._begun else b"")
        self._news.set()

    def fail(self, error: MeshError, *, at_once: bool = False) -> None:
        """Ends the stream with an error of the gateway's own.

        Args:
            error: what the reader is told.
            at_once: whether a connection that takes no more is closed, rather than what waits given out first.
        """
        self._why = self._why or http_metrics.CUT
        if at_once and self._begun and not self._open:
            self._cut()
        elif not self._ended:
            self._stop()
            self.end(error)

    def hand_over(self, retry_ms: int) -> None:
        """Ends the stream without a word about it, so that its reader comes back, to another gateway.

        Args:
            retry_ms: how long the reader shall wait until then.
        """
        if self._ended:
            return
        self._why = self._why or http_metrics.HANDED_OVER
        if self._span is not None:
            self._span.event("handed over")
        self._stop()
        if self._begun and not self._open:
            self._cut()  # it takes nothing now, and goes on after what it has
            return
        self._last_words = sse.retry(retry_ms)
        self.end(None)

    def full(self) -> None:
        """The connection takes no more for now."""
        self._open = False
        self._full_since = self._now()

    def writable(self) -> None:
        """It takes more again."""
        if self._begun and not self._left:
            self._flush()
            self._news.set()

    def lost(self) -> None:
        """The client has gone."""
        self._left, self._open = True, False
        self._news.set()

    async def _wait(self, seconds: float | None = None) -> None:
        """Returns when something has changed, or after so many seconds.

        Raises:
            ClientLeft: the client has gone.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        if self._left:
            raise ClientLeft

    async def _begin(self) -> None:
        """Sends the headers, when a browser should come back, and what has come so far."""
        await self._request.start(200, _HEADERS)
        self._begun = True
        self._request.outcome = http_metrics.LEFT  # until it ends in another way
        trace.event("first event")
        SSE_CONNECTIONS.inc()
        if self._left:
            raise ClientLeft
        if self._error is not None:
            self._last_words = sse.event("failed", failed_event(self._error))
        retry = sse.retry(self._settings.sse_retry_ms)
        self._pending.insert(0, retry)
        self._pending_bytes += len(retry)
        self._flush()
        self._beat()

    async def _finish(self) -> None:
        """Writes what waits, the last words and the end of the answer."""
        if self._left:
            raise ClientLeft
        if self._last_words:
            self._hold(self._last_words)
        self._flush()
        while self._pending:
            await self._wait()
        await self._request.send({"type": "http.response.body", "body": b"", "more_body": False})
        self._request.outcome = self._why or (http_metrics.FAILED if self._error is not None else http_metrics.COMPLETE)

    def _cut(self) -> None:
        self._request.outcome = self._why
        self._wire.cut()

    def _hold(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)

    def _flush(self) -> None:
        """Writes what waits as one chunk, if the connection takes it."""
        if self._wire.paused:
            self._open = False
            return
        parts, size, owed = self._pending, self._pending_bytes, self._owed
        self._pending, self._pending_bytes, self._owed = [], 0, 0
        self._open = True  # before writing, which may fill the connection
        if parts:
            self._wire.write_chunk(parts, size)
            self._sent += size
            self._written_at = self._now()
        if owed and self._source is not None:
            self._source.taken(owed)

    def _beat(self) -> None:
        """Sends a comment after a silence, so that proxies keep the connection; cuts a reader that takes nothing."""
        self._report()
        now, silence = self._now(), self._settings.heartbeat_seconds
        due = self._written_at + silence
        if self._wire.paused:
            if now - self._full_since >= self._settings.stall_seconds:
                self._why = http_metrics.CUT
                self._cut()
                return
            due = now + min(silence, self._settings.stall_seconds)
        elif now >= due and self._open:
            self._wire.write_chunk([sse.HEARTBEAT], len(sse.HEARTBEAT))
            self._sent += len(sse.HEARTBEAT)
            self._written_at = now
            due = now + silence
        self._heart = self._loop.call_at(max(due, now + silence / 8), self._beat)

    def _stop(self) -> None:
        if self._source is not None:
            self._source.cancel()

    def _close(self) -> None:
        self.__dict__.pop("data", None)
        if self._heart is not None:
            self._heart.cancel()
        if self._begun:
            SSE_CONNECTIONS.dec()
            self._report()

    def _report(self) -> None:
        SSE_EVENTS.inc(self._events)
        if self._span is not None:
            told = self._span.attributes
            told["gaji.stream.events"] = int(told.get("gaji.stream.events", 0)) + self._events
        self._request.sent += self._sent
        self._events = self._sent = 0
