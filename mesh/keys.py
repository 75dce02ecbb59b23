"""The keys that verify access tokens: Ed25519 public keys, each with an id, in a JWK set.

A JWK set (RFC 7517) holds OKP keys of the curve Ed25519 (RFC 8037) and nothing else. A key's id is its thumbprint
(RFC 7638) unless the file names another. A key that signs no more bears ``exp``, the time in seconds since the epoch
from which nothing that it signed is taken any longer, as in OpenID Federation 1.0, section 8.7.2.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

ALGORITHM = "EdDSA"
MAX_KEYS = 100


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key.

    Attributes:
        key_id: what tokens name it by (``kid``).
        key: the key itself.
        expires_at: from when nothing that it signed is taken, in seconds since the epoch.
    """

    key_id: str
    key: Ed25519PublicKey
    expires_at: float = math.inf

    def to_jwk(self) -> dict[str, Any]:
        """The key as a JWK."""
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": _x(self.key), "kid": self.key_id, "use": "sig", "alg": ALGORITHM}
        return jwk if math.isinf(self.expires_at) else {**jwk, "exp": int(self.expires_at)}


KeySet = Mapping[str, VerifyingKey]
"""Keys by their ids."""


def key_set(keys: Iterable[VerifyingKey]) -> KeySet:
    """Keys by their ids."""
    return {key.key_id: key for key in keys}


def thumbprint(key: Ed25519PublicKey) -> str:
    """The key's JWK thumbprint (RFC 7638, RFC 8037, appendix A.3)."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_x(key)}"}}'
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def pem_key(data: bytes) -> VerifyingKey:
    """The key in a PEM file.

    Raises:
        ValueError: it is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise ValueError("it holds no PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it holds no Ed25519 public key")  # noqa: TRY004 - a wrong value of a setting, whatever its type
    return VerifyingKey(thumbprint(key), key)


def parse_key_set(data: bytes) -> KeySet:
    """The keys of a JWK set.

    Raises:
        ValueError: it is no JWK set, holds another kind of key, a private one, or two of one id.
    """
    try:
        document = json.loads(data)
        listed = document["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError('it is no JWK set: {"keys": [...]}') from error
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_KEYS:
        raise ValueError(f"`keys` must be a list of 1 to {MAX_KEYS} keys")
    keys = [_parsed(jwk, f"keys[{index}]") for index, jwk in enumerate(listed)]
    if len({key.key_id for key in keys}) < len(keys):
        raise ValueError("two keys have the same `kid`")
    return key_set(keys)


def to_document(keys: Iterable[VerifyingKey]) -> dict[str, Any]:
    """The JWK set of keys."""
    return {"keys": [key.to_jwk() for key in keys]}


def _parsed(jwk: Any, where: str) -> VerifyingKey:
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise ValueError(f"{where} is no OKP key of the curve Ed25519")
    if "d" in jwk:
        raise ValueError(f"{where} is a private key, which verifiers must not have: take `d` out")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", ALGORITHM) not in {ALGORITHM, "Ed25519"}:
        raise ValueError(f"{where} is not for signatures with {ALGORITHM}")
    try:
        key = jwt.PyJWK(jwk, algorithm=ALGORITHM).key
    except jwt.PyJWTError as error:
        raise ValueError(f"{where} has no valid `x`") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{where} is no Ed25519 public key")  # noqa: TRY004 - as above
    key_id, expires_at = jwk.get("kid", thumbprint(key)), jwk.get("exp", math.inf)
    if not isinstance(key_id, str) or not key_id:
        raise ValueError(f"{where} has a `kid` that is no text")
    if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
        raise ValueError(f"{where} has an `exp` that is no number")  # noqa: TRY004 - as above
    return VerifyingKey(key_id, key, float(expires_at))


def _x(key: Ed25519PublicKey) -> str:
    return _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
