"""Makes and rotates the keys that sign access tokens.

A rotation never makes a valid token refused: the new public key is published first, nothing is signed with its private
half before every verifier has read it, and the old public key stays until the last of its tokens has expired. Broken
off anywhere, it is finished by the next one.
"""

import fcntl
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mesh.identity import SKEW_SECONDS
from mesh.keys import VerifyingKey, key_set, parse_key_set, thumbprint, to_document
from stack.embedded.account import write_private
from stack.errors import StackError
from stack.keys import KeyFiles


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take, in seconds.

    Attributes:
        settle: until every process has read a file that was changed.
        token: the life of the tokens that live longest.
    """

    settle: float
    token: float


@dataclass(frozen=True, slots=True)
class Held:
    """A key of the ring.

    Attributes:
        key: its public half.
        state: ``signs``, ``published`` (it will sign) or ``retired`` (its tokens are taken until it expires).
    """

    key: VerifyingKey
    state: str


def make_missing(files: KeyFiles) -> None:
    """Makes a key where there is none, and the other files of the one there is."""
    if not files.private.exists():
        write_private(files.private, _pem(Ed25519PrivateKey.generate()))
    signing = _load(files.private)
    _write_public(files, signing)
    published = _published(files) if files.keys.exists() else []
    if _public(signing).key_id not in {key.key_id for key in published}:
        _publish(files, [*published, _public(signing)])


def held(files: KeyFiles, now: float) -> list[Held]:
    """The keys whose tokens are taken, the one that signs first.

    Raises:
        StackError: there are none, or a file is not as it was made.
    """
    signing, coming = _public(_load(files.private)).key_id, _coming(files)
    states = {signing: "signs", **({_public(coming).key_id: "published"} if coming else {})}
    ring = [Held(key, states.get(key.key_id, "retired")) for key in _published(files) if key.expires_at > now]
    return sorted(ring, key=lambda entry: (entry.state != "signs", entry.state != "published"))


def rotate(
    files: KeyFiles,
    times: Times,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> tuple[VerifyingKey, VerifyingKey]:
    """Has a new key sign.

    Args:
        files: of the keys.
        times: how long to wait, and how long to keep the old key.
        sleep: waits so many seconds.
        now: seconds since the epoch.

    Returns:
        The new key and the old one, which bears when it ends.

    Raises:
        StackError: there are no keys, a file is not as it was made, or another rotation is under way.
    """
    with _alone(files):
        old = _public(_load(files.private))
        private = _coming(files) or Ed25519PrivateKey.generate()
        new = _public(private)
        write_private(files.coming, _pem(private))
        _publish(files, _ring(files, old, new, times, now()))
        sleep(times.settle)
        files.coming.replace(files.private)
        _write_public(files, private)
        _publish(files, _ring(files, new, None, times, now()))
        return new, next(key for key in _published(files) if key.key_id == old.key_id)


def _ring(
    files: KeyFiles, signing: VerifyingKey, coming: VerifyingKey | None, times: Times, now: float
) -> Iterable[VerifyingKey]:
    """What is published: no key whose tokens have expired, and an end for each that signs no more."""
    ends = float(int(now + times.settle + times.token + SKEW_SECONDS) + 1)
    kept = {
        key.key_id: key if math.isfinite(key.expires_at) else replace(key, expires_at=ends)
        for key in _published(files)
        if key.expires_at > now
    }
    for key in (signing, coming):
        if key is not None:
            kept[key.key_id] = key
    return kept.values()


@contextmanager
def _alone(files: KeyFiles) -> Iterator[None]:
    if not files.private.exists():
        raise _missing(files)
    with files.private.with_name("jwt-keys.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another rotation is under way", "wait for its end") from None
        yield


def _published(files: KeyFiles) -> list[VerifyingKey]:
    try:
        return list(parse_key_set(files.keys.read_bytes()).values())
    except FileNotFoundError:
        raise _missing(files) from None
    except ValueError as error:
        raise StackError(f"{files.keys}: {error}", "put back the file that was there before") from None


def _publish(files: KeyFiles, keys: Iterable[VerifyingKey]) -> None:
    write_private(files.keys, json.dumps(to_document(key_set(keys).values()), indent=2) + "\n")


def _coming(files: KeyFiles) -> Ed25519PrivateKey | None:
    return _load(files.coming) if files.coming.exists() else None


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise StackError(f"there are no keys in {path.parent}", "start a stack there first: gaji up") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StackError(f"{path} holds no Ed25519 private key", "put back the file that was there before")
    return key


def _missing(files: KeyFiles) -> StackError:
    return StackError(f"there are no keys in {files.private.parent}", "start a stack there first: gaji up")


def _public(key: Ed25519PrivateKey) -> VerifyingKey:
    public = key.public_key()
    return VerifyingKey(thumbprint(public), public)


def _pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _write_public(files: KeyFiles, key: Ed25519PrivateKey) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_private(files.public, pem.decode("ascii"))
