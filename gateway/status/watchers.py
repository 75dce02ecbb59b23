"""Reports as a stream of events, for as many as watch: while anybody does, everybody is asked every few seconds."""

import asyncio
import contextvars

from gateway.config import GatewaySettings
from gateway.http import Request
from gateway.reader import Reader
from gateway.status.reports import Reports
from mesh import sse
from mesh.errors import Internal, MeshError, ResourceExhausted, Unavailable
from mesh.process import ended
from mesh.relay import Sink
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

EVENT = "status"
MOST = 16
"""Watchers at once."""
_LATER_SECONDS = 5.0


class Watchers:
    """All who watch.

    Args:
        settings: how often everybody is asked, and for how long a stream may go on.
        reports: what is told.
    """

    def __init__(self, settings: GatewaySettings, reports: Reports) -> None:
        self._settings = settings
        self._reports = reports
        self._loop = asyncio.get_running_loop()
        self._readers: set[Reader] = set()
        self._feeds: set[Feed] = set()
        self._telling: asyncio.Task[None] | None = None
        self._last = b""
        self._ended = False

    async def answer(self, request: Request) -> None:
        """Tells one how everybody is, until it leaves or the stream has gone on for as long as one may.

        Raises:
            ResourceExhausted: TOO_MANY_STREAMS.
            Unavailable: GATEWAY_RESTARTING.
            ClientLeft: the client went away.
        """
        if self._ended:
            raise Unavailable("the gateway is restarting; connect again", reason="GATEWAY_RESTARTING")
        if len(self._readers) >= MOST:
            text = f"{MOST} watch the status already: close one of those pages"
            raise ResourceExhausted(text, reason="TOO_MANY_STREAMS", retry_after=_LATER_SECONDS)
        reader = Reader(request, self._settings)
        self._readers.add(reader)
        seconds = self._settings.stream_timeout
        end = self._loop.call_later(seconds, reader.hand_over, self._settings.sse_retry_ms)
        try:
            await reader.run(Feed(self))
        finally:
            end.cancel()
            self._readers.discard(reader)

    def end(self) -> None:
        """Lets go of all of them, who come back to another gateway, or to this one when it is back."""
        self._ended = True
        for reader in list(self._readers):
            reader.hand_over(self._settings.sse_retry_ms)

    async def close(self) -> None:
        """Asks nobody any more."""
        if self._telling is not None:
            await ended(self._telling)

    def enter(self, feed: "Feed") -> None:
        """One more is told, at once where others are told already."""
        self._feeds.add(feed)
        if self._telling is None or self._telling.done():
            # In a context of its own, which is nobody's request.
            self._telling = self._loop.create_task(self._tell(), name="status", context=contextvars.Context())
        elif self._last:
            feed.put(self._last)

    def leave(self, feed: "Feed") -> None:
        """One less."""
        self._feeds.discard(feed)

    async def _tell(self) -> None:
        try:
            while self._feeds:
                due = self._loop.time() + self._settings.status_seconds
                self._last = sse.event(EVENT, await self._reports.newest())
                for feed in list(self._feeds):
                    feed.put(self._last)
                await asyncio.sleep(due - self._loop.time())
        except Exception:
            log.exception("the status cannot be told")
            for feed in list(self._feeds):
                feed.end(Internal("something went wrong on our side; the request id is in the logs"))
        finally:
            self._last = b""


class Feed:
    """The events of one watcher: `gateway.reader.Events`."""

    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers
        self._sink: Sink | None = None
        self._owed = 0

    def open(self, sink: Sink) -> None:
        """Begins."""
        self._sink = sink
        self._watchers.enter(self)

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes that the sink did not take at once."""
        self._owed -= count

    def cancel(self) -> None:
        """Ends; the sink hears no more."""
        self._sink = None
        self._watchers.leave(self)

    def put(self, event: bytes) -> None:
        """Sends a report; one who has not taken the last one yet is spared it."""
        if self._sink is not None and not self._owed and not self._sink.data(event):
            self._owed += len(event)

    def end(self, error: MeshError) -> None:
        """Ends with an error."""
        if self._sink is not None:
            self._sink.end(error)
