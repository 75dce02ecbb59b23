"""How breakers behave: the settings ``GAJI_BREAKER_*``, checked."""

from dataclasses import dataclass
from typing import Self

from mesh.breaker.state import State
from mesh.config import MeshSettings

_MODES = {State.CLOSED, State.DISABLED, State.METRICS_ONLY}


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Resilience4j's configuration under the names of our variables.

    The slow rate is 100 % and slow is above 9 s, just below the default deadline. A burst that queues for seconds and
    is answered in the end makes all calls slow at once: to open then would make an outage of it. And a single long
    call among others (an ingestion, a cold model) never opens a breaker.

    Attributes:
        mode: the state that breakers begin in and are reset to: CLOSED, DISABLED or METRICS_ONLY.
        window: calls that the rates are of.
        window_seconds: above 0: they are of the calls of so many seconds instead.
        minimum_calls: without so many of them no rate is known; never more than a window of calls holds.
        failure_rate: percent of failed calls from which on a breaker opens.
        slow_rate: percent of slow calls from which on it opens.
        slow_seconds: a call that takes longer is slow.
        open_seconds: how long it stays open the first time.
        open_multiplier: by how much longer each time that the probes fail.
        open_max_seconds: and at most.
        half_open_calls: how many calls probe the peer after that.
        probe_seconds: a probe that has not ended after so long gives its place to another.

    Raises:
        ValueError: a value makes no sense; the message names its variable.
    """

    mode: State = State.CLOSED
    window: int = 10
    window_seconds: int = 0
    minimum_calls: int = 10
    failure_rate: float = 50.0
    slow_rate: float = 100.0
    slow_seconds: float = 9.0
    open_seconds: float = 30.0
    open_multiplier: float = 1.0
    open_max_seconds: float = 300.0
    half_open_calls: int = 5
    probe_seconds: float = 30.0

    def __post_init__(self) -> None:
        self._check("mode", self.mode in _MODES, "must be closed, disabled or metrics_only")
        self._check("window", 1 <= self.window <= 100_000, "must be from 1 to 100000 calls")
        self._check("window_seconds", 0 <= self.window_seconds <= 3600, "must be from 1 to 3600, or 0 to count calls")
        for name in ("minimum_calls", "half_open_calls"):
            self._check(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("failure_rate", "slow_rate"):
            self._check(name, 0 < getattr(self, name) <= 100, "must be above 0 and at most 100 percent")
        for name in ("slow_seconds", "open_seconds", "probe_seconds"):
            self._check(name, getattr(self, name) > 0, "must be above 0")
        self._check("open_multiplier", self.open_multiplier >= 1, "must be at least 1 (1: no growth)")
        least = f"must not be below GAJI_BREAKER_OPEN_SECONDS={self.open_seconds:g}; raise it"
        self._check("open_max_seconds", self.open_max_seconds >= self.open_seconds, least)

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            value = getattr(self, name)
            shown = value.name.lower() if isinstance(value, State) else value
            raise ValueError(f"GAJI_BREAKER_{name.upper()}={shown}: {rule}")

    @classmethod
    def of(cls, settings: MeshSettings) -> Self:
        """Those of a process.

        Raises:
            ValueError: two of them contradict each other; the message names the variable.
        """
        return cls(
            mode=State[settings.breaker_mode.upper()],
            window=settings.breaker_window,
            window_seconds=settings.breaker_window_seconds,
            minimum_calls=settings.breaker_minimum_calls,
            failure_rate=settings.breaker_failure_rate,
            slow_rate=settings.breaker_slow_rate,
            slow_seconds=settings.breaker_slow_seconds,
            open_seconds=settings.breaker_open_seconds,
            open_multiplier=settings.breaker_open_multiplier,
            open_max_seconds=settings.breaker_open_max_seconds,
            half_open_calls=settings.breaker_half_open_calls,
            probe_seconds=settings.breaker_probe_seconds,
        )

    def wait(self, openings: int) -> float:
        """Seconds that a breaker stays open the n-th time in a row (from 1)."""
        if self.open_multiplier == 1:
            return self.open_seconds
        try:
            return min(self.open_max_seconds, self.open_seconds * self.open_multiplier ** (openings - 1))
        except OverflowError:
            return self.open_max_seconds
