"""Where values that are read through the cache come from."""

from prometheus_client import Counter

from mesh.telemetry.metrics import REGISTRY

RESULTS = Counter(
    "gaji_read_through",
    "Values read through the cache, by kind and by where they came from.",
    ("kind", "result"),
    registry=REGISTRY,
)
TROUBLE = Counter(
    "gaji_read_through_errors", "Calls to the cache that failed, by operation.", ("operation",), registry=REGISTRY
)
RENEWALS = Counter(
    "gaji_read_through_renewals",
    "Stale values computed anew in the background, by kind and result: stored, unstored, absent, failed.",
    ("kind", "result"),
    registry=REGISTRY,
)
