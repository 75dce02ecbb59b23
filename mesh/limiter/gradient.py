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

    In each window the limit becomes ``limit * gradient + queue``, smoothed, where the gradient is the round-trip time
    that is borne by the window's, between 0.5 and 1, and the queue, the square root of the limit, is what may wait. A
    server that is not full has a gradient of 1, and the limit grows as long as at least half of it is used; one whose
    calls wait for each other has a smaller one, and the limit settles where some ``queue`` of them wait.

    Source: https://github.com/Netflix/concurrency-limits, ``Gradient2Limit`` and ``WindowedLimit``; explained in
    https://netflixtechblog.medium.com/performance-under-load-3e6fa9a60581. What differs, and why:

    - The usual time is kept for each kind (a method, a route), and a window is compared with what its own mix of calls
      usually takes. One average for all would take the moment when more searches and fewer reads come for overload.
    - Windows are 0.25 s, not 1 s, so the averages are weighted by time and not by count.
    - A little more than the usual time is borne, as by ``GradientLimit`` and earlier versions of ``Gradient2Limit``. A
      gradient that is never above 1 takes every unsteadiness for load: beside busy neighbours the limit sank to its
      minimum, and goodput to half.
    - While the limit is reached the usual time does not rise, or a lasting overload would become usual. Instead the
      limit is its minimum for two windows in 30 s, and what calls take in the second, when few others are there, is
      learnt: more, if the server has become slower for good. Envoy measures its minimal time like that
      (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter).
    - Otherwise the usual time falls four times as fast as it rises. It is learnt at work: whatever a process first
      sees, cold caches and connections that are still to be made, would be usual for minutes.

    Args:
        initial, minimum, maximum: the limit's bounds, and where it begins.
        window_seconds: how long a window is at least; it has ten samples at least.
        long_seconds: in which the usual time follows a change.
        tolerance: how many times the usual time are borne.
        smoothing: the part of the way to a new limit that is gone in one window.
    """

    WINDOW_SAMPLES = 10
    FIRST_WINDOWS = 10
    """Of which the usual time is the plain mean."""
    PROBE_SECONDS = 30.0
    KINDS = 1_000
    """More than a server has methods; what comes then is of no kind and gives no sample."""

    def __init__(
        self,
        *,
        initial: int = 100,
        minimum: int = 8,
        maximum: int = 1000,
        window_seconds: float = 0.25,
        long_seconds: float = 300.0,
        tolerance: float = 1.3,
        smoothing: float = 0.2,
    ) -> None:
        if not 1 <= minimum <= initial <= maximum:
            raise ValueError(f"the limits must be 1 <= {minimum} (min) <= {initial} (initial) <= {maximum} (max)")
        self._limit = float(initial)
        self._minimum, self._maximum = minimum, maximum
        self._window_seconds, self._long_seconds = window_seconds, long_seconds
        self._tolerance, self._smoothing = tolerance, smoothing
        self._usual: dict[str, _Usual] = {}
        self._window: _Window | None = None
        self._reached_for = 0.0  # seconds for which the limit has been reached
        self._probing = 0  # windows that are left of a probe

    @property
    def limit(self) -> int:
        """How many calls may be answered at once."""
        return self._minimum if self._probing else int(self._limit)

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
        if self._probing:
            self._probe(window)
            return
        reached = window.peak >= 0.9 * self.limit  # it was another when they came
        expected = taken = 0.0
        for kind, (count, total) in window.sums.items():
            expected += count * self._learnt(kind, total / count, elapsed, rise=not reached)
            taken += total
        if window.peak < self._limit / 2:
            return  # nobody uses the limit that there is, so nothing says that there could be more
        gradient = max(0.5, min(1.0, self._tolerance * expected / taken)) if taken > 0 else 1.0
        wanted = self._limit * gradient + math.sqrt(self._limit)
        self._limit += (wanted - self._limit) * self._smoothing
        self._limit = max(self._minimum, min(self._maximum, self._limit))
        self._reached_for = max(0.0, self._reached_for + (elapsed if reached else -elapsed))
        if self._reached_for >= self.PROBE_SECONDS:
            self._reached_for, self._probing = 0.0, 2

    def _probe(self, window: _Window) -> None:
        """In the first window the calls of before end; the second one says what calls take beside few others."""
        self._probing -= 1
        if self._probing:
            return
        for kind, (count, total) in window.sums.items():
            usual = self._usual.get(kind)
            if usual is not None:
                usual.seconds += (total / count - usual.seconds) * count / (count + self.WINDOW_SAMPLES)

    def _learnt(self, kind: str, mean: float, elapsed: float, *, rise: bool) -> float:
        """The usual time of a kind with one more window."""
        usual = self._usual.get(kind)
        if usual is None:
            usual = self._usual[kind] = _Usual(mean)
            return mean
        falls = mean < usual.seconds
        if falls or rise:
            weight = elapsed / (elapsed + self._long_seconds / (4 if falls else 1))
            first = 1 / (usual.windows + 1) if usual.windows < self.FIRST_WINDOWS else 0.0
            usual.seconds += (mean - usual.seconds) * max(weight, first)
            usual.windows += 1
        if usual.seconds > 2 * mean:  # the end of a long overload
            usual.seconds *= 0.9 ** min(1.0, elapsed)
        return usual.seconds
