"""How long the rest of an ingestion takes, by the pace that was measured and not by its percentage."""

import math
import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 15.0
"""The pace is that of so long: a machine that others use as well changes it."""
LEAST_SECONDS = 1.0
"""A shorter time says nothing."""
_WEIGHT = 0.5  # of the latest ingestion among those before


class Pace:
    """Seconds that a passage took in earlier ingestions of this process, by the work.

    Args:
        clock: the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, float] = {}

    def of(self, *works: str, passages: int) -> "Rest":
        """What is left of an ingestion that begins now.

        Args:
            works: what is done to each passage, one after the other, e.g. the embedder's name and "storing".
            passages: how many there are.
        """
        return Rest(self._known, self._clock, works, passages)

    def unknown(self) -> "Rest":
        """What is left of an ingestion of which nobody knows yet how much there is to do."""
        return Rest({}, self._clock, ("nothing known",), 1)


class Rest:
    """What is left of one ingestion."""

    def __init__(
        self, known: dict[str, float], clock: Callable[[], float], works: tuple[str, ...], passages: int
    ) -> None:
        self._known = known
        self._clock = clock
        self._works = works
        self._passages = passages
        self._at = 0
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._began = clock()

    def done(self, passages: int) -> None:
        """So many passages are through the present work."""
        now = self._clock()
        self._marks.append((now, passages))
        while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW_SECONDS:
            self._marks.popleft()

    def next(self) -> None:
        """The present work is done; its pace is remembered."""
        now = self._clock()
        if self._passages:
            each = (now - self._began) / self._passages
            work = self._works[self._at]
            self._known[work] = _WEIGHT * each + (1 - _WEIGHT) * self._known.get(work, each)
        self._at += 1
        self._began = now
        self._marks = deque([(now, 0)])

    def seconds(self) -> int | None:
        """Seconds until all is done, rounded up; None: nobody knows yet."""
        left = self._present()
        if left is None:
            return None
        for work in self._works[self._at + 1 :]:
            left += self._known.get(work, 0.0) * self._passages
        return math.ceil(left)

    def _present(self) -> float | None:
        if self._at >= len(self._works):
            return 0.0
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        each = self._known.get(self._works[self._at])
        if last - first >= LEAST_SECONDS and done > before:
            each = (last - first) / (done - before)
        if each is None:
            return None
        return max(0.0, each * (self._passages - done) - (self._clock() - last))
