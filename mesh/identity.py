"""Who is calling.

A reader's access token is a JWT (RFC 7519) signed with EdDSA (RFC 8037). It travels as ``authorization`` metadata from
hop to hop, and every server verifies it for itself, so that no process has to trust another's word for it.
"""

import time
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mesh.errors import Unauthenticated

ISSUER = "gaji"
AUDIENCE = "gaji"
ALGORITHM = "EdDSA"
BEARER = "Bearer "
DELEGATED = "delegated"
"""The claim ``use`` of a token that a room was given to act on a reader's behalf."""
_REMEDY = "send `Authorization: Bearer <access token>`; tokens come from /api/auth/guest, login or refresh"


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller.

    Attributes:
        user_id: the user's UUID.
        guest: whether the user has no account yet.
        expires_at: when the token ends, in seconds since the epoch.
        token: the token itself, to be handed on.
        delegated: whether a room acts on the user's behalf; the gateway takes no such token.
    """

    user_id: str
    guest: bool
    expires_at: float
    token: str = field(repr=False)
    delegated: bool = False


_current: ContextVar[Identity | None] = ContextVar("gaji_identity", default=None)


def current() -> Identity | None:
    """The caller of the call that is being answered; None: anonymous."""
    return _current.get()


def require() -> Identity:
    """The caller.

    Raises:
        Unauthenticated: the call came without a token.
    """
    identity = _current.get()
    if identity is None:
        raise Unauthenticated(f"this call needs a reader: {_REMEDY}", reason="TOKEN_MISSING")
    return identity


def enter(identity: Identity | None) -> None:
    """Sets the caller for the rest of the running task; for interceptors, whose task is the call's."""
    _current.set(identity)


class TokenVerifier:
    """Verifies access tokens; a token's signature is checked once while it lives.

    Args:
        public_key_file: PEM of the signer's public key; None: every token is refused.
        remembered: how many verified tokens are kept.

    Raises:
        ValueError: the file holds no Ed25519 public key.
    """

    def __init__(self, public_key_file: Path | None, remembered: int = 10_000) -> None:
        self._key: Ed25519PublicKey | None = None
        if public_key_file is not None:
            key = load_pem_public_key(public_key_file.read_bytes())
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError(f"{public_key_file} holds no Ed25519 public key")
            self._key = key
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._remembered = remembered

    def verify(self, token: str) -> Identity:
        """The identity that a token proves.

        Raises:
            Unauthenticated: reason TOKEN_EXPIRED or TOKEN_INVALID.
        """
        identity = self._verified.get(token)
        if identity is None:
            identity = self._checked(token)
            self._verified[token] = identity
            if len(self._verified) > self._remembered:
                self._verified.popitem(last=False)
        if identity.expires_at <= time.time():
            del self._verified[token]
            raise _expired()
        return identity

    def _checked(self, token: str) -> Identity:
        if self._key is None:
            raise Unauthenticated("this server knows no key to verify tokens with", reason="TOKEN_INVALID")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["sub", "exp", "iat", "jti"]},
            )
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except jwt.PyJWTError:
            raise Unauthenticated(f"the access token is not valid: {_REMEDY}", reason="TOKEN_INVALID") from None
        return Identity(
            str(claims["sub"]),
            bool(claims.get("guest", False)),
            float(claims["exp"]),
            token,
            claims.get("use") == DELEGATED,
        )


def _expired() -> Unauthenticated:
    return Unauthenticated("the access token has expired: get a new one from /api/auth/refresh", reason="TOKEN_EXPIRED")


def bearer_token(authorization: str) -> str:
    """The token in an ``Authorization`` value (RFC 6750).

    Raises:
        Unauthenticated: the value is of another scheme.
    """
    if authorization[: len(BEARER)].lower() != BEARER.lower() or not authorization[len(BEARER) :].strip():
        raise Unauthenticated(f"the Authorization value is not a bearer token: {_REMEDY}", reason="TOKEN_INVALID")
    return authorization[len(BEARER) :].strip()
