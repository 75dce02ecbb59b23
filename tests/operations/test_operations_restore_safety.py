"""A restore harms nobody: not another application's tables, not this machine, not a library that it can't replace."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from stack.backup import archive, library, unfinished
from stack.backup.manifest import LIBRARY
from stack.backup.places import Places
from stack.backup.restoring import put_back
from stack.errors import StackError
from stack.ports import HOST, Ports
from tests.fixtures.sentinels import PASSWORD, open_watched
from tests.operations.conftest import made_of, nobody, rows


def altered(file: Path, change: Callable[[str], str]) -> None:
    """Makes a backup of another dump, whole by its own digests."""
    folder = file.with_name("unpacked")
    folder.mkdir()
    made = archive.unpack(file, folder, nobody)
    dump = folder / LIBRARY
    dump.write_text(change(dump.read_text()))
    archive.pack(folder, replace(made, files=archive.parts_in(folder)), file, nobody)


async def test_a_restore_that_fails_changes_nothing(own_database: Places, postgres_url: str, tmp_path: Path) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    wrong = "INSERT INTO public.nowhere VALUES (1);\n"
    altered(file, lambda dump: dump + wrong)
    before = await rows(postgres_url, "SELECT user_id FROM users")
    with pytest.raises(StackError, match=r'psql failed: .*relation "public.nowhere" does not exist'):
        await put_back(own_database, file, force=True, told=nobody, moved=nobody)
    assert await rows(postgres_url, "SELECT user_id FROM users") == before
    assert not unfinished.is_unfinished(tmp_path)
    assert (tmp_path / "chroma" / "segment" / "data.bin").exists()


@pytest.mark.parametrize("place", ["first", "last", "with its own word"])
@pytest.mark.parametrize("order", [r"\! touch {}", r"\copy (SELECT 1) TO PROGRAM 'touch {}'"])
async def test_a_dump_that_would_run_a_program_here_is_refused(
    own_database: Places, postgres_url: str, tmp_path: Path, place: str, order: str
) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    trace = tmp_path / "trace"
    line = f"{order.format(trace)}\n"

    def craft(dump: str) -> str:
        if place == "first":
            return line + dump
        (word,) = [found.split()[1] for found in dump.splitlines() if found.startswith(r"\restrict ")]
        return f"{dump}\\unrestrict {word}\n{line}" if place == "with its own word" else dump + line

    altered(file, craft)
    with pytest.raises(StackError, match=r"psql failed: .*restrict"):
        await put_back(own_database, file, force=True, told=nobody, moved=nobody)
    assert not trace.exists()
    assert await rows(postgres_url, "SELECT title FROM novels") == ["The Tower"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("beside", ["a library", "users of another's"])
async def test_tables_of_another_application_are_left_alone(
    own_database: Places, postgres_url: str, tmp_path: Path, beside: str, *, force: bool
) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    if beside != "a library":
        await rows(postgres_url, f"DROP TABLE {', '.join(library.OURS)}")
        await rows(postgres_url, "CREATE TABLE users (name text)")
        await rows(postgres_url, "INSERT INTO users VALUES ('Bob')")
    await rows(postgres_url, "CREATE TABLE orders (number int)")
    await rows(postgres_url, "INSERT INTO orders VALUES (7)")
    with pytest.raises(StackError, match=r"orders.*; use a database of its own"):
        await put_back(replace(own_database, vectors=None), file, force=force, told=nobody, moved=nobody)
    assert await rows(postgres_url, "SELECT number FROM orders") == [7]
    assert len(await rows(postgres_url, "SELECT 1 FROM users")) == 1
    assert not unfinished.staging(tmp_path).exists()


async def test_a_librarys_tables_are_known(own_database: Places, postgres_url: str) -> None:
    assert own_database.database == postgres_url
    tables = await rows(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert set(tables) == library.OURS


async def test_a_redis_behind_sentinels_is_cleared_and_one_that_is_away_stops_it(
    own_database: Places, postgres_url: str, tmp_path: Path, server_folder: Path
) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    await rows(postgres_url, "UPDATE novels SET title = 'later'")
    away = replace(own_database, redis=f"redis+sentinel://{HOST}:{Ports().free()}/gaji/0")
    with pytest.raises(StackError, match="Redis at GAJI_REDIS_URL can't be cleared: no sentinel"):
        await put_back(away, file, force=True, told=nobody, moved=nobody)
    assert await rows(postgres_url, "SELECT title FROM novels") == ["later"]
    assert not unfinished.is_unfinished(tmp_path)
    (folder := server_folder / "watched").mkdir()
    async with (
        open_watched(folder) as servers,
        Redis(host=HOST, port=servers.ports[0], password=PASSWORD) as client,
    ):
        await client.set("gaji:cache:1", "old")
        await client.set("another", "kept")
        await put_back(replace(own_database, redis=servers.url), file, force=True, told=nobody, moved=nobody)
        assert await client.keys("*") == [b"another"]
    assert await rows(postgres_url, "SELECT title FROM novels") == ["The Tower"]


@asynccontextmanager
async def losing_commits(url: str) -> AsyncIterator[str]:
    """A way to a server that breaks when it has answered a COMMIT, before that answer is through."""
    parts = urlsplit(url)

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        committing = False

        async def ask() -> None:
            nonlocal committing
            while data := await client.read(65536):
                committing = committing or b"COMMIT\0" in data
                to_server.write(data)
                await to_server.drain()
            to_server.close()

        async def answer() -> None:
            while (data := await server.read(65536)) and not committing:
                to_client.write(data)
                await to_client.drain()
            to_client.close()

        with suppress(OSError):
            await asyncio.gather(ask(), answer())
        to_server.close()
        to_client.close()

    async with await asyncio.start_server(serve, HOST, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{login}@{HOST}:{port}"))


async def test_a_commit_whose_answer_is_lost_is_not_taken_for_a_failure(
    own_database: Places, postgres_url: str, tmp_path: Path
) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    await rows(postgres_url, "UPDATE novels SET title = 'later'")
    async with losing_commits(postgres_url) as url:
        with pytest.raises(StackError, match=r"nobody knows whether the database has changed; do it again"):
            await put_back(replace(own_database, database=url), file, force=True, told=nobody, moved=nobody)
    assert await rows(postgres_url, "SELECT title FROM novels") == ["The Tower"]
    assert unfinished.is_unfinished(tmp_path)
    await put_back(own_database, file, force=True, told=nobody, moved=nobody)
    assert not unfinished.is_unfinished(tmp_path)


async def test_where_psql_is_not_let_in_the_database_is_as_before(
    own_database: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made_of(own_database, file := tmp_path / "b.tar.zst")
    monkeypatch.setenv("PGSERVICE", "nowhere")
    with pytest.raises(StackError, match=r"psql failed: .*nowhere"):
        await put_back(own_database, file, force=True, told=nobody, moved=nobody)
    assert not unfinished.is_unfinished(tmp_path)
