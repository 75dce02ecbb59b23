"""Makes a backup: the parts into a folder, then into the file, then read back."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from stack.backup import archive, library, vectors
from stack.backup.manifest import KEYS, LIBRARY, SAMPLE, VECTORS, Manifest
from stack.backup.manifest import told as told_of
from stack.backup.places import Places, room_for, running_url
from stack.backup.working import working_folder
from stack.embedded.postgres import open_postgres
from stack.errors import StackError

Told = Callable[[str, str], None]
"""Hears of a part and how it is."""
_SPARE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in a backup beside the library.

    Attributes:
        keys: the keys that sign access tokens.
        vectors: what search keeps.
    """

    keys: bool = True
    vectors: bool = True


def gaji_version() -> str:
    """The release that this is."""
    try:
        return version("gaji")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"


async def make(
    places: Places, state: dict[str, Any] | None, target: Path, *, wanted: Wanted, told: Told, moved: archive.Moved
) -> Manifest:
    """Writes a backup of a stack that runs, or of one that is stopped.

    Args:
        places: where the stack keeps things.
        state: what it tells of itself; None: it is stopped, and the caller keeps it so.
        target: the file.
        wanted: what is to be in it.
        told: hears how it goes.
        moved: hears of the bytes that are packed, and of those read back.

    Returns:
        What is in it.

    Raises:
        StackError: a part can't be read, or the file does not bear reading back.
    """
    with working_folder(target.parent) as folder:
        parts, ready = folder / "parts", folder / "ready"
        parts.mkdir(mode=0o700)
        manifest = await _gather(places, state, parts, wanted, told)
        archive.pack(parts, manifest, ready, moved)
        if archive.verify(ready, moved) != manifest:
            raise StackError(f"{target} does not read as it was written", "look at the disk")
        ready.replace(target)
    return manifest


@asynccontextmanager
async def _library_url(places: Places, state: dict[str, Any] | None, folder: Path) -> AsyncIterator[str]:
    """The URL of the library's database, which is started for the purpose where it is the stack's own and stands."""
    if places.database:
        yield places.database
    elif state is not None:
        yield running_url(places, state)
    elif (places.postgres / "data" / "PG_VERSION").exists():
        async with open_postgres(places.postgres, secrets_dir=places.secrets) as server:
            yield server.url
    else:
        raise StackError(f"there is no stack in {places.data_dir}", "name its folder with --data-dir")


async def _gather(places: Places, state: dict[str, Any] | None, folder: Path, wanted: Wanted, told: Told) -> Manifest:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_library_url(places, state, folder))
        with_vectors = wanted.vectors and places.vectors is not None
        if places.vectors is not None and with_vectors and not (places.vectors / vectors.DATABASE).exists():
            raise StackError(
                f"there is no vector store in {places.vectors}",
                "set GAJI_CHROMA_PATH as the stack has it, or --no-vectors",
            )
        made_at, moment, still = await _still(stack, url, places.vectors if with_vectors else None, folder, told)
        await library.dump(url, moment.snapshot, folder / LIBRARY)
        told("library", f"{decimal((folder / LIBRARY).stat().st_size)}, {told_of(moment.counts)}")
    if not moment.schema:
        raise StackError("the library's database has no tables yet", "start the stack once: gaji up")
    if places.sample.exists():
        shutil.copyfile(places.sample, folder / SAMPLE)
    if wanted.keys:
        (folder / KEYS).mkdir(mode=0o700)
        for path in places.key_files():
            shutil.copyfile(path, folder / KEYS / path.name)
    told("vectors", still)
    told("keys", "those that sign access tokens" if wanted.keys else "left out")
    return Manifest(
        made_at=made_at,
        gaji=gaji_version(),
        schema=moment.schema,
        postgres=moment.server,
        chroma=vectors.chroma_version() if with_vectors else "",
        keys=wanted.keys,
        counts=moment.counts,
        files=archive.parts_in(folder),
    )


async def _still(
    stack: AsyncExitStack, url: str, store: Path | None, folder: Path, told: Told
) -> tuple[datetime, library.Moment, str]:
    """Takes a moment of the library, and copies what search keeps while it is of that moment."""
    if store is None:
        moment = await stack.enter_async_context(library.moment(url))
        room_for(folder, moment.bytes + _SPARE)
        return datetime.now(UTC), moment, "left out: search reads the texts anew after a restore"
    with vectors.held_still(store):
        began, moment = datetime.now(UTC), await stack.enter_async_context(library.moment(url))
        room_for(folder, moment.bytes + 2 * vectors.size_of(store) + _SPARE)
        vectors.copy(store, folder / VECTORS)
        seconds = (datetime.now(UTC) - began).total_seconds()
    vectors.check(folder / VECTORS)
    return (
        began,
        moment,
        f"{decimal(vectors.size_of(folder / VECTORS))}; search waited with writing for {seconds:.2f} s",
    )
