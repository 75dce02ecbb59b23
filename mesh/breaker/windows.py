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

    def record(self, kind: int) -> None:
        """Takes in a call."""

    def slide(self) -> None:
        """Lets go of what has become too old."""


class CountWindow:
    """The last so many calls.

    Args:
        size: how many.
    """

    __slots__ = ("_at", "_ring", "_size", "calls", "clean", "failed", "slow")

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size)
        self._size = size
        self._at = 0
        self.calls = self.failed = self.slow = 0
        self.clean = False

    def record(self, kind: int) -> None:
        """Takes in a call, in the place of the oldest."""
        ring, at = self._ring, self._at
        if self.calls < self._size:
            self.calls += 1
            old = 0
        else:
            old = ring[at]
        if kind != old:
            ring[at] = kind
            self.failed += (kind & FAILED) - (old & FAILED)
            self.slow += ((kind & SLOW) - (old & SLOW)) // SLOW
        self._at = at + 1 if at + 1 < self._size else 0
        # A full ring of good calls is the same ring, wherever its beginning is, after one more.
        self.clean = self.calls == self._size and not self.failed and not self.slow

    def slide(self) -> None:
        """Nothing: time does not age them."""


class TimeWindow:
    """The calls of this second and of the ones before it, as totals by second.

    Args:
        seconds: how many seconds, this one included.
        clock: gives seconds; never goes back.
    """

    __slots__ = ("_clock", "_now", "_ring", "_size", "calls", "clean", "failed", "slow")

    def __init__(self, seconds: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._size = seconds
        self._ring = [[0, 0, 0] for _ in range(seconds)]
        self._now = int(clock())
        self.calls = self.failed = self.slow = 0
        self.clean = False  # the number of good calls matters here

    def record(self, kind: int) -> None:
        """Takes in a call."""
        self.slide()
        second = self._ring[self._now % self._size]
        second[0] += 1
        self.calls += 1
        if kind & FAILED:
            second[1] += 1
            self.failed += 1
        if kind & SLOW:
            second[2] += 1
            self.slow += 1

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
