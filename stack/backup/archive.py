"""The file of a backup: a tar (POSIX.1-2001) compressed by Zstandard (RFC 8878), the manifest first."""

import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack.backup.manifest import NAME, Manifest, Part, parse_manifest
from stack.errors import StackError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Moved = Callable[[int], None]
"""Hears of bytes that were moved."""

_CHUNK = 1024 * 1024
_LEVEL = 3
_MOST_MANIFEST = 16 * 1024 * 1024
_DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zstd.ZstdError)


def part_of(path: Path) -> Part:
    """Length and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Part(file.tell(), digest.hexdigest())


def parts_in(folder: Path) -> Mapping[str, Part]:
    """All files under a folder, by their path in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): part_of(path) for path in paths}


def pack(folder: Path, manifest: Manifest, target: Path, moved: Moved) -> None:
    """Writes a backup, of mode 0600, whole or not at all.

    Args:
        folder: has the parts that the manifest names.
        manifest: says what they are.
        target: the file; one that is there is replaced.
        moved: hears of the parts' bytes.

    Raises:
        OSError: the disk is full, or the folder is closed.
    """
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with (
                zstd.ZstdFile(file, "wb", level=_LEVEL) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                head = manifest.to_json()
                tar.addfile(_member(NAME, len(head), manifest), io.BytesIO(head))
                for path, part in manifest.files.items():
                    with (folder / path).open("rb") as source:
                        tar.addfile(_member(path, part.bytes, manifest), _Told(source, moved))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def read_manifest(source: Path) -> Manifest:
    """What a file says of itself.

    Raises:
        StackError: it is no backup, is damaged, or a newer release made it.
    """
    with _opened(source) as tar:
        return _manifest(tar)


def verify(source: Path, moved: Moved) -> Manifest:
    """Reads a file through and compares every part with what the manifest says of it.

    Raises:
        StackError: it is no backup, is damaged, or a newer release made it.
    """
    return _through(source, None, moved)


def unpack(source: Path, folder: Path, moved: Moved) -> Manifest:
    """Puts the parts into an empty folder, each looked at as by `verify`.

    Raises:
        StackError: it is no backup, is damaged, or a newer release made it; parts may be in the folder.
    """
    return _through(source, folder, moved)


def _through(source: Path, folder: Path | None, moved: Moved) -> Manifest:
    with _opened(source) as tar:
        manifest = _manifest(tar)
        missing = dict(manifest.files)
        while (member := tar.next()) is not None:  # to iterate would begin anew
            part = missing.pop(member.name, None)
            content = tar.extractfile(member)
            # The names are those of the manifest and lead nowhere else: that is looked at below.
            if part is None or content is None or member.size != part.bytes:
                raise ValueError(f"{member.name} is not what the manifest says")
            if _copied(content, folder and _inside(folder, member.name), moved) != part.sha256:
                raise ValueError(f"{member.name} has changed")
        if missing:
            raise ValueError(f"{next(iter(missing))} is missing")
        return manifest


def _copied(content: IO[bytes], target: Path | None, moved: Moved) -> str:
    digest = hashlib.sha256()
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(target or os.devnull, os.O_WRONLY | os.O_CREAT | (os.O_EXCL if target else 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise StackError(f"{target} can't be written ({error.strerror})", "make room") from None
            moved(len(chunk))
        if target is not None:
            file.flush()
            os.fsync(file.fileno())  # what is put in its place after this is on the disk
    return digest.hexdigest()


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} leads out of the backup")
    return path


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    """The tar in a file, to be read once; whatever does not fit is one error."""
    try:
        with source.open("rb") as file, zstd.ZstdFile(file) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            yield tar
    except FileNotFoundError:
        raise StackError(f"there is no {source}", "name the file that `gaji backup` has written") from None
    except PermissionError as error:
        raise StackError(f"{source} can't be read ({error.strerror})", "become who made it") from None
    except _DAMAGE as error:
        raise StackError(f"{source} is no backup, or is damaged: {error}", "take another one") from None


def _manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    content = tar.extractfile(member) if member is not None and member.name == NAME else None
    if member is None or content is None or member.size > _MOST_MANIFEST:
        raise ValueError("it does not begin with a manifest")
    return parse_manifest(content.read())


def _member(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(manifest.made_at.timestamp())
    return member


class _Told:
    """A file that tells of what is read of it."""

    def __init__(self, file: IO[bytes], moved: Moved) -> None:
        self._file, self._moved = file, moved

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._moved(len(chunk))
        return chunk
