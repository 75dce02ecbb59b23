"""Which requests are answered when there are too many: decided before anything is read of them but their head."""

import math
import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.config import GatewaySettings
from gateway.errors import EdgeError, Header, error_body, error_headers
from gateway.http import JSON, NO_STORE, App, Receive, Request, Scope, Send
from gateway.metrics import CONNECTIONS_LIMIT, SHED_CONNECTIONS, SHED_STREAMS, SSE_LIMIT
from gateway.middleware import API_POLICY, SECURITY_HEADERS, Observed
from mesh.errors import Unavailable
from mesh.interceptors.limit import OVERLOADED
from mesh.limiter import Gradient, Limiter, LoopLag, Partitions, Permit
from mesh.limiter.metrics import Metrics
from mesh.priority import INTERACTIVE
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

ALWAYS = frozenset({b"/health", b"/ready"})
"""Paths that are answered whatever happens: whoever restarts processes asks them."""
_RETRY_SECONDS = (1, 2, 3)
_TOO_MANY = "the gateway has more requests than it can answer in time; try again in a moment"


class Admission:
    """Permits for requests, and places for streams and connections.

    A request holds its permit until it is answered, a stream until it runs: streams have a bound of their own. How long
    unary requests take, and how long the event loop's rounds are, which is what a request has waited before it was
    seen, says how many may be answered at once.

    Args:
        settings: bounds.
        clock: seconds, only going forward.
    """

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.perf_counter) -> None:
        self._limiter = (
            Limiter(
                Gradient(initial=settings.limit_initial, minimum=settings.limit_min, maximum=settings.limit_max),
                Partitions({INTERACTIVE: 1.0}),
                clock=clock,
                observer=Metrics(),
            )
            if settings.limit
            else None
        )
        self._clock = clock
        self._max_streams = settings.max_streams
        self._streams = 0
        self._refused = 0
        self._told = float("-inf")
        self.lag = LoopLag(clock)
        self.max_connections = settings.max_connections
        SSE_LIMIT.set(settings.max_streams or math.inf)
        CONNECTIONS_LIMIT.set(settings.max_connections)

    def request(self, path: bytes) -> Permit | bool | None:
        """A permit; True: none is needed; None: the request is to be refused.

        Args:
            path: as it came.
        """
        if self._limiter is None or path in ALWAYS:
            return True
        permit = self._limiter.acquire(INTERACTIVE)
        if permit is None:
            self._tell()
        return permit

    async def body(self, request: Request, limit: int, seconds: float, *, raw: bool = False) -> bytes:
        """A request's body. Whoever sends it slowly keeps nobody out meanwhile: the permit is taken anew afterwards.

        Raises:
            EdgeError: as `Request.body` does, and 503.
            ClientLeft: the client went away while sending.
        """
        if request.permit is not None:
            request.permit.end()
            request.permit = None
        body = await request.body(limit, seconds, raw=raw)
        self.late(request)
        return body

    def late(self, request: Request) -> None:
        """Takes a permit for a request that came without one, and is no stream after all.

        Raises:
            EdgeError: 503, there is none.
        """
        if self._limiter is not None and request.permit is None and request.raw_path.encode("latin-1") not in ALWAYS:
            request.permit = self._limiter.acquire(INTERACTIVE)
            if request.permit is None:
                self._tell()
                raise _overloaded(_TOO_MANY)

    def stream(self) -> None:
        """Takes a place for a stream; to be given back by `stream_ended`.

        Raises:
            EdgeError: 503, all are taken.
        """
        if self._max_streams and self._streams >= self._max_streams:
            SHED_STREAMS.inc()
            raise _overloaded(f"this gateway has all of its {self._max_streams:,} streams open; try again in a moment")
        self._streams += 1

    def stream_ended(self) -> None:
        """Gives the place back."""
        self._streams -= 1

    def connection_refused(self) -> None:
        """There are too many connections."""
        SHED_CONNECTIONS.inc()
        self._tell()

    def _tell(self) -> None:
        """One line a second of how many were refused; a line each would cost more than the refusals."""
        self._refused += 1
        now = self._clock()
        if now - self._told >= 1.0:
            log.warning("requests are refused: overload", extra={"refused": self._refused})
            self._refused, self._told = 0, now


def _overloaded(text: str) -> EdgeError:
    seconds = random.choice(_RETRY_SECONDS)  # noqa: S311 - spreads load, hides nothing
    return EdgeError(503, Unavailable(text, reason=OVERLOADED, retry_after=seconds))


class Admitted:
    """Gives permits back when their requests are answered; outermost.

    Args:
        app: the application.
        admission: whose permits.
    """

    def __init__(self, app: App, admission: Admission) -> None:
        self._app = app
        self._lag = admission.lag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        try:
            await self._app(scope, receive, send)
        finally:
            request: Request | None = scope.get(Observed.KEY)
            if request is not None and request.permit is not None:
                request.permit.end(_kind(request), self._lag.seconds)


def _kind(request: Request) -> str | None:
    """What a request's time is compared with; None: with nothing."""
    telling = 200 <= request.status < 400 or request.status == 504
    return (request.kind or request.label or None) if telling else None


def refusal(origins: Sequence[str]) -> Callable[[Sequence[Header], bool], bytes]:
    """What makes the whole answer of a refused request, each of its few forms once.

    Args:
        origins: whose pages may read it.
    """
    allowed = {origin.encode() for origin in origins}

    @lru_cache(maxsize=256)
    def made(origin: bytes | None, seconds: int, close: bool) -> bytes:
        error = Unavailable(
            _TOO_MANY,
            reason=OVERLOADED,
            retry_after=seconds,
        )
        body = error_body(error)
        headers = [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            NO_STORE,
            *error_headers(error),
            *SECURITY_HEADERS,
            API_POLICY,
        ]
        if origin is not None:
            headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"Retry-After"),
                (b"vary", b"Origin"),
            ]
        if close:
            headers.append((b"connection", b"close"))
        return STATUS_LINE[503] + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + body

    def make(headers: Sequence[Header], close: bool) -> bytes:
        origin = None
        if allowed:
            origin = next((value for name, value in headers if name == b"origin" and value in allowed), None)
        return made(origin, random.choice(_RETRY_SECONDS), close)  # noqa: S311 - spreads load, hides nothing

    return make
