"""Prometheus metrics. RPC names follow the convention of go-grpc-prometheus, which most dashboards know."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

REGISTRY = CollectorRegistry()
PROCESS = ProcessCollector(registry=REGISTRY)
"""Memory and the like, read from /proc: for threads."""
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_METHOD = ("grpc_service", "grpc_method")

SERVER_IN_FLIGHT = Gauge("grpc_server_in_flight", "Calls being answered.", _METHOD, registry=REGISTRY)
SERVER_HANDLED = Counter(
    "grpc_server_handled_total", "Calls answered, by status.", (*_METHOD, "grpc_code"), registry=REGISTRY
)
SERVER_SECONDS = Histogram(
    "grpc_server_handling_seconds", "From request to status.", _METHOD, buckets=LATENCY_BUCKETS, registry=REGISTRY
)
SERVER_FIRST_MESSAGE_SECONDS = Histogram(
    "grpc_server_first_message_seconds",
    "From request to the first message of a stream.",
    _METHOD,
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)
SERVER_MESSAGES = Counter("grpc_server_msg_sent_total", "Messages sent on streams.", _METHOD, registry=REGISTRY)
CLIENT_HANDLED = Counter(
    "grpc_client_handled_total", "Calls to peers, by status.", (*_METHOD, "grpc_code"), registry=REGISTRY
)
CLIENT_SECONDS = Histogram(
    "grpc_client_handling_seconds", "From call to status.", _METHOD, buckets=LATENCY_BUCKETS, registry=REGISTRY
)
JWT_KEYS = Gauge("gaji_jwt_keys", "Keys that access tokens are verified with.", registry=REGISTRY)


def split_method(path: str) -> tuple[str, str]:
    """``"/gaji.cache.v1.CacheService/Lookup"`` as service and method, the two labels of a call."""
    _, service, method = path.split("/", 2)
    return service, method
