"""Where a stream's events come from: one call after the other, each going on where the last one broke."""

import asyncio
import contextvars
from typing import Any

from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.metrics import SSE_READER_RESUMES, SSE_RESUMES
from gateway.repeats import pause_before, peer_lost
from gateway.upstreams import EventStream, Upstream
from mesh import sse
from mesh.deadlines import expired
from mesh.errors import Internal, MeshError, translated
from mesh.relay import Sink
from mesh.retries import may_be_repeated, note_retry
from mesh.telemetry import trace
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_GRACE_SECONDS = 1.0
"""How long after its deadline a stream whose peer says nothing is ended here."""


class Source:
    """One stream, however many calls it takes.

    A call whose peer was lost (`gateway.repeats.peer_lost`) is made again, elsewhere if there is an elsewhere: after
    the last id that came, where the request has a field for it; before the first one the very same request, which the
    idempotency key, or its having no effects, makes one with the first. It goes on for ``resume_seconds`` without an
    event and never beyond the stream's deadline. A stream whose request is marked in neither way ends with its call.

    Events with an id reach the reader exactly once. Whether those without one that stand between the last id and the
    break come again is for the producer to say: there is no place to go on from between them.

    Args:
        route: the method, and which fields of its request are marked.
        upstream: the peer.
        message: the request; this changes it when it goes on.
        settings: deadlines.
    """

    def __init__(self, route: Route, upstream: Upstream, message: Any, settings: GatewaySettings) -> None:
        self._route = route
        self._upstream = upstream
        self._message = message
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + (route.timeout or settings.stream_timeout)
        self._context = contextvars.copy_context()  # a later call carries the reader's token as well
        self._sink: Sink | None = None
        self._call: EventStream | None = None
        self._again: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._marked: bytes | None = None  # the last block with an id; looked into only when it is needed
        self._heard = self._anything = False
        self._owed = self._stale = 0  # bytes that wait for the reader, and those of them that came from earlier calls
        self._lost: MeshError | None = None
        self._lost_at = 0.0
        self._resumable = bool(route.resume_field)
        self._resuming = self._resumable and bool(getattr(message, route.resume_field))
        if self._resuming:
            SSE_READER_RESUMES.labels(route.template.text).inc()
        self._repeatable = bool(route.key_field) or may_be_repeated(route.rpc)
        self._attempts = 0

    @property
    def marked(self) -> bool:
        """Whether an event with an id has come."""
        return self._marked is not None

    def open(self, sink: Sink) -> None:
        """Begins. The sink hears of events as they come, and once of the end."""
        self._sink = sink
        # The peer keeps the deadline; one that is frozen does not.
        self._late = self._loop.call_at(self._deadline + _GRACE_SECONDS, self._expire)
        self._call_peer()

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes."""
        self._owed -= count
        stale = min(count, self._stale)  # what came first is taken first
        self._stale -= stale
        if self._call is not None and count > stale:
            self._call.taken(count - stale)

    def cancel(self) -> None:
        """Ends the stream, at the producer as well; the sink hears no more."""
        self._sink = None
        self._cancel_timers()
        if self._call is not None:
            self._call.cancel()

    def data(self, data: bytes) -> bool:
        """Events have come."""
        self._heard = True
        if sse.has_id(data):
            self._marked = data
        taken = self._sink is not None and self._sink.data(data)
        if not taken:
            self._owed += len(data)
        return taken

    def end(self, error: MeshError | None) -> None:
        """The call has ended."""
        if self._sink is None:
            return
        pause = None if error is None else self._pause(error)
        if pause is None:
            self._cancel_timers()
            self._sink.end(error)
        else:
            self._lost = error
            self._again = self._loop.call_later(pause, self._call_again, context=self._context)

    def _pause(self, error: MeshError) -> float | None:
        """Seconds until the call is made again; None: it is not."""
        now = self._loop.time()
        if self._heard or not self._attempts:
            self._anything = self._anything or self._heard
            self._heard, self._lost_at, self._attempts = False, now, 0
        repeatable = self._resumable or (self._repeatable and not self._anything)
        if not repeatable or not peer_lost(error, self._upstream.room, resuming=self._anything or self._resuming):
            return None
        pause = pause_before(self._attempts, error)
        if now + pause > min(self._lost_at + self._settings.resume_seconds, self._deadline):
            return None
        if not self._attempts:
            SSE_RESUMES.labels(self._upstream.room).inc()
        self._attempts += 1
        return pause

    def _call_again(self) -> None:
        if self._lost is not None and not self._upstream.ready():
            self.end(self._lost)  # nobody is there yet: what would fail is not tried
            return
        if self._lost is not None:
            trace.event("resumed", {"gaji.room": self._upstream.room, "gaji.reason": self._lost.reason})
        note_retry(self._route.path)
        self._call_peer()

    def _expire(self) -> None:
        if self._sink is None:
            return
        sink = self._sink
        seconds = float(self._route.timeout or self._settings.stream_timeout)
        self.cancel()
        sink.end(expired(seconds, self._route.path))

    def _cancel_timers(self) -> None:
        for timer in (self._again, self._late):
            if timer is not None:
                timer.cancel()

    def _call_peer(self) -> None:
        if self._sink is None:
            return
        if self._marked is not None and self._route.resume_field:
            setattr(self._message, self._route.resume_field, sse.last_id(self._marked))
        self._stale = self._owed
        request = self._message.SerializeToString()
        try:
            with translated(self._upstream.room):
                self._call = self._upstream.stream(
                    self._route.path,
                    self._route.rpc.output_type,
                    request,
                    self,
                    timeout=max(0.001, self._deadline - self._loop.time()),
                    instead_of=self._call,
                )
        except MeshError as error:
            self.end(error)
        except Exception:
            log.exception("a stream could not be opened", extra={"method": self._route.path})
            self._cancel_timers()
            self._sink.end(Internal("something went wrong on our side; the request id is in the logs"))
