"""What a near cache tells of itself."""

from prometheus_client import Counter, Gauge

from mesh.telemetry.metrics import REGISTRY

BYTES = Gauge("gaji_near_bytes", "Bytes of the values kept in this process.", registry=REGISTRY)
DROPPED = Counter(
    "gaji_near_dropped",
    "Values dropped, by why: invalidated, lost (the news could not be followed).",
    ("why",),
    registry=REGISTRY,
)
WATCHED = Gauge("gaji_near_watched", "Whether the news of invalidations is followed.", registry=REGISTRY)
