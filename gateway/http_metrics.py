"""What is counted of requests, named as OpenTelemetry's conventions for HTTP servers say.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ Streams that have begun are counted apart: how long they
last says nothing of how fast the gateway answers. Labels are of a few values each, whatever clients send.
"""

from collections.abc import Callable

from prometheus_client import Gauge

from gateway.errors import CLIENT_LEFT
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.metrics import REGISTRY

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY")
"""Those that the conventions know (RFC 9110, RFC 5789)."""
OTHER = "_OTHER"
COMPLETE, FAILED, LEFT, CUT, HANDED_OVER = "complete", "failed", "client_left", "cut", "handed_over"
"""How a stream ends: with its call, with an event ``failed``; its reader went away; the gateway cut it off, since its
reader was too slow or may no longer read; it was let go so that its reader comes back to another gateway."""

_SIZES = (128, 1024, 8192, 65536, 524288, 4194304, 33554432)
_REQUEST = ("http_request_method", "http_route")

SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "From a request's head to the end of its answer; streams that have begun are not in it. error_type is the status "
    "from 500 on, or client_left (status 499).",
    (*_REQUEST, "http_response_status_code", "error_type"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    registry=REGISTRY,
)
ACTIVE = Gauge(
    "http_server_active_requests",
    "Requests being answered, streams among them.",
    ("http_request_method",),
    registry=REGISTRY,
)
RECEIVED = Histogram(
    "http_server_request_body_size_bytes",
    "Bodies of requests, by their Content-Length; streams are not in it.",
    _REQUEST,
    buckets=_SIZES,
    registry=REGISTRY,
)
SENT = Histogram(
    "http_server_response_body_size_bytes",
    "Bodies of answers; streams are not in it.",
    _REQUEST,
    buckets=_SIZES,
    registry=REGISTRY,
)
STREAM_SECONDS = Histogram(
    "gaji_sse_stream_duration_seconds",
    "Streams that have ended, by how: complete, failed, client_left, cut, handed_over.",
    ("http_route", "outcome"),
    buckets=(1, 2.5, 5, 10, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
FIRST_EVENT_SECONDS = Histogram(
    "gaji_sse_first_event_seconds",
    "From a stream's request to its first event.",
    ("http_route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)

_active = dict.fromkeys((*METHODS, OTHER), 0)
_answered: dict[tuple[str, str, int], tuple[Histogram, Histogram, Histogram]] = {}


def _reads(method: str) -> Callable[[], float]:
    return lambda: _active[method]


for _name in _active:  # read when Prometheus asks
    ACTIVE.labels(_name).set_function(_reads(_name))


def known(method: str) -> str:
    """A method as metrics call it."""
    return method if method in _active else OTHER


def began(method: str) -> None:
    """A request is being answered; its method is a known one."""
    _active[method] += 1


def left(method: str) -> None:
    """It no longer is."""
    _active[method] -= 1


def answered(method: str, route: str, status: int, seconds: float, *, received: bytes, sent: int) -> None:
    """Counts a request that was answered, and is no stream.

    Args:
        method: a known one.
        route: the template that it matched; empty: none.
        status: of the answer.
        seconds: how long it took.
        received: its Content-Length.
        sent: bytes of the answer's body.
    """
    key = method, route, status
    try:
        took, was, got = _answered[key]
    except KeyError:
        labels = method, route
        children = SECONDS.labels(*labels, status, error_type(status)), RECEIVED.labels(*labels), SENT.labels(*labels)
        took, was, got = _answered[key] = children
    took.observe(seconds)
    if received.isdigit():
        was.observe(int(received))
    got.observe(sent)


def error_type(status: int) -> str:
    """What went wrong, by the status; empty: nothing on our side."""
    if status == CLIENT_LEFT:
        return LEFT
    return str(status) if status >= 500 else ""
