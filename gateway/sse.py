"""Server-streaming calls as server-sent events."""

import asyncio

from google.protobuf.message import Message

from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.errors import ClientLeft, Header, failed_event
from gateway.http import NO_STORE, Request
from gateway.metrics import SSE_CONNECTIONS, SSE_EVENTS
from gateway.upstreams import EventStream, Upstream
from mesh import sse
from mesh.errors import Internal, MeshError, Unavailable, translated
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    NO_STORE,
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class EventStreams:
    """Answers requests by streams, and ends them all when the process has to stop.

    Args:
        settings: deadlines, heartbeats and the like.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._running: set[_Reader] = set()

    async def answer(self, request: Request, route: Route, upstream: Upstream, message: Message) -> None:
        """Calls, and relays events until the call or the reader ends.

        Raises:
            MeshError: the call failed before its first event.
            ClientLeft: the client went away before it.
        """
        timeout = route.timeout or self._settings.stream_timeout
        with translated(upstream.room):
            events = upstream.stream(route.path, route.rpc.output_type, message.SerializeToString(), timeout)
        reader = _Reader(request, events, upstream.room, self._settings)
        self._running.add(reader)
        try:
            await reader.run()
        finally:
            self._running.discard(reader)

    def end_all(self) -> None:
        """Ends every stream with an event ``failed`` that asks its reader to come back."""
        for reader in list(self._running):
            reader.end(Unavailable("the gateway is restarting; connect again", reason="GATEWAY_RESTARTING"))


class _Reader:
    """One stream to one reader.

    The hot path is `_relay` and `_put`: per event one read and, unless another was written within the window, one
    write. Timers are looked at only when they fire.
    """

    def __init__(self, request: Request, events: EventStream, room: str, settings: GatewaySettings) -> None:
        self._request = request
        self._events = events
        self._room = room
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._window = 0.0 if events.merges else settings.sse_window_seconds
        self._pending: list[bytes] = []
        self._lock = asyncio.Lock()
        self._written_at = 0.0
        self._writing_since: float | None = None
        self._task = asyncio.current_task()
        self._count = 0
        self._left = self._stalled = False
        self._end: MeshError | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._heart: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        watching = self._loop.create_task(self._watch())
        first = self._loop.create_task(self._next())
        try:
            await asyncio.wait({first}, timeout=self._settings.first_event_seconds)
            if not first.done():
                await self._begin()
            await self._relay(first)
        except asyncio.CancelledError:
            if self._stalled and self._task is not None and self._task.uncancel() == 0:
                raise ClientLeft from None
            raise
        finally:
            watching.cancel()
            first.cancel()
            self._events.cancel()
            self._close()

    def end(self, error: MeshError) -> None:
        """Ends the stream with an error of the gateway's own."""
        self._end = error
        self._events.cancel()

    async def _relay(self, first: "asyncio.Task[bytes | None]") -> None:
        failure: MeshError | None = None
        try:
            with translated(self._room):
                data = await first
                if data is not None:
                    if not self._request.started:
                        await self._begin()
                    await self._put(data)
                    async for data in self._events:
                        await self._put(data)
        except MeshError as error:
            failure = error
        except Exception:
            log.exception("a stream broke", extra={"route": self._request.raw_path})
            failure = Internal("something went wrong on our side; the request id is in the logs")
        if self._left:
            raise ClientLeft
        failure = self._end or failure
        if not self._request.started:
            if failure is not None:
                raise failure
            await self._begin()
        if failure is not None:
            self._pending.append(sse.event("failed", failed_event(failure)))
        await self._finish()

    async def _next(self) -> bytes | None:
        return await anext(self._events, None)

    async def _begin(self) -> None:
        """Sends the headers, and with them when a browser should come back."""
        SSE_CONNECTIONS.inc()
        await self._request.start(200, _HEADERS)
        self._pending.insert(0, sse.retry(self._settings.sse_retry_ms))
        await self._flush()
        self._written_at -= self._window  # so that the first event goes out at once
        self._beat()

    async def _put(self, data: bytes) -> None:
        self._pending.append(data)
        due = self._written_at + self._window
        if self._loop.time() >= due:
            await self._flush()
        elif self._flush_timer is None:
            self._flush_timer = self._loop.call_at(due, self._flush_late)

    async def _flush(self) -> None:
        async with self._lock:
            if not self._pending:
                return
            parts, self._pending = self._pending, []
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            self._count += data.count(b"\ndata: ")
            self._written_at = self._writing_since = self._loop.time()
            await self._request.send({"type": "http.response.body", "body": data, "more_body": True})
            self._writing_since = None

    def _flush_late(self) -> None:
        """Writes what a burst has left behind, unless a later event already took it along."""
        self._flush_timer = None
        if not self._pending or self._left:
            return
        due = self._written_at + self._window
        if self._loop.time() < due:
            self._flush_timer = self._loop.call_at(due, self._flush_late)
        elif self._flushing is None or self._flushing.done():
            self._flushing = self._loop.create_task(self._flush())

    def _beat(self) -> None:
        """Sends a comment after a silence, so that proxies keep the connection; cuts a reader that takes nothing."""
        now = self._loop.time()
        if self._writing_since is not None and now - self._writing_since >= self._settings.stall_seconds:
            self._stalled = True
            self._leave()
            if self._task is not None:
                self._task.cancel()  # it waits for room in the reader's socket
            return
        self._report()
        due = self._written_at + self._settings.heartbeat_seconds
        if now >= due:
            self._pending.append(sse.HEARTBEAT)
            self._flush_late()
        self._heart = self._loop.call_at(due if due > now else now + self._settings.heartbeat_seconds, self._beat)

    async def _finish(self) -> None:
        if self._flushing is not None:
            await self._flushing
        await self._flush()
        await self._request.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self) -> None:
        """Ends the call as soon as the client has closed the connection."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._left = True
        self._events.cancel()

    def _close(self) -> None:
        for timer in (self._flush_timer, self._heart):
            if timer is not None:
                timer.cancel()
        if self._flushing is not None:
            self._flushing.cancel()
        if self._request.started:
            SSE_CONNECTIONS.dec()
            self._report()

    def _report(self) -> None:
        SSE_EVENTS.inc(self._count)
        self._count = 0
