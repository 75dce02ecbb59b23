"""Access tokens for benchmarks, signed with a key of their own."""

import time
from pathlib import Path
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.identity import AUDIENCE, ISSUER
from mesh.keys import ALGORITHM


def key_pair(folder: Path) -> tuple[Ed25519PrivateKey, Path]:
    """A new private key, and the file that its public key was written to."""
    private = Ed25519PrivateKey.generate()
    public = folder / "public.pem"
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def sign(private: Ed25519PrivateKey) -> str:
    """A token of a new user that lives an hour."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(uuid4()),
        "jti": str(uuid4()),
        "iat": now,
        "exp": now + 3600,
        "guest": True,
    }
    return jwt.encode(claims, private, algorithm=ALGORITHM)
