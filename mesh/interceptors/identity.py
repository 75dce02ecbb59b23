"""Verifies the caller's token."""

from collections.abc import Awaitable, Collection

from mesh import identity
from mesh.errors import Unauthenticated
from mesh.identity import TICKET, TokenVerifier, bearer_token
from mesh.interceptors.pipeline import Around, Before, Call


def verified(verifier: TokenVerifier, tickets: Collection[str] = ()) -> Around:
    """An anonymous call passes, a wrong token never does: UNAUTHENTICATED.

    Args:
        verifier: of tokens.
        tickets: the paths of the methods that take a ticket, where all others take every other token.
    """

    def around(call: Call) -> None:
        authorization = call.text("authorization")
        caller = verifier.verify(bearer_token(authorization)) if authorization is not None else None
        if caller is not None and (caller.use == TICKET) != (call.method in tickets):
            raise Unauthenticated("this call takes another kind of token", reason="TOKEN_INVALID")
        identity.enter(caller)

    return around


def keys_known(verifier: TokenVerifier) -> Before:
    """Lets a call whose token names an unknown key wait until the file of keys has been looked at."""

    def before(call: Call) -> Awaitable[None] | None:
        authorization = call.text("authorization")
        if authorization is None or not verifier.needs_look(authorization[len(identity.BEARER) :].strip()):
            return None
        return verifier.look()

    return before
