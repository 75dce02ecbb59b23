"""Answers requests: the ASGI application inside the middleware."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from gateway.admission import Admission
from gateway.annotated import fill_annotated
from gateway.auth import Authenticator, Watch
from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.cookies import wire_name
from gateway.copies import Copies
from gateway.counts import Counts, one_more_stream
from gateway.edge_cache import EdgeCache
from gateway.errors import ClientLeft, EdgeError, Header, error_body, error_headers, http_status
from gateway.http import NO_STORE, Receive, Request, Scope, Send
from gateway.json_body import parse_json
from gateway.json_request import build_request
from gateway.limits import RateLimits
from gateway.middleware import Observed
from gateway.raw_body import takes_bytes
from gateway.router import Match, Router, method_not_allowed
from gateway.sse import EventStreams
from gateway.static import answer_file
from gateway.unary import UnaryCalls
from gateway.upstreams import Upstream
from gateway.web import WebApp
from mesh.errors import Internal, MeshError, ResourceExhausted
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_PAGE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page of the gateway's own answers."""

    status: int
    body: bytes
    content_type: bytes
    headers: Sequence[Header] = (NO_STORE,)


Page = Callable[[], Awaitable[Answer]]
Own = Callable[[Request], Awaitable[None]]
"""A page that looks at who asks, and answers by itself."""


class Gateway:
    """The application.

    Args:
        settings: limits and deadlines.
        routes: what the contract binds.
        upstreams: the peers by room.
        authenticator: lets readers in.
        pages: path -> what answers GET there, beside the contract's routes.
        own: likewise, of those that answer by themselves.
        admission: has places for streams.
        watch: says which streams may go on.
        limits: of rates.
        web: the web app; None: there is none.
        check: refuses a route that is switched off, by an error.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        routes: Sequence[Route],
        upstreams: Mapping[str, Upstream],
        authenticator: Authenticator,
        pages: Mapping[str, Page],
        *,
        own: Mapping[str, Own],
        admission: Admission,
        watch: Watch,
        limits: RateLimits,
        web: WebApp | None = None,
        check: Callable[[Route], None] = lambda _route: None,
    ) -> None:
        self._settings = settings
        self._router = Router(routes)
        self._upstreams = upstreams
        self._authenticator = authenticator
        self._pages = pages
        self._own = own
        self._copies = Copies(settings.edge_copies_bytes)
        self._unary = UnaryCalls(settings, EdgeCache(settings.edge_cache_bytes), self._copies)
        self._admission = admission
        self._streams = EventStreams(settings, admission, watch)
        self._limits = limits
        self._web = web
        self._check = check
        self._open_streams = Counts(settings.max_streams_per_user)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answers one request; whatever goes wrong is an answer as well."""
        request: Request = scope[Observed.KEY]
        request.send = send
        try:
            await self._answer(request)
        except ClientLeft:
            return
        except EdgeError as error:
            await _refuse(request, error)
        except MeshError as error:
            await _refuse(request, EdgeError(http_status(error), error))
        except Exception:
            log.exception("a request failed", extra={"route": request.label})
            if request.started:
                raise
            internal = Internal("something went wrong on our side; the request id is in the logs")
            await _refuse(request, EdgeError(500, internal))

    def drain(self) -> None:
        """Lets go of the streams that can be resumed elsewhere, one after the other."""
        self._streams.drain()

    def end_streams(self) -> None:
        """Ends the others that are still running, politely."""
        self._streams.end_all()

    def close(self) -> None:
        """Leaves nothing behind."""
        self._streams.close()

    async def _answer(self, request: Request) -> None:
        page = self._pages.get(request.raw_path)
        if page is not None:
            self._admission.late(request)
            await _answer_page(request, page)
        elif (own := self._own.get(request.raw_path)) is not None:
            await _answer_own(request, own)
        elif self._web is not None and (file := self._web.find(request.raw_path)) is not None:
            self._admission.late(request)
            request.label = file.label
            if not await _answered_options(request):
                await self._limits.admit_file(request)
                await answer_file(request, file)
        elif request.method == "OPTIONS" and (allowed := self._router.allowed(request.raw_path)):
            self._admission.late(request)
            await request.respond(204, b"", [(b"allow", ", ".join(sorted(allowed)).encode())])
        else:
            try:
                match = self._router.match(request.method, request.raw_path)
            except (EdgeError, MeshError):
                self._admission.late(request)
                raise
            await self._answer_route(request, match)

    async def _answer_route(self, request: Request, match: Match) -> None:
        route = match.route
        request.label = route.template.text
        if not route.streaming:
            self._admission.late(request)
        try:
            query = await self._authenticator.admit(request, route, request.query())
        finally:  # who has no valid token is limited as well, by address
            await self._limits.admit(request, route)
        self._check(route)
        await self._authenticator.redeem(request)
        body: object = None
        if route.body:
            limit = route.max_body_bytes or self._settings.max_body_bytes
            raw = takes_bytes(route)
            sent = await self._admission.body(request, limit, self._settings.body_seconds, raw=raw)
            body = sent if raw else parse_json(sent) if sent else None
        else:
            request.refuse_body()
        message = build_request(route, body, match.variables, query)
        for cookie in route.request_cookies:
            if not getattr(message, cookie.field):
                name = wire_name(cookie.name, cookie.path, secure=self._settings.cookie_secure)
                setattr(message, cookie.field, request.cookie(name))
        fill_annotated(message, route, request)
        await self._limits.admit_account(request, route, message)
        self._check_size(message.ByteSize())
        upstream = self._upstreams[route.room]
        reads = route.reads or not request.user_id
        with nullcontext() if reads else self._copies.writing(request.user_id):
            if route.streaming:
                with one_more_stream(self._open_streams, request):
                    await self._streams.answer(request, route, upstream, message)
            else:
                await self._unary.answer(request, route, upstream, message)

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_message_bytes:
            text = f"the request has {size:,} bytes; at most {self._settings.max_message_bytes:,} can be handed on"
            raise EdgeError(413, ResourceExhausted(text, reason="BODY_TOO_LARGE"))


async def _answer_page(request: Request, page: Page) -> None:
    request.label = request.raw_path
    if not await _answered_options(request):
        answer = await page()
        await request.respond(answer.status, answer.body, answer.headers, content_type=answer.content_type)


async def _answered_options(request: Request) -> bool:
    """Refuses what pages do not take, and answers OPTIONS; False: the page is asked for.

    Raises:
        EdgeError: 405.
    """
    if request.method not in _PAGE_METHODS:
        raise method_not_allowed(request.method, _PAGE_METHODS)
    if request.method == "OPTIONS":
        await request.respond(204, b"", [(b"allow", b", ".join(name.encode() for name in sorted(_PAGE_METHODS)))])
        return True
    return False


async def _answer_own(request: Request, own: Own) -> None:
    request.label = request.raw_path
    if request.method != "GET":
        raise method_not_allowed(request.method, {"GET"})
    await own(request)


async def _refuse(request: Request, refusal: EdgeError) -> None:
    headers = [NO_STORE, *refusal.headers, *error_headers(refusal.error)]
    body = error_body(refusal.error)
    if refusal.linger:
        await request.respond_and_linger(refusal.status, body, headers)
    else:
        await request.respond(refusal.status, body, headers)
