"""Who a request is from."""

import time
from collections.abc import Callable, Collection

from gaji.library.v1 import auth_service_pb2 as pb

from gateway.bindings import Route
from gateway.cookies import wire_name
from gateway.http import Request
from gateway.origin import changes, check_origin, keeps_cookies
from gateway.revocations import Revocations
from gateway.upstreams import Upstream
from mesh import identity
from mesh.errors import Unauthenticated, translated
from mesh.identity import DELEGATED, TICKET, Identity, TokenVerifier, bearer_token

ACCESS_COOKIE = "gaji_access_token"
TICKET_PARAMETER = "ticket"
_REDEEM = "/gaji.library.v1.AuthService/RedeemStreamTicket"

Query = list[tuple[str, str]]


class Authenticator:
    """Lets requests in, or not.

    A token comes in the ``Authorization`` header; or, for EventSource, which cannot send headers, as a ticket in the
    query of a GET that streams, or in a cookie. The first of these counts.

    Args:
        verifier: of tokens.
        revocations: the sessions that have ended.
        library: redeems tickets; None: there are none.
        origins: those whose pages may use a reader's cookies, beside our own.
        secure: whether cookies come through TLS alone.
        timeout: deadline in seconds of redeeming a ticket.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        revocations: Revocations,
        library: Upstream | None,
        *,
        origins: Collection[str] = (),
        secure: bool = False,
        timeout: float = 10.0,
    ) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._library = library
        self._origins = frozenset(origins)
        self._cookie = wire_name(ACCESS_COOKIE, "/", secure=secure)
        self._timeout = timeout

    async def admit(self, request: Request, route: Route, query: Query) -> Query:
        """Finds the reader, whose token then travels with every call that the running task makes.

        A ticket does not; it is to be redeemed (`redeem`). On a public route a token that is not valid counts as none,
        so that a stale cookie never keeps anybody from logging in.

        Returns:
            The query without the ticket, which nobody else shall see.

        Raises:
            Unauthenticated: TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID or TOKEN_REVOKED, where the route needs a
                reader.
            PermissionDenied: CROSS_SITE: a page of another origin would use the reader's cookies.
        """
        identity.enter(None)  # a pipelined request's task begins where the one before it ended, as its reader
        ticket, query = self._ticket(route, query)
        header = request.header(b"authorization")
        cookie = "" if header or ticket else request.cookie(self._cookie)
        if not header and changes(route) and (cookie or keeps_cookies(route)):
            check_origin(request, self._origins)
        try:
            if ticket and not header:
                reader = await self._proved(ticket, TICKET)
            else:
                reader = await self._proved(bearer_token(header) if header else cookie, "")
        except Unauthenticated:
            if not route.public:
                raise
            return query
        if not reader.use:
            identity.enter(reader)
        request.reader, request.user_id = reader, reader.user_id
        return query

    async def redeem(self, request: Request) -> None:
        """Exchanges a ticket, if that is what a request was admitted with, for a token that rooms take.

        Apart from `admit`, since it asks library: who asks too much is refused in between.

        Raises:
            MeshError: the ticket could not be redeemed.
        """
        reader = request.reader
        if reader is not None and reader.use == TICKET:
            request.reader = await self._redeemed(reader)
            identity.enter(request.reader)

    def _ticket(self, route: Route, query: Query) -> tuple[str, Query]:
        if self._library is None or not takes_tickets(route):
            return "", query
        tickets = [value for name, value in query if name == TICKET_PARAMETER]
        if not tickets:
            return "", query
        return tickets[0], [(name, value) for name, value in query if name != TICKET_PARAMETER]

    async def _proved(self, token: str, use: str) -> Identity:
        """Whom a token is of, which must be for this use."""
        if not token:
            raise Unauthenticated(
                "this needs a reader: send `Authorization: Bearer <access token>`; POST /api/auth/guest gives one",
                reason="TOKEN_MISSING",
            )
        if self._verifier.needs_look(token):
            await self._verifier.look()
        reader = self._verifier.verify(token)
        if reader.use != use:
            raise Unauthenticated(
                "the token is of another kind: a reader's access token goes into the header or a cookie, a stream"
                f" ticket into the parameter `{TICKET_PARAMETER}` of a GET that streams",
                reason="TOKEN_INVALID",
            )
        if reader.session_id in self._revocations:
            raise revoked()
        return reader

    async def _redeemed(self, ticket: Identity) -> Identity:
        """A reader whose token rooms take: a ticket itself, which stands in URLs, is good for nothing inside."""
        assert self._library is not None  # noqa: S101 - else there was no ticket
        identity.enter(ticket)
        try:
            with translated(self._library.room):
                raw = await self._library.unary(
                    _REDEEM, pb.RedeemStreamTicketRequest().SerializeToString(), self._timeout
                )
        finally:
            identity.enter(None)
        token = pb.RedeemStreamTicketResponse.FromString(raw).access_token
        ends_at = ticket.ends_at
        return Identity(ticket.user_id, ticket.guest, ends_at, token, DELEGATED, ticket.session_id, ends_at)


class Watch:
    """Says of open streams whether they may go on.

    Args:
        revocations: the sessions that have ended.
        grace: seconds that a stream may go on after its token has expired, so that a reply in its last words is not
            cut.
        now: seconds since the epoch.
    """

    def __init__(self, revocations: Revocations, grace: float, now: Callable[[], float] = time.time) -> None:
        self._revocations = revocations
        self._grace = grace
        self._now = now

    def refusal(self, reader: Identity | None) -> Unauthenticated | None:
        """Why a reader's stream must end; None: it need not."""
        if reader is None:
            return None
        if reader.session_id in self._revocations:
            return revoked()
        if reader.ends_at + self._grace <= self._now():
            return Unauthenticated("the access token has expired: get a new one and connect again", reason=EXPIRED)
        return None


EXPIRED = "TOKEN_EXPIRED"


def takes_tickets(route: Route) -> bool:
    """Whether a route is one that EventSource calls."""
    return route.streaming and route.verb == "GET"


def revoked() -> Unauthenticated:
    """What is said to somebody whose session has ended."""
    return Unauthenticated("the session has ended: sign in again", reason="TOKEN_REVOKED")
