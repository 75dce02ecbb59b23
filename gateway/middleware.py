"""What stands around every request: ids, security headers, metrics and one line of log."""

import base64
import hashlib
import time
from collections.abc import Iterable
from typing import Any

from starlette.middleware.cors import CORSMiddleware

from gateway import http_metrics
from gateway.address import ClientAddresses
from gateway.errors import CLIENT_LEFT, Header
from gateway.http import App, Event, Receive, Request, Scope, Send
from gateway.tracing import Tracing, end_request
from mesh.telemetry import trace
from mesh.telemetry.logs import get_logger

log = get_logger("gateway.access")

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
API_POLICY: Header = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
UNMATCHED = "unmatched"
EXPOSED_HEADERS = (
    "Age",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Cache",
    "X-Request-Id",
)


def page_policy(styles: Iterable[str], scripts: Iterable[str]) -> Header:
    """A Content-Security-Policy for a page that carries its styles and scripts in itself and loads nothing."""
    style = " ".join(map(_source, styles)) or "'none'"
    script = " ".join(map(_source, scripts)) or "'none'"
    policy = f"default-src 'none'; style-src {style}; script-src {script}; frame-ancestors 'none'; base-uri 'none'"
    return b"content-security-policy", policy.encode()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def cors(app: App, origins: tuple[str, ...]) -> App:
    """Lets pages of other origins call, cookies included (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "X-Request-Id", "Traceparent"],
        expose_headers=list(EXPOSED_HEADERS),
        allow_credentials=True,
        max_age=600,
    )


class Observed:
    """Wraps the application; the innermost part finds the request in the scope under `Observed.KEY`."""

    KEY = "gaji.request"

    def __init__(self, app: App, addresses: ClientAddresses, tracing: Tracing) -> None:
        self._app = app
        self._addresses = addresses
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway does not speak {scope['type']}")
        status = 0

        async def observed(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = request.status = event["status"]
                event["headers"] = _with_security(event["headers"], context.request_id)
            else:
                request.sent += len(event["body"])
            await send(event)

        request = scope[self.KEY] = Request(scope, receive, observed)
        request.client = self._addresses.of(scope)
        context = self._tracing.begin(request, scope["scheme"])
        method = http_metrics.known(request.method)
        http_metrics.began(method)
        try:
            await self._app(scope, receive, observed)
        finally:
            http_metrics.left(method)
            _record(request, method, status or CLIENT_LEFT, time.perf_counter() - request.began)
            end_request(context, request, status or CLIENT_LEFT)


def _with_security(headers: Iterable[Header], request_id: str) -> list[Header]:
    all_headers = [*headers, *SECURITY_HEADERS, (b"x-request-id", request_id.encode())]
    if not any(name == API_POLICY[0] for name, _ in all_headers):
        all_headers.append(API_POLICY)
    return all_headers


def _record(request: Request, method: str, status: int, seconds: float) -> None:
    route = request.label
    if request.outcome:
        http_metrics.STREAM_SECONDS.labels(route, request.outcome).observe(seconds)
    else:
        received = request.headers.get(b"content-length", b"")
        http_metrics.answered(method, route, status, seconds, received=received, sent=request.sent)
    facts: dict[str, Any] = {
        "method": request.method,
        "route": route or UNMATCHED,
        "status": status,
        "bytes": request.sent,
        "ms": round(seconds * 1000, 1),
        "user_id": request.user_id,
        "client": request.client,
        **trace.attributes(),
    }
    log.info("request", extra=facts)
