"""Who a request is from."""

from gateway.bindings import Route
from gateway.http import Request
from mesh import identity
from mesh.errors import Unauthenticated
from mesh.identity import Identity, TokenVerifier, bearer_token

ACCESS_COOKIE = "gaji_access_token"


def authenticate(request: Request, route: Route, verifier: TokenVerifier) -> Identity | None:
    """The reader, whose token then travels with every call that the running task makes; None: anonymous.

    The ``Authorization`` header goes before the cookie, which is there for EventSource: it cannot send headers. On a
    public route a token that is not valid counts as none, so that a stale cookie never keeps anybody from logging in.

    Raises:
        Unauthenticated: TOKEN_MISSING, TOKEN_EXPIRED or TOKEN_INVALID, where the route needs a reader.
    """
    try:
        reader = _own(verifier.verify(_token(request)))
    except Unauthenticated:
        if not route.public:
            raise
        return None
    identity.enter(reader)
    request.user_id = reader.user_id
    return reader


def _own(reader: Identity) -> Identity:
    """A token that a room was given to act on a reader's behalf is no reader's."""
    if reader.delegated:
        raise Unauthenticated(
            "the access token is not one of a reader: get one from /api/auth/guest, login or refresh",
            reason="TOKEN_INVALID",
        )
    return reader


def _token(request: Request) -> str:
    header = request.header(b"authorization")
    token = bearer_token(header) if header else request.cookie(ACCESS_COOKIE)
    if not token:
        raise Unauthenticated(
            "this needs a reader: send `Authorization: Bearer <access token>`; POST /api/auth/guest gives one",
            reason="TOKEN_MISSING",
        )
    return token
