"""Access tokens, and the secrets that buy the next one."""

import base64
import hashlib
import hmac
import secrets
import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.identity import AUDIENCE, DELEGATED, ISSUER, TICKET, Identity
from mesh.keys import ALGORITHM, thumbprint
from services.library.models import User

_DELEGATED_SECONDS = 10 * 60


class TokenIssuer:
    """Signs access tokens (JWT, RFC 7519, EdDSA) that every process verifies by itself.

    Args:
        private_key: the signing key.
        seconds: a token's life.
        ticket_seconds: a stream ticket's life.
    """

    def __init__(self, private_key: Ed25519PrivateKey, seconds: int, ticket_seconds: int = 60) -> None:
        self.seconds = seconds
        self._ticket_seconds = ticket_seconds
        self.sign_with(private_key)

    def sign_with(self, private_key: Ed25519PrivateKey) -> None:
        """Signs with this key from now on."""
        self._signer = private_key, thumbprint(private_key.public_key())

    def issue(self, user: User, session_id: uuid.UUID) -> str:
        """An access token of a user's session."""
        return self._signed(str(user.user_id), time.time() + self.seconds, guest=user.guest, sid=str(session_id))

    def delegate(self, user: User) -> str:
        """A token for calls between rooms on a user's behalf, which servers take and the gateway does not."""
        return self._signed(str(user.user_id), time.time() + _DELEGATED_SECONDS, guest=user.guest, use=DELEGATED)

    def ticket(self, reader: Identity) -> tuple[str, int]:
        """A token that opens streams at the gateway, and its life in seconds.

        It allows no more than the access token that it is bought with: streams that it opens end with that.
        """
        now = time.time()
        ends = min(now + self._ticket_seconds, reader.expires_at)
        more = {"use": TICKET, "until": int(reader.expires_at)}
        return self._signed(reader.user_id, ends, **_of(reader), **more), max(1, int(ends - now))

    def redeem(self, ticket: Identity) -> str:
        """A token for calls between rooms on the behalf of whom a ticket is of."""
        ends = min(time.time() + _DELEGATED_SECONDS, ticket.ends_at)
        return self._signed(ticket.user_id, ends, **_of(ticket), use=DELEGATED)

    def _signed(self, user_id: str, expires_at: float, **more: object) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "iat": int(time.time()),
            "exp": int(expires_at),
            "jti": str(uuid.uuid4()),
            **more,
        }
        key, key_id = self._signer
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key_id})


def parse_private_key(data: bytes) -> Ed25519PrivateKey:
    """The key in a PEM file.

    Raises:
        ValueError: it holds no Ed25519 private key.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("GAJI_JWT_PRIVATE_KEY_FILE holds no unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        # A wrong value of a setting, whatever its type in here.
        raise ValueError("GAJI_JWT_PRIVATE_KEY_FILE holds no Ed25519 key")  # noqa: TRY004 - see above
    return key


def new_secret() -> str:
    """A refresh token: 256 random bits."""
    return secrets.token_urlsafe(32)


def new_nonce() -> bytes:
    """256 random bits."""
    return secrets.token_bytes(32)


def successor(secret: str, nonce: bytes) -> str:
    """The refresh token that follows one.

    Whoever has the one before and the nonce, which is stored, can make it again; the stored nonce and hashes alone are
    worth nothing, and so is the one before without the nonce: nobody knows the tokens to come.
    """
    return _base64url(hmac.digest(secret.encode(), nonce, "sha256"))


def secret_hash(secret: str) -> bytes:
    """What is stored of a refresh token. A fast hash is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def _of(reader: Identity) -> dict[str, object]:
    return {"guest": reader.guest, **({"sid": reader.session_id} if reader.session_id else {})}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
