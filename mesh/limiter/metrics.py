"""What limiters tell Prometheus."""

from functools import partial

from prometheus_client import Counter, Gauge

from mesh.priority import BATCH, INTERACTIVE
from mesh.telemetry.metrics import REGISTRY

LIMIT = Gauge("gaji_limit", "Calls or requests that may be answered at once.", registry=REGISTRY)
IN_FLIGHT = Gauge(
    "gaji_limit_in_flight", "Calls or requests being answered, by partition.", ("partition",), registry=REGISTRY
)
SHED = Counter("gaji_limit_shed_total", "Calls or requests refused, by partition.", ("partition",), registry=REGISTRY)


class Metrics:
    """Counts for one limiter; a process has one."""

    def __init__(self) -> None:
        names = (INTERACTIVE, BATCH)
        self._in_flight = dict.fromkeys(names, 0)
        for name in names:  # read when it is asked for: set, it would be a tenth of what a call costs its server
            IN_FLIGHT.labels(name).set_function(partial(self._in_flight.__getitem__, name))
        self._shed = {name: SHED.labels(name) for name in names}

    def limit(self, limit: int) -> None:
        """The limit is so high."""
        LIMIT.set(limit)

    def in_flight(self, partition: str, count: int) -> None:
        """So many calls of a partition are in flight."""
        self._in_flight[partition] = count

    def shed(self, partition: str) -> None:
        """A call was refused."""
        self._shed[partition].inc()
