"""Puts a backup back: made ready beside what is there, then moved into its place."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from rich.filesize import decimal

from services.library.stores.migrate import known_revisions
from stack.backup import archive, library, unfinished, vectors
from stack.backup.forgetting import forget, try_to_forget
from stack.backup.making import Told, gaji_version
from stack.backup.manifest import KEYS, LIBRARY, SAMPLE, VECTORS, Manifest
from stack.backup.manifest import told as told_of
from stack.backup.places import Places, room_for
from stack.backup.unfinished import Move
from stack.embedded.account import write_private
from stack.embedded.postgres import open_postgres
from stack.errors import StackError

_FILES = "files"
_SPARE = 256 * 1024 * 1024
_SERVER = "postgres-*"
"""Passwords of an embedded PostgreSQL, whose successor has its own."""


async def put_back(places: Places, source: Path, *, force: bool, told: Told, moved: archive.Moved) -> Manifest:
    """Restores a backup where no stack runs, which the caller sees to.

    Args:
        places: where things are to be.
        source: the backup.
        force: whether what is there is replaced; folders are moved aside, a database of the operator's own is not kept.
        told: hears how it goes.
        moved: hears of the bytes that are read.

    Returns:
        What was restored.

    Raises:
        StackError: it can't be; what was there is as it was, or `unfinished` says what is to be done.
    """
    manifest = archive.read_manifest(source)
    await asyncio.to_thread(_check, manifest)
    await _check_places(places, force=force)
    if places.redis:
        await try_to_forget(places.redis)
    data_dir = places.data_dir
    if unfinished.is_decided(data_dir):
        unfinished.finish(data_dir)
    folder = unfinished.begin(data_dir)
    room_for(folder, 3 * manifest.size + _SPARE)
    archive.unpack(source, folder / _FILES, moved)
    told("file", f"{decimal(manifest.size)}, whole")
    secrets = _secrets(places, folder, manifest)
    store = places.vectors if manifest.chroma else None
    if store is not None:
        vectors.check(folder / _FILES / VECTORS)
        # Beside its place, which may be on another disk.
        ready = store.with_name(f"{store.name}.restored")
        shutil.rmtree(ready, ignore_errors=True)
        ready.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / _FILES / VECTORS, ready)
        told("vectors", decimal(vectors.size_of(ready)))
    if places.database:
        await _fill(places, places.database, manifest, told, read_anew=store is None)
    else:
        async with open_postgres(folder / "postgres", secrets_dir=secrets) as server:
            await _fill(places, server.url, manifest, told, read_anew=store is None)
    if places.redis:
        told("redis", f"{await forget(places.redis):,} keys of caches, queues and logs removed")
    unfinished.decide(data_dir, _moves(places, folder, manifest))
    unfinished.finish(data_dir)
    return manifest


def _check(manifest: Manifest) -> None:
    known, _ = known_revisions()
    if manifest.schema not in known:
        raise StackError(
            f"the backup's library is of revision {manifest.schema}, unknown to this release ({gaji_version()})",
            f"install {manifest.gaji} or a later one",
        )
    here = vectors.chroma_version()
    if _numbers(manifest.chroma) > _numbers(here):
        raise StackError(
            f"the backup's vectors are of Chroma {manifest.chroma}, and {here or 'none'} is installed",
            "install that, or make a backup with --no-vectors",
        )


async def _check_places(places: Places, *, force: bool) -> None:
    there = [path for path in (places.postgres / "data", places.vectors) if path is not None and _has_something(path)]
    if places.database:
        async with library.connected(places.database) as connection:
            has_library = await library.has_tables(connection)
        if has_library and not force:
            raise StackError(
                "the library in the database that GAJI_DATABASE_URL names would be replaced, and nothing of it kept",
                "keep it first (gaji backup), then say --force; or name an empty database",
            )
    if there and not force:
        raise StackError(
            f"{' and '.join(map(str, there))} would be replaced", "choose another --data-dir, or say --force"
        )


def _has_something(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _secrets(places: Places, folder: Path, manifest: Manifest) -> Path:
    """Those that are there, but for the passwords of a server that is replaced, and the backup's keys over them."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    if places.secrets.is_dir():
        kept = [path for path in places.secrets.iterdir() if path.is_file()]
        for path in kept:
            if places.database or not path.match(_SERVER):
                write_private(secrets / path.name, path.read_text(encoding="utf-8"))
    for name in manifest.files:
        if name.startswith(f"{KEYS}/"):
            write_private(secrets / Path(name).name, (folder / _FILES / name).read_text(encoding="utf-8"))
    return secrets


async def _fill(places: Places, url: str, manifest: Manifest, told: Told, *, read_anew: bool) -> None:
    """Puts the library into a database."""
    dump = unfinished.staging(places.data_dir) / _FILES / LIBRARY
    was_begun = unfinished.is_unfinished(places.data_dir)
    await library.try_psql(url)
    if places.database:
        unfinished.database_is_next(places.data_dir)
    try:
        await library.load(url, dump, read_anew=read_anew)
    except library.RolledBackError:
        if not was_begun:
            unfinished.database_is_as_before(places.data_dir)
        raise
    except StackError as error:
        if not places.database:
            raise
        raise StackError(
            f"{error.message}; nobody knows whether the database has changed", "do it again: gaji restore FILE --force"
        ) from None
    async with library.connected(url) as connection:
        counts = await library.counts_of(connection)
    if counts != manifest.counts:
        raise StackError(
            f"the library has {counts}, and the backup says {manifest.counts}", "report this; it should not happen"
        )
    told("library", told_of(counts))


def _moves(places: Places, folder: Path, manifest: Manifest) -> list[Move]:
    aside = places.data_dir / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    moves = [Move(str(folder / "secrets"), str(places.secrets), str(aside / "secrets"))]
    if not places.database:
        moves.append(Move(str(folder / "postgres"), str(places.postgres), str(aside / "postgres")))
    if not places.redis:  # caches, queues and logs of streams, all of which are of what was there
        moves.append(Move("", str(places.valkey), str(aside / "valkey")))
    if (store := places.vectors) is not None:
        new = store.with_name(f"{store.name}.restored") if manifest.chroma else ""
        # A rename leads to no other disk.
        old = aside / store.name if store.parent == places.data_dir else store.with_name(f"{store.name}.{aside.name}")
        moves.append(Move(str(new), str(store), str(old)))
    sample = folder / _FILES / SAMPLE
    moves.append(Move(str(sample) if sample.exists() else "", str(places.sample), str(aside / SAMPLE)))
    return moves


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version; a store made by a later one may not be readable."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
