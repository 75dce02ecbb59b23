"""The embedded servers are real, private, and keep what they are given."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
import redis.exceptions

from stack.embedded.postgres import open_postgres
from stack.embedded.valkey import open_valkey


async def test_postgres_keeps_its_data_and_asks_for_the_password(server_folder: Path) -> None:
    async with open_postgres(server_folder / "postgres") as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ('가지')")
        assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url, password="wrong")
    async with open_postgres(server_folder / "postgres") as server:
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT word FROM kept") == "가지"
        await connection.close()
    assert not (server_folder / "postgres" / "data" / "postmaster.pid").exists()


async def test_postgres_starts_after_it_was_killed(server_folder: Path) -> None:
    async with open_postgres(server_folder / "postgres") as server:
        pid = int((server_folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
    async with open_postgres(server_folder / "postgres", port=server.port) as again:
        connection = await asyncpg.connect(again.url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_postgres_that_was_half_initialised_is_begun_anew(server_folder: Path) -> None:
    unfinished = server_folder / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    async with open_postgres(server_folder / "postgres") as server:
        await (await asyncpg.connect(server.url)).close()


async def test_valkey_keeps_its_data_and_asks_for_the_password(server_folder: Path) -> None:
    async with open_valkey(server_folder / "valkey") as server, redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("kept", "yes")
        async with redis.asyncio.Redis(port=server.port) as stranger:
            with pytest.raises(redis.exceptions.AuthenticationError):
                await stranger.get("kept")
    async with open_valkey(server_folder / "valkey") as server, redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.get("kept") == b"yes"


async def test_valkey_keeps_its_data_when_it_is_killed(server_folder: Path) -> None:
    async with open_valkey(server_folder / "valkey") as server, redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.config_get("appendonly") == {"appendonly": "yes"}
        await client.xadd("log", {"word": "가지"})
        await client.waitaof(1, 0, 5000)  # written to disk, as it is every second
        os.kill(int((await client.info())["process_id"]), signal.SIGKILL)
    async with open_valkey(server_folder / "valkey") as server, redis.asyncio.Redis.from_url(server.url) as client:
        assert [fields for _, fields in await client.xrange("log") or ()] == [{b"word": "가지".encode()}]


async def test_secrets_are_for_their_owner_alone(server_folder: Path) -> None:
    async with open_valkey(server_folder / "valkey"):
        pass
    secrets = server_folder / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o600}
    assert stat.S_IMODE((server_folder / "valkey").stat().st_mode) == 0o700


async def test_fixtures_give_empty_stores(postgres_url: str, redis_url: str) -> None:
    connection, client = await asyncpg.connect(postgres_url), redis.asyncio.Redis.from_url(redis_url)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert (tables, await client.dbsize()) == (0, 0)
    await asyncio.gather(connection.close(), client.aclose())
