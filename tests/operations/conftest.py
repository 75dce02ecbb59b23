"""What tests of operations share: the command, run as people run it, and a library in a database of one's own."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from services.library.stores.migrate import migrate
from stack.backup import vectors
from stack.backup.making import Wanted, make
from stack.backup.manifest import Manifest
from stack.backup.places import Places, places_of
from tests.fixtures.stack import clean_environment

Gaji = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gaji(tmp_path: Path) -> Gaji:
    """Runs a command to its end."""

    def run(*arguments: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "stack.cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(tmp_path, COLUMNS="200", **env),
            check=False,
        )

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder like that of the vector store."""
    folder = tmp_path / "chroma"
    (folder / "segment").mkdir(parents=True)
    (folder / "segment" / "data.bin").write_bytes(b"vectors")
    with closing(sqlite3.connect(folder / vectors.DATABASE)) as database, database:
        database.execute("CREATE TABLE rows (word TEXT)")
        database.execute("INSERT INTO rows VALUES ('one')")
    return folder


@pytest.fixture
async def own_database(postgres_url: str, tmp_path: Path, store: Path) -> Places:
    """A stack on a database of the operator's own, with one user and one novel."""
    await migrate(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        """
        INSERT INTO users (user_id, display_name) VALUES (gen_random_uuid(), 'Ada; DROP TABLE users; --');
        INSERT INTO novels (novel_id, owner_id, title, author, language, visibility, request_hash, status)
            SELECT gen_random_uuid(), user_id, 'The Tower', '', 'en', 'public', '', 'complete' FROM users;
        """
    )
    await connection.close()
    return places_of(tmp_path, {"GAJI_DATABASE_URL": postgres_url}, None)


async def made_of(places: Places, file: Path, *, with_vectors: bool = True) -> Manifest:
    return await make(places, None, file, wanted=Wanted(vectors=with_vectors), told=nobody, moved=nobody)


async def rows(url: str, query: str) -> list[object]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


def nobody(*_told: object) -> None:
    pass
