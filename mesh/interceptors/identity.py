"""Verifies the caller's token."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh import identity
from mesh.identity import TokenVerifier, bearer_token
from mesh.interceptors.pipeline import Around, Call


def verified(verifier: TokenVerifier) -> Around:
    """An anonymous call passes, a wrong token never does: UNAUTHENTICATED."""

    @contextmanager
    def around(call: Call) -> Iterator[None]:
        authorization = call.text("authorization")
        identity.enter(verifier.verify(bearer_token(authorization)) if authorization is not None else None)
        yield

    return around
