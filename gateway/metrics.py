"""What the gateway counts."""

from prometheus_client import Counter, Gauge

from mesh.telemetry.metrics import REGISTRY

COPIES = Counter(
    "gaji_edge_copies_total", "Answers from before, given because nobody answered.", ("http_route",), registry=REGISTRY
)
SSE_CONNECTIONS = Gauge("gaji_sse_connections", "Streams open to readers.", registry=REGISTRY)
SSE_LIMIT = Gauge("gaji_sse_connections_limit", "Streams open to readers at most; +Inf: no bound.", registry=REGISTRY)
SSE_RESUMES = Counter(
    "gaji_sse_resumes_total", "Streams called again after their peer was lost.", ("room",), registry=REGISTRY
)
SSE_READER_RESUMES = Counter(
    "gaji_sse_reader_resumes_total",
    "Streams asked for by a reader who goes on after the last event that they have.",
    ("http_route",),
    registry=REGISTRY,
)
CONNECTIONS = Gauge("gaji_connections", "Connections of clients.", registry=REGISTRY)
CONNECTIONS_LIMIT = Gauge("gaji_connections_limit", "Connections of clients at most.", registry=REGISTRY)
REVOCATIONS = Gauge(
    "gaji_revoked_sessions", "Sessions that ended before the last of their access tokens.", registry=REGISTRY
)
REVOCATIONS_AGE = Gauge(
    "gaji_revoked_sessions_age_seconds", "Since library was last heard of which sessions ended.", registry=REGISTRY
)
SSE_CUT = Counter(
    "gaji_sse_cut_total",
    "Streams ended because their reader may no longer read, by reason.",
    ("reason",),
    registry=REGISTRY,
)
RATE_LIMITED = Counter(
    "gaji_rate_limit_total",
    "Requests counted, by policy and whether they were allowed or refused.",
    ("policy", "outcome"),
    registry=REGISTRY,
)
RATE_LIMIT_LOCAL = Gauge(
    "gaji_rate_limit_local", "1 while Redis is away and this gateway counts for itself.", registry=REGISTRY
)
STREAMS_REFUSED = Counter(
    "gaji_streams_refused_total", "Streams refused because their reader had too many open.", registry=REGISTRY
)
CONNECTIONS_REFUSED = Counter(
    "gaji_connections_refused_total", "Connections refused because their address had too many.", registry=REGISTRY
)
SLOW_READERS_CUT = Counter(
    "gaji_slow_readers_cut_total", "Connections cut because nobody read an answer.", registry=REGISTRY
)
SSE_EVENTS = Counter("gaji_sse_events_total", "Events sent to readers.", registry=REGISTRY)
SHED_STREAMS = Counter("gaji_sse_shed_total", "Streams refused, all places being taken.", registry=REGISTRY)
SHED_CONNECTIONS = Counter(
    "gaji_connections_shed_total", "Connections refused, all places being taken.", registry=REGISTRY
)
