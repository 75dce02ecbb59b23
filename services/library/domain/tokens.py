"""Access tokens, and the secrets that buy the next one."""

import base64
import hashlib
import secrets
import time
import uuid
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mesh.identity import ALGORITHM, AUDIENCE, DELEGATED, ISSUER
from services.library.models import User

_DELEGATED_SECONDS = 10 * 60


class TokenIssuer:
    """Signs access tokens (JWT, RFC 7519, EdDSA) that every process verifies by itself.

    Args:
        private_key: the signing key.
        seconds: a token's life.
    """

    def __init__(self, private_key: Ed25519PrivateKey, seconds: int) -> None:
        self._key = private_key
        self._key_id = key_id(private_key)
        self.seconds = seconds

    def issue(self, user: User) -> str:
        """An access token of a user."""
        return self._signed(user, self.seconds)

    def delegate(self, user: User) -> str:
        """A token for calls between rooms on a user's behalf, which servers take and the gateway does not."""
        return self._signed(user, _DELEGATED_SECONDS, use=DELEGATED)

    def _signed(self, user: User, seconds: int, **more: str) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user.user_id),
            "guest": user.guest,
            "iat": now,
            "exp": now + seconds,
            "jti": str(uuid.uuid4()),
            **more,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key_id})


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file; reads the disk.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no Ed25519 private key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"GAJI_JWT_PRIVATE_KEY_FILE: {path} holds no unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        # A wrong value of a setting, whatever its type in here.
        raise ValueError(f"GAJI_JWT_PRIVATE_KEY_FILE: {path} holds no Ed25519 key")  # noqa: TRY004 - see above
    return key


def key_id(key: Ed25519PrivateKey) -> str:
    """The key's JWK thumbprint (RFC 7638, RFC 8037)."""
    public = _base64url(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    return _base64url(hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'.encode()).digest())


def new_secret() -> str:
    """A refresh token: 256 random bits."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """What is stored of a refresh token. A fast hash is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
