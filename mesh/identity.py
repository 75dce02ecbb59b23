"""Who is calling.

A reader's access token is a JWT (RFC 7519) signed with EdDSA (RFC 8037). It travels as ``authorization`` metadata from
hop to hop, and every server verifies it for itself, so that no process has to trust another's word for it.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from mesh.config import MeshSettings
from mesh.errors import Unauthenticated
from mesh.followed import FollowedFile, following
from mesh.keys import ALGORITHM, KeySet, VerifyingKey, key_set, parse_key_set, pem_key
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import JWT_KEYS

log = get_logger(__name__)

ISSUER = "gaji"
AUDIENCE = "gaji"
BEARER = "Bearer "
DELEGATED = "delegated"
"""The claim ``use`` of a token that a room was given to act on a reader's behalf."""
TICKET = "ticket"
"""The claim ``use`` of a token that opens streams at the gateway, and that no room takes."""
MAX_TOKEN = 4096
SKEW_SECONDS = 5
"""How far ahead the signer's clock may be. No token lives longer for it: ``exp`` has no leeway."""
_HEADERS = frozenset({"alg", "kid", "typ"})
_TYPES = frozenset({"jwt", "at+jwt"})
_RELOAD_SECONDS = 1.0
_REMEDY = "send `Authorization: Bearer <access token>`; tokens come from /api/auth/guest, login or refresh"


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller.

    Attributes:
        user_id: the user's UUID.
        guest: whether the user has no account yet.
        expires_at: when the token ends, in seconds since the epoch.
        token: the token itself, to be handed on.
        use: what it is for: empty: an access token; `DELEGATED`: a room acts on the user's behalf, and the gateway
            takes no such token; `TICKET`: the gateway alone takes it, for streams.
        session_id: the session that it belongs to, which can be revoked; empty: none.
        ends_at: when what it opens must end, in seconds since the epoch: with the token, or, for a ticket, with the
            access token that it was bought with.
    """

    user_id: str
    guest: bool
    expires_at: float
    token: str = field(repr=False)
    use: str = ""
    session_id: str = ""
    ends_at: float = math.inf

    @property
    def delegated(self) -> bool:
        """Whether a room acts on the user's behalf."""
        return self.use == DELEGATED


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
        public_key_file: PEM of the signer's public key; None: there is none beside those of `replace`.
        remembered: how many verified tokens are kept.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no Ed25519 public key.
    """

    def __init__(self, public_key_file: Path | None, remembered: int = 10_000) -> None:
        self._fixed: KeySet = {}
        if public_key_file is not None:
            try:
                self._fixed = key_set([pem_key(public_key_file.read_bytes())])
            except ValueError as error:
                raise ValueError(f"{public_key_file}: {error}") from error
        self._keys = self._fixed
        JWT_KEYS.set(len(self._keys))
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._remembered = remembered
        self._file: FollowedFile[KeySet] | None = None
        self._looked_at = -math.inf
        self._looking = asyncio.Lock()

    @property
    def keys(self) -> tuple[VerifyingKey, ...]:
        """The keys that tokens are taken of now."""
        now = time.time()
        return tuple(key for key in self._keys.values() if key.expires_at > now)

    def replace(self, keys: KeySet) -> None:
        """Takes other keys from now on; tokens of a key that is gone are no longer taken."""
        self._keys = {**self._fixed, **keys}
        self._verified.clear()
        JWT_KEYS.set(len(self._keys))

    def follow(self, file: FollowedFile[KeySet]) -> None:
        """Looks into this file when a token names a key that is unknown."""
        self._file = file

    def needs_look(self, token: str) -> bool:
        """Whether a token names a key that is unknown and may be in the file by now."""
        if self._file is None or token in self._verified or len(token) > MAX_TOKEN:
            return False
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, RecursionError):
            return False
        return key_id is not None and key_id not in self._keys

    async def look(self) -> None:
        """Reads the file of keys, at most once a second whoever asks."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._file is not None and now - self._looked_at >= _RELOAD_SECONDS:
                self._looked_at = now
                await self._file.look(self.replace)

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
        if not self._keys:
            raise Unauthenticated("this server knows no key to verify tokens with", reason="TOKEN_INVALID")
        if len(token) > MAX_TOKEN:
            raise _invalid()
        try:
            key = self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=SKEW_SECONDS,
                options={"require": ["sub", "exp", "iat", "jti"]},
            )
            return _identity(claims, token, key.expires_at)
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid() from None

    def _key_of(self, header: dict[str, Any]) -> VerifyingKey:
        """The key that a header names.

        Raises:
            Unauthenticated: it names none of ours, or says more than we understand: what is critical must not be
                passed over (RFC 7515, section 4.1.11), and where a key is to be had (``jku``, ``x5u``, ``jwk``) is not
                for a token to say.
        """
        typ = header.get("typ", "JWT")
        if not header.keys() <= _HEADERS or not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise _invalid()
        key_id = header.get("kid")
        only = next(iter(self._keys.values())) if len(self._keys) == 1 else None
        key = only if key_id is None else self._keys.get(key_id)
        if key is None or key.expires_at <= time.time():
            raise _invalid()
        return key


@asynccontextmanager
async def open_verifier(settings: MeshSettings) -> AsyncIterator[TokenVerifier]:
    """A verifier that follows the file of keys, if there is one, until the block is left.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds what it should not.
    """
    verifier = await asyncio.to_thread(TokenVerifier, settings.jwt_public_key_file)
    if settings.jwt_keys_file is None:
        yield verifier
        return
    file: FollowedFile[KeySet] = FollowedFile(settings.jwt_keys_file, parse_key_set)
    verifier.replace(await asyncio.to_thread(file.load))
    verifier.follow(file)
    async with following(file, verifier.replace, settings.jwt_keys_poll_seconds):
        yield verifier


def _identity(claims: dict[str, Any], token: str, key_ends_at: float) -> Identity:
    """What verified claims say.

    Raises:
        ValueError: a claim is not of its type, or the token is for what we do not know.
    """
    user_id, use, session_id = claims["sub"], claims.get("use", ""), claims.get("sid", "")
    if use not in {"", DELEGATED, TICKET} or not isinstance(session_id, str) or not user_id or not claims["jti"]:
        raise ValueError("a claim is not as it should be")
    expires_at = min(float(claims["exp"]), key_ends_at)
    ends_at = float(claims.get("until", expires_at)) if use == TICKET else expires_at
    return Identity(user_id, claims.get("guest") is True, expires_at, token, use, session_id, ends_at)


def _invalid() -> Unauthenticated:
    return Unauthenticated(f"the access token is not valid: {_REMEDY}", reason="TOKEN_INVALID")


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
