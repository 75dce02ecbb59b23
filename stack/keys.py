"""The keys that sign access tokens: where a stack keeps them."""

from pathlib import Path
from typing import NamedTuple


class KeyFiles(NamedTuple):
    """Files of Ed25519 keys (RFC 8032).

    Attributes:
        private: PEM of the key that signs.
        public: PEM of its public half.
        keys: JWK set (RFC 7517) of all public keys whose tokens are taken.
        coming: PEM of the key that will sign, while a rotation is under way.
    """

    private: Path
    public: Path
    keys: Path
    coming: Path


def key_files(folder: Path) -> KeyFiles:
    """The keys kept in a folder; made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = files_in(folder)
    if not all(path.exists() for path in (files.private, files.public, files.keys)):
        # Loaded when needed: most starts find the files.
        from stack.key_ring import make_missing  # noqa: PLC0415 - see above

        make_missing(files)
    return files


def files_in(folder: Path) -> KeyFiles:
    """Where the keys of a folder are, or would be."""
    return KeyFiles(
        folder / "jwt-private.pem", folder / "jwt-public.pem", folder / "jwt-keys.json", folder / "jwt-coming.pem"
    )
