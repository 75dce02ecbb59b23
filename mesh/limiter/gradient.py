"""Finds the concurrency limit of a process by how its round-trip times change."""

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Usual:
    seconds: float
    windows: int = 1


@dataclass(slots=True)
class _Window:
    began: float
    samples: int = 0
    peak: int = 0
    sums: dict[str, tuple[int, float]] = field(default_factory=dict)


class Gradient:
    """Netflix's Gradient2, with a usual time for each kind of call.

    In each window the limit becomes ``limit * gradient + queue``, smoothed, where the gradient is the usual round-trip
    time by the window's, between 0.5 and 1, and the queue, the square root of the limit, is what may wait. A server
    that is not full has a gradient of 1, and the limit grows as long as at least half of it is used; one whose calls
    wait for each other has a smaller one, and the limit settles where some ``queue`` of them wait.

    Source: https://github.com/Netflix/concurrency-limits, ``Gradient2Limit`` and ``WindowedLimit``; explained in
    https://netflixtechblog.medium.com/performance-under-load-3e6fa9a60581. What differs, and why:

    - The usual time is kept for each kind (a method, a route), and a window is compared with what its own mix of calls
      usually takes. One average for all would take the moment when more searches and fewer reads come for overload.
    - Windows are 0.25 s, not 1 s, so the averages are weighted by time and not by count.
    - The usual time falls four times as fast as it rises. It is learnt at work: whatever a process first sees, cold
      caches and connections that are still to be made, would be usual for minutes. In a lasting overload it rises by
      no more than one queue's time in ``long_seconds``.

    Args:
        initial, minimum, maximum: the limit's bounds, and where it begins.
        window_seconds: how long a window is at least; it has ten samples at least.
        long_seconds: in which the usual time follows a change.
        smoothing: the part of the way to a new limit that is gone in one window.
    """

    WINDOW_SAMPLES = 10
    KINDS = 1_000
    """More than a server has methods; what comes then is of no kind and gives no sample."""

    def __init__(
        self,
        *,
        initial: int = 20,
        minimum: int = 4,
        maximum: int = 200,
        window_seconds: float = 0.25,
        long_seconds: float = 300.0,
        smoothing: float = 0.2,
    ) -> None:
        if not 1 <= minimum <= initial <= maximum:
            raise ValueError(f"the limits must be 1 <= {minimum} (min) <= {initial} (initial) <= {maximum} (max)")
        self._limit = float(initial)
        self._minimum, self._maximum = minimum, maximum
        self._window_seconds, self._long_seconds = window_seconds, long_seconds
        self._smoothing = smoothing
        self._usual: dict[str, _Usual] = {}
        self._window: _Window | None = None

    @property
    def limit(self) -> int:
        """How many calls may be answered at once."""
        return int(self._limit)

    def usual(self, kind: str) -> float | None:
        """The usual seconds of a kind; None: there was none."""
        usual = self._usual.get(kind)
        return None if usual is None else usual.seconds

    def sample(self, kind: str, seconds: float, in_flight: int, now: float) -> bool:
        """Takes one call's round-trip time; whether a window has ended with it, so that the limit may be another.

        Args:
            kind: what is compared with its like.
            seconds: from the call's arrival to its end.
            in_flight: how many calls there were when it came, itself among them.
            now: in seconds, of a clock that only goes forward.
        """
        window = self._window
        if window is None:
            window = self._window = _Window(now)
        if kind not in self._usual and len(self._usual) + len(window.sums) >= self.KINDS:
            return False
        count, total = window.sums.get(kind, (0, 0.0))
        window.sums[kind] = count + 1, total + seconds
        window.samples += 1
        window.peak = max(window.peak, in_flight)
        elapsed = now - window.began
        if elapsed < self._window_seconds or window.samples < self.WINDOW_SAMPLES:
            return False
        self._window = _Window(now)
        self._adapt(window, elapsed)
        return True

    def _adapt(self, window: _Window, elapsed: float) -> None:
        expected = taken = 0.0
        for kind, (count, total) in window.sums.items():
            expected += count * self._learnt(kind, total / count, elapsed)
            taken += total
        if window.peak < self._limit / 2:
            return  # nobody uses the limit that there is, so nothing says that there could be more
        gradient = max(0.5, min(1.0, expected / taken)) if taken > 0 else 1.0
        wanted = self._limit * gradient + math.sqrt(self._limit)
        self._limit += (wanted - self._limit) * self._smoothing
        self._limit = max(self._minimum, min(self._maximum, self._limit))

    def _learnt(self, kind: str, mean: float, elapsed: float) -> float:
        """The usual time of a kind with one more window."""
        usual = self._usual.get(kind)
        if usual is None:
            usual = self._usual[kind] = _Usual(mean)
            return mean
        weight = elapsed / (elapsed + self._long_seconds / (4 if mean < usual.seconds else 1))
        usual.seconds += (mean - usual.seconds) * max(weight, 1 / (usual.windows + 1) if usual.windows < 10 else 0.0)
        usual.windows += 1
        if usual.seconds > 2 * mean:  # the end of a long overload
            usual.seconds *= 0.9 ** min(1.0, elapsed)
        return usual.seconds
