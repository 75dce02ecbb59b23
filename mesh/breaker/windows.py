"""Sliding windows over calls, updated in constant time: rings with running totals, as Resilience4j keeps them."""

from collections.abc import Callable
from typing import Protocol

from mesh.breaker.outcomes import FAILED, SLOW


class Window(Protocol):
    """The latest calls.

    Attributes:
        calls: how many it holds.
        failed: those of them that failed.
        slow: those of them that were slow.
        clean: whether one more good call would change nothing, so that it need not be recorded.
    """

    calls: int
    failed: int
    slow: int
    clean: bool

    def record(self, kind: int) -> bool:
        """Takes in a call; whether the rates may have crossed a threshold by that."""

    def slide(self) -> None:
        """Lets go of what has become too old."""


class CountWindow:
    """The last so many calls.

    Args:
        size: how many.
        least: calls below which no rate is known.
    """

    __slots__ = ("_at", "_least", "_ring", "_size", "calls", "clean", "failed", "slow")

    def __init__(self, size: int, least: int) -> None:
        self._least = least
        self._ring = bytearray(size)
        self._size = size
        self._at = 0
        self.calls = self.failed = self.slow = 0
        self.clean = False

    def record(self, kind: int) -> bool:
        """Takes in a call, in the place of the oldest; whether the rates may have crossed a threshold by that."""
        at, size = self._at, self._size
        self._at = at + 1 if at + 1 < size else 0
        growing = self.calls < size
        if growing:
            self.calls += 1
        elif kind == self._ring[at]:
            return False  # nothing has changed
        old = self._ring[at]
        self._ring[at] = kind
        self.failed += (kind & FAILED) - (old & FAILED)
        self.slow += ((kind & SLOW) - (old & SLOW)) // SLOW
        # A full ring of good calls is the same ring, wherever its beginning is, after one more.
        self.clean = self.calls == size and not self.failed and not self.slow
        return self.calls >= self._least and (growing or kind != 0)

    def slide(self) -> None:
        """Nothing: time does not age them."""


class TimeWindow:
    """The calls of this second and of the ones before it, as totals by second.

    Args:
        seconds: how many seconds, this one included.
        least: calls below which no rate is known.
        clock: gives seconds; never goes back.
    """

    __slots__ = ("_clock", "_least", "_now", "_ring", "_second", "_size", "calls", "clean", "failed", "slow")

    def __init__(self, seconds: int, least: int, clock: Callable[[], float]) -> None:
        self._least = least
        self._clock = clock
        self._size = seconds
        self._ring = [[0, 0, 0] for _ in range(seconds)]
        self._now = int(clock())
        self._second = self._ring[self._now % seconds]
        self.calls = self.failed = self.slow = 0
        self.clean = False  # the number of good calls matters here

    def record(self, kind: int) -> bool:
        """Takes in a call; whether the rates may have crossed a threshold by that."""
        if self._clock() >= self._now + 1:
            self.slide()
        second = self._second
        second[0] += 1
        self.calls += 1
        if kind & FAILED:
            second[1] += 1
            self.failed += 1
        if kind & SLOW:
            second[2] += 1
            self.slow += 1
        # A good call lowers the rates, but good ones that have gone may have raised them, and it may be the last one
        # that was missing to know them at all.
        return self.calls >= self._least and (self.failed > 0 or self.slow > 0)

    def slide(self) -> None:
        """Lets go of seconds that are too old; however long nobody called, of no more than there are."""
        now = int(self._clock())
        if now <= self._now:
            return
        for moved in range(max(self._now + 1, now - self._size + 1), now + 1):
            second = self._ring[moved % self._size]
            self.calls -= second[0]
            self.failed -= second[1]
            self.slow -= second[2]
            second[:] = (0, 0, 0)
        self._now = now
        self._second = self._ring[now % self._size]
