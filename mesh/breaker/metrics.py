"""The breakers' metrics, read from them when Prometheus asks: nothing is paid for them at each call."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mesh.breaker.registry import REGISTRIES
from mesh.breaker.state import Snapshot, State
from mesh.telemetry.metrics import REGISTRY

_LABELS = ("peer", "group")
_Gauge: TypeAlias = GaugeMetricFamily
_Counter: TypeAlias = CounterMetricFamily
_Families: TypeAlias = tuple[_Gauge, _Gauge, _Gauge, _Gauge, _Counter, _Counter]


class BreakerCollector(Collector):
    """Tells of all breakers of the process."""

    def describe(self) -> Iterable[Metric]:
        """The families, empty."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """The families, one sample a breaker (of the state: six, one of them 1)."""
        state, failing, slow, calls, rejected, transitions = families = self._families()
        for key, snapshots in self._snapshots().items():
            for one in State:
                state.add_metric((*key, one.value), sum(snapshot.state is one for snapshot in snapshots))
            known = [snapshot for snapshot in snapshots if snapshot.failure_rate is not None]
            if known:
                failing.add_metric(key, max(snapshot.failure_rate or 0.0 for snapshot in known) / 100)
                slow.add_metric(key, max(snapshot.slow_rate or 0.0 for snapshot in known) / 100)
            calls.add_metric(key, sum(snapshot.calls for snapshot in snapshots))
            rejected.add_metric(key, sum(snapshot.rejected for snapshot in snapshots))
            counts: defaultdict[tuple[State, State], int] = defaultdict(int)
            for snapshot in snapshots:
                for change, count in snapshot.transitions.items():
                    counts[change] += count
            for (before, after), count in counts.items():
                transitions.add_metric((*key, before.value, after.value), count)
        yield from families

    @staticmethod
    def _families() -> _Families:
        return (
            GaugeMetricFamily("gaji_breaker_state", "1: the breaker is in this state.", labels=(*_LABELS, "state")),
            GaugeMetricFamily(
                "gaji_breaker_failure_ratio",
                "Failed calls in the window, of 1; absent below the minimum.",
                labels=_LABELS,
            ),
            GaugeMetricFamily(
                "gaji_breaker_slow_ratio", "Slow calls in the window, of 1; absent below the minimum.", labels=_LABELS
            ),
            GaugeMetricFamily("gaji_breaker_window_calls", "Calls in the window.", labels=_LABELS),
            CounterMetricFamily("gaji_breaker_rejected", "Calls refused.", labels=_LABELS),
            CounterMetricFamily("gaji_breaker_transitions", "Changes of state.", labels=(*_LABELS, "from", "to")),
        )

    @staticmethod
    def _snapshots() -> dict[tuple[str, str], list[Snapshot]]:
        found: defaultdict[tuple[str, str], list[Snapshot]] = defaultdict(list)
        for breakers in list(REGISTRIES):
            for breaker in breakers.matching():
                found[breaker.peer, breaker.group].append(breaker.snapshot())
        return found


REGISTRY.register(BreakerCollector())
