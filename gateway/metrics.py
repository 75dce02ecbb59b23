"""What the gateway counts."""

from prometheus_client import Counter, Gauge, Histogram

from mesh.telemetry.metrics import LATENCY_BUCKETS, REGISTRY

REQUESTS = Counter("gaji_http_requests_total", "Requests answered.", ("route", "method", "status"), registry=REGISTRY)
SECONDS = Histogram(
    "gaji_http_request_seconds",
    "From a request's headers to the end of its answer.",
    ("route", "method"),
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
COPIES = Counter(
    "gaji_edge_copies_total", "Answers from before, given because nobody answered.", ("route",), registry=REGISTRY
)
SSE_CONNECTIONS = Gauge("gaji_sse_connections", "Streams open to readers.", registry=REGISTRY)
SSE_RESUMES = Counter(
    "gaji_sse_resumes_total", "Streams called again after their peer was lost.", ("room",), registry=REGISTRY
)
SSE_EVENTS = Counter("gaji_sse_events_total", "Events sent to readers.", registry=REGISTRY)
