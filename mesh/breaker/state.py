"""What a breaker can be, and what it tells of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal


class State(Enum):
    """Resilience4j's states (https://resilience4j.readme.io/docs/circuitbreaker)."""

    CLOSED = "closed"
    """Calls pass and are counted."""
    OPEN = "open"
    """Calls are refused until the wait is over; the next one then makes it half-open."""
    HALF_OPEN = "half_open"
    """A few calls probe the peer; how they end decides between open and closed."""
    DISABLED = "disabled"
    """Calls pass, nothing is counted."""
    FORCED_OPEN = "forced_open"
    """An operator has calls refused until told otherwise."""
    METRICS_ONLY = "metrics_only"
    """Calls pass and are counted; it never opens, but says once that it would have."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A breaker at one moment.

    Attributes:
        state: its state. OPEN with no seconds left: the next call is a probe.
        calls: how many the window holds. Of an open one: the window that opened it.
        failed: those of them that failed.
        slow: those of them that were slow.
        failure_rate: percent; None: fewer calls than the minimum.
        slow_rate: percent; None: likewise.
        rejected: calls refused since the process started.
        seconds_left: how long calls are refused; None: not known, or they are not.
        seconds_in_state: how long it has been in its state.
        openings: how often in a row it has opened.
        probes: calls that are probing.
        transitions: how often since the process started, by state before and after.
    """

    state: State
    calls: int
    failed: int
    slow: int
    failure_rate: float | None
    slow_rate: float | None
    rejected: int
    seconds_left: float | None
    seconds_in_state: float
    openings: int
    probes: int
    transitions: Mapping[tuple[State, State], int]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a breaker.

    Attributes:
        kind: ``transition``; ``rejected``: a call was refused; ``exceeded``: one that only measures would have opened.
        peer: the peer's name.
        group: the group of methods.
        before: the state before.
        after: the state after; the same unless it is a transition.
        why: in words.
        counts: calls, failed and slow calls that led to it.
    """

    kind: Literal["transition", "rejected", "exceeded"]
    peer: str
    group: str
    before: State
    after: State
    why: str
    counts: tuple[int, int, int] = (0, 0, 0)


Listener = Callable[[Event], None]
"""Hears of events, in whatever thread they happen; what it does must be quick."""
