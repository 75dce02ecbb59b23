"""The key pair that signs access tokens."""

from pathlib import Path
from typing import NamedTuple

from stack.embedded.account import write_private


class KeyFiles(NamedTuple):
    """PEM files of an Ed25519 pair (RFC 8032)."""

    private: Path
    public: Path


def key_files(folder: Path) -> KeyFiles:
    """The pair kept in a folder; made when there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = KeyFiles(folder / "jwt-private.pem", folder / "jwt-public.pem")
    if not (files.private.exists() and files.public.exists()):
        # Loaded when needed: most starts find the files.
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - likewise

        key = Ed25519PrivateKey.generate()
        encoding = serialization.Encoding.PEM
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        write_private(files.private, private.decode("ascii"))
        write_private(files.public, public.decode("ascii"))
    return files
