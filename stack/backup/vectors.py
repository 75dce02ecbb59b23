"""What search keeps, in a backup: a copy of the embedded vector store's folder, of one moment.

Its rows are in an SQLite database, its vectors in files beside it, and the two belong together. Search holds a lock
while it writes (`services.search.stores.writes`), so whoever holds that alone has the folder still. The store may also
move rows from its own log into the files after a start, of which nobody is told: so the copy is taken again where
anything has changed meanwhile.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.search.stores.writes import LOCK
from stack.errors import StackError

DATABASE = "chroma.sqlite3"
_TRIES = 5
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.01
_Seen = tuple[int, tuple[tuple[str, int, int], ...]]


def chroma_version() -> str:
    """The version of the vector store that is installed; empty: none is."""
    try:
        return version("chromadb")
    except PackageNotFoundError:
        return ""


def size_of(folder: Path) -> int:
    """How many bytes its files have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def held_still(folder: Path, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Keeps search from writing for as long as the block lasts; its readers are not disturbed.

    Args:
        folder: of the store.
        patience: how long to wait for what search is writing.

    Raises:
        StackError: search writes all the time.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + patience
        while not _locked(descriptor):
            if time.monotonic() > end:
                raise StackError(f"search has been writing for {patience:g} s", "try again when novels are taken in")
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def copy(folder: Path, target: Path) -> None:
    """Copies a store that is held still.

    Raises:
        StackError: it changes all the time, or is no store.
    """
    try:
        with closing(sqlite3.connect(f"file:{_quoted(folder / DATABASE)}?mode=rw", uri=True)) as database:
            for _ in range(_TRIES):
                before = _seen(folder, database)
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(folder, target, ignore=shutil.ignore_patterns(LOCK, f"{DATABASE}*"))
                with closing(sqlite3.connect(target / DATABASE)) as made:
                    database.backup(made)
                if _seen(folder, database) == before:
                    return
    except (OSError, sqlite3.Error) as error:
        raise StackError(
            f"the vector store in {folder} can't be copied: {error}", "look at the log of search"
        ) from None
    raise StackError(f"the vector store in {folder} has changed with each try", "try again in a minute")


def check(folder: Path) -> None:
    """Makes sure that a copy can be read.

    Raises:
        StackError: it can't.
    """
    try:
        with closing(sqlite3.connect(f"file:{_quoted(folder / DATABASE)}?mode=ro", uri=True)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StackError(f"the copy of the vector store is damaged: {found}", "look at the disk, and try again")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _seen(folder: Path, database: sqlite3.Connection) -> _Seen:
    """What tells whether anything was written: SQLite's count of others' commits, and the files' lengths and times."""
    (commits,) = database.execute("PRAGMA data_version").fetchone()
    ours = {LOCK, DATABASE, f"{DATABASE}-journal", f"{DATABASE}-wal", f"{DATABASE}-shm"}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ours]
    return commits, tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
