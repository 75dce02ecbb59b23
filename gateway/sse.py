"""Server-streaming calls as server-sent events."""

import asyncio
import random
from typing import Any

from gateway.admission import Admission
from gateway.auth import EXPIRED, Watch
from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.http import Request
from gateway.metrics import SSE_CUT
from gateway.reader import Reader
from gateway.source import Source
from gateway.upstreams import Upstream
from mesh.errors import Unavailable

HAND_OVER_SECONDS = 4.5
"""Within which every stream that can be resumed elsewhere is let go when the process has to stop."""
_SWEEP_SECONDS = 2.0


class EventStreams:
    """Answers requests by streams, and lets go of them all when the process has to stop.

    Args:
        settings: deadlines, heartbeats and the like.
        admission: has a place for each stream, or not.
        watch: says which may go on.
    """

    def __init__(self, settings: GatewaySettings, admission: Admission, watch: Watch) -> None:
        self._settings = settings
        self._admission = admission
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._running: dict[Reader, tuple[Route, Source]] = {}
        self._let_go_by: float | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def answer(self, request: Request, route: Route, upstream: Upstream, message: Any) -> None:
        """Calls, and relays events until the call or the reader ends.

        Raises:
            EdgeError: there are too many streams.
            MeshError: the call failed before its first event.
            ClientLeft: the client went away.
        """
        self._admission.stream()
        if request.permit is not None:
            request.permit.end()
        reader = Reader(request, self._settings)
        source = Source(route, upstream, message, self._settings)
        self._running[reader] = (route, source)
        if self._let_go_by is not None:  # on a connection that was there already
            self._hand_over_in_time(reader)
        try:
            await reader.run(source)
        finally:
            del self._running[reader]
            self._admission.stream_ended()

    def drain(self) -> None:
        """Hands the streams that can be resumed over to other gateways, one after the other.

        Their readers come back with Last-Event-ID: each after a time of its own and, since the ends are spread as
        well, never all in one moment.
        """
        self._let_go_by = self._loop.time() + min(self._settings.drain_seconds, HAND_OVER_SECONDS)
        for reader in self._running:
            self._hand_over_in_time(reader)

    def end_all(self) -> None:
        """Ends the streams that cannot be resumed with an event ``failed`` that asks their readers to come back."""
        for reader, (route, _) in list(self._running.items()):
            if not route.resume_field:
                reader.fail(Unavailable("the gateway is restarting; connect again", reason="GATEWAY_RESTARTING"))

    def close(self) -> None:
        """Forgets its timers."""
        self._sweeper.cancel()
        for timer in self._timers:
            timer.cancel()

    def _sweep(self) -> None:
        """Ends the streams of those who may no longer read.

        Whose token has expired comes back by himself where the stream can go on from an id, with a new token or in
        vain; to others, and to those whose session has ended, it is said.
        """
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        for reader, (route, source) in list(self._running.items()):
            refusal = self._watch.refusal(reader.identity)
            if refusal is None:
                continue
            SSE_CUT.labels(refusal.reason).inc()
            if refusal.reason == EXPIRED and route.resume_field and source.marked:
                reader.hand_over(self._settings.sse_retry_ms)
            else:
                reader.fail(refusal, at_once=True)

    def _hand_over_in_time(self, reader: Reader) -> None:
        assert self._let_go_by is not None  # noqa: S101 - draining has begun
        if self._running[reader][0].resume_field:
            now = self._loop.time()
            due = random.uniform(now, max(now, self._let_go_by))  # noqa: S311 - spreads load, hides nothing
            self._timers.add(self._loop.call_at(due, self._hand_over, reader))

    def _hand_over(self, reader: Reader) -> None:
        route_and_source = self._running.get(reader)
        if route_and_source is None or self._let_go_by is None:
            return
        if not route_and_source[1].marked and self._loop.time() < self._let_go_by:
            # Its reader could only begin anew; give it until the last moment to have an id.
            self._timers.add(self._loop.call_at(self._let_go_by, self._hand_over, reader))
            return
        seconds = random.uniform(self._settings.return_min_seconds, self._settings.return_max_seconds)  # noqa: S311 - likewise
        reader.hand_over(round(seconds * 1000))
