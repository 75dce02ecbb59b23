"""The time that a breaker spends in one state, and what belongs to it."""

from collections import deque
from typing import Protocol

from mesh.breaker.state import State
from mesh.breaker.windows import Window


class Recorder(Protocol):
    """Counts what has ended: the breaker."""

    def record(self, era: "Era", kind: int) -> None:
        """Counts a call."""

    def record_probe(self, era: "Era", kind: int, token: int) -> None:
        """Counts a probe."""


class Era:
    """The time that a breaker spends in one state.

    Attributes:
        breaker: whose it is.
        state: the state.
        free: whether calls pass without a look at anything else.
        slow_seconds: a call that takes longer is slow.
        window: the calls counted; of an open breaker, those that opened it.
        least: calls in the window below which no rate is known.
        since: when it began.
        until: when refusing ends, of OPEN.
        openings: how often in a row the breaker has opened.
        probes: of HALF_OPEN: when each running one began, by its number.
        dropped: the numbers of those that ended without a result. Ends of whatever thread or garbage collection are
            put here without a lock, and looked at before the next call is let in.
        told: whether a breaker that only measures has said that it would have opened.
    """

    __slots__ = (
        "breaker",
        "dropped",
        "free",
        "least",
        "openings",
        "probes",
        "since",
        "slow_seconds",
        "state",
        "told",
        "until",
        "window",
    )

    def __init__(
        self,
        breaker: Recorder,
        state: State,
        window: Window,
        *,
        slow_seconds: float,
        least: int,
        since: float,
        openings: int,
    ) -> None:
        self.breaker = breaker
        self.state = state
        self.free = state in {State.CLOSED, State.METRICS_ONLY}
        self.slow_seconds = slow_seconds
        self.window = window
        self.least = least
        self.since = since
        self.until = since
        self.openings = openings
        self.probes: dict[int, float] = {}
        self.dropped: deque[int] = deque()
        self.told = False
