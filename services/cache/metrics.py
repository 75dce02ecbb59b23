"""Prometheus metrics of the cache."""

from functools import cache

from prometheus_client import Counter, Gauge

from mesh.telemetry.metrics import REGISTRY

LOOKUPS = Counter(
    "gaji_cache_lookups",
    "Lookups by kind and result: hit, stale (a hit too), absent, lease, contended, error.",
    ("kind", "result"),
    registry=REGISTRY,
)
STORES = Counter("gaji_cache_stores", "Stores by kind and result: stored, lost.", ("kind", "result"), registry=REGISTRY)
INVALIDATIONS = Counter("gaji_cache_invalidations", "Values that were invalidated.", ("kind",), registry=REGISTRY)
WATCHERS = Gauge("gaji_cache_watchers", "Open watches of invalidations.", registry=REGISTRY)


@cache
def lookups(kind: str, result: str) -> Counter:
    """The series of `LOOKUPS` for a kind and a result, which are few: to find it costs more than to count."""
    return LOOKUPS.labels(kind, result)
