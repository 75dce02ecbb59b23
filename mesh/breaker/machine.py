"""The state machine of one breaker: the semantics of Resilience4j's ``CircuitBreakerStateMachine``.

Two things differ, both since calls here are streams that may be left at any time. A permit belongs to the era (the time
in one state) that gave it, and counts in no other. And the permits of a half-open breaker cannot be lost: one that ends
without a result, is dropped, or has not ended after ``probe_seconds`` makes room for another.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

import grpc

from mesh.breaker.era import Era
from mesh.breaker.outcomes import FAILED, OUTCOMES, SLOW, Outcome
from mesh.breaker.permits import FREE, FreePermit, Permit, Probe
from mesh.breaker.settings import BreakerSettings
from mesh.breaker.state import Event, Listener, Snapshot, State
from mesh.breaker.telling import log_event, refusal
from mesh.breaker.windows import CountWindow, TimeWindow, Window
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

SOON_SECONDS = 1.0
"""When to ask again at a breaker whose probes are on their way."""
_OK = grpc.StatusCode.OK
_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_DISABLED, _FORCED_OPEN, _METRICS_ONLY = State.DISABLED, State.FORCED_OPEN, State.METRICS_ONLY
_MEASURED = {_CLOSED, _HALF_OPEN, _METRICS_ONLY}
Clock = Callable[[], float]
AnyPermit = Permit | FreePermit


class Breaker:
    """Stands before the calls of one group of methods to one peer. Any thread may use it.

    Args:
        peer: the peer's name, for people.
        group: the group's name.
        settings: how it behaves.
        clock: seconds that only grow.
        listeners: hear of what happens; the list may change.

    Attributes:
        era: the state that it is in, and since when.
    """

    def __init__(
        self, peer: str, group: str, settings: BreakerSettings, clock: Clock, listeners: Sequence[Listener] = ()
    ) -> None:
        self.peer = peer
        self.group = group
        self.settings = settings
        self._clock = clock
        self._listeners = listeners
        # Re-entrant: a call may be collected, and end, wherever this very thread allocates memory.
        self._lock = threading.RLock()
        self._events: deque[Event] = deque()
        self._rejected = 0
        self._granted = 0
        self._transitions: Counter[tuple[State, State]] = Counter()
        self.era = self._era(settings.mode, clock(), openings=0)

    @property
    def state(self) -> State:
        """The state. OPEN lasts until a call comes after the wait."""
        return self.era.state

    def acquire(self) -> AnyPermit:
        """A permit for one call.

        Raises:
            Unavailable: calls are refused, CIRCUIT_OPEN; ``retry_after`` says for how long.
        """
        era = self.era
        if era.free:
            return Permit(era)
        with self._lock:
            permit, state, seconds = self._admit()
        self._publish()
        if permit is None:
            raise refusal(self.peer, self.group, state, seconds)
        return permit

    def observe(self, code: grpc.StatusCode, seconds: float) -> None:
        """What came after the first message of a stream: that it broke, or stood still so many seconds (OK).

        Only bad news counts, since the stream has counted as a good call already. Half-open breakers do not listen:
        what breaks then was begun before, and only probes tell how the peer is now.
        """
        if code is _OK:
            kind: int | None = SLOW if seconds > self.settings.slow_seconds else None
        else:
            kind = FAILED if OUTCOMES.get(code) is Outcome.FAILURE else None
        era = self.era
        if kind is not None and era.free:
            self.record(era, kind)

    def record(self, era: Era, kind: int) -> None:
        """Counts a call that has ended.

        Args:
            era: the one in which it began.
            kind: how it went.
        """
        lock = self._lock
        lock.acquire()  # as `with` does, at half the cost
        try:
            if era is self.era and era.window.record(kind):
                self._judge(era)
        finally:
            lock.release()
        if self._events:
            self._publish()

    def record_probe(self, era: Era, kind: int, token: int) -> None:
        """Counts a probe that has ended, unless its place was given to another.

        Args:
            era: the one in which it began.
            kind: how it went.
            token: its number.
        """
        with self._lock:
            if era is self.era and era.probes.pop(token, None) is not None and era.window.record(kind):
                self._judge(era)
        self._publish()

    def force(self, state: State | None, why: str = "an operator said so") -> None:
        """Puts it into a state, with nothing counted; None: into the one that the settings say."""
        with self._lock:
            self._turn(self.settings.mode if state is None else state, why, openings=0)
        self._publish()

    def snapshot(self) -> Snapshot:
        """How it is now."""
        with self._lock:
            era, now = self.era, self._clock()
            window = era.window
            window.slide()
            calls, failed, slow = window.calls, window.failed, window.slow
            known = calls > 0 and calls >= era.least
            self._collect(era)
            return Snapshot(
                state=era.state,
                calls=calls,
                failed=failed,
                slow=slow,
                failure_rate=100 * failed / calls if known else None,
                slow_rate=100 * slow / calls if known else None,
                rejected=self._rejected,
                seconds_left=max(0.0, era.until - now) if era.state is _OPEN else None,
                seconds_in_state=now - era.since,
                openings=era.openings,
                probes=len(era.probes),
                transitions=dict(self._transitions),
            )

    # What follows is called with the lock held; nothing in it calls foreign code.

    def _admit(self) -> tuple[AnyPermit | None, State, float]:
        """A permit or None, the state, and the seconds after which to come back."""
        era, now = self.era, self._clock()
        if era.state is _OPEN and now >= era.until:
            era = self._turn(_HALF_OPEN, "the wait is over", openings=era.openings)
        if era.free:
            return Permit(era), era.state, 0.0
        if era.state is _DISABLED:
            return FREE, era.state, 0.0
        if era.state is _HALF_OPEN and self._room(era, now):
            self._granted += 1
            era.probes[self._granted] = now
            return Probe(era, self._granted), era.state, 0.0
        self._rejected += 1
        left = era.until - now if era.state is _OPEN else SOON_SECONDS
        if era.state is _FORCED_OPEN:
            left = self.settings.open_seconds
        if self._listeners:
            self._tell("rejected", era, era.state, "")
        return None, era.state, left

    def _room(self, era: Era, now: float) -> bool:
        """Whether one more probe may run: those that have ended and those that are running are never more than N."""
        self._collect(era)
        most = self.settings.half_open_calls - era.window.calls
        if len(era.probes) < most:
            return True
        longest = self.settings.probe_seconds
        for token in [token for token, began in era.probes.items() if now - began >= longest]:
            del era.probes[token]
        return len(era.probes) < most

    @staticmethod
    def _collect(era: Era) -> None:
        while era.dropped:
            era.probes.pop(era.dropped.popleft(), None)

    def _judge(self, era: Era) -> None:
        window, settings, state = era.window, self.settings, era.state
        calls = window.calls
        failing = window.failed * 100 >= settings.failure_rate * calls
        slow = window.slow * 100 >= settings.slow_rate * calls
        if not failing and not slow:
            if state is _HALF_OPEN:
                self._turn(_CLOSED, "the probes went well", openings=0)
            return
        if state is _METRICS_ONLY and era.told:
            return
        words = []
        if failing:
            words.append(f"{window.failed} of {calls} calls failed")
        if slow:
            words.append(f"{window.slow} of {calls} calls took more than {settings.slow_seconds:g} s")
        why = " and ".join(words)
        if state is _METRICS_ONLY:
            era.told = True
            self._tell("exceeded", era, state, why)
        else:
            self._turn(_OPEN, why, openings=era.openings + 1)

    def _turn(self, state: State, why: str, *, openings: int) -> Era:
        before, now = self.era, self._clock()
        if state is _OPEN:
            openings = max(openings, 1)
        after = self._era(state, now, openings=openings)
        if state is _OPEN:
            after.until = now + self.settings.wait(openings)
            if before.state in _MEASURED:
                after.window, after.least = before.window, before.least
        self.era = after
        if state is not before.state:
            self._transitions[before.state, state] += 1
            self._tell("transition", before, state, why)
        return after

    def _era(self, state: State, now: float, *, openings: int) -> Era:
        settings = self.settings
        size = settings.half_open_calls if state is _HALF_OPEN else settings.window
        if settings.window_seconds and state is not _HALF_OPEN:
            least = settings.minimum_calls
            window: Window = TimeWindow(settings.window_seconds, least, self._clock)
        else:
            least = min(settings.minimum_calls, size)
            window = CountWindow(size, least)
        return Era(
            self,
            state,
            window,
            slow_seconds=settings.slow_seconds,
            least=least,
            since=now,
            openings=openings,
        )

    def _tell(self, kind: str, era: Era, after: State, why: str) -> None:
        window = era.window
        counts = (window.calls, window.failed, window.slow)
        self._events.append(Event(kind, self.peer, self.group, era.state, after, why, counts))  # type: ignore[arg-type]  # one of the literals

    # From here on without the lock.

    def _publish(self) -> None:
        events = self._events
        while events:
            try:
                event = events.popleft()
            except IndexError:  # another thread was faster
                return
            if event.kind != "rejected":
                log_event(event)
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:  # whatever a listener does wrong, the call goes on
                    log.exception("a listener of circuit breakers failed", extra={"peer": self.peer})
