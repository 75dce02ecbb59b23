"""Lists from a replica: while it is young enough; else from the database itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from gaji.library.v1 import novel_service_pb2 as pb

from services.library.config import LibrarySettings
from services.library.stores.database import Database, open_database
from tests.fixtures.replica import Replicated, open_replicated
from tests.fixtures.servers import temporary_folder
from tests.library.conftest import OpenLibrary

SECONDS = 30.0
WHERE = "SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'database' END AS place"


@pytest.fixture
async def servers() -> AsyncIterator[Replicated]:
    with temporary_folder() as folder:
        async with open_replicated(folder) as replicated:
            yield replicated


def settings_of(servers: Replicated, settings: Callable[..., LibrarySettings], **changes: Any) -> LibrarySettings:
    return settings(database_url=servers.url, database_replica_url=servers.replica_url, **changes)


async def place(database: Database) -> str:
    (row,) = await database.fetch_stale("where", WHERE)
    return str(row["place"])


async def until(place_is: str, database: Database) -> None:
    async with asyncio.timeout(SECONDS):
        while await place(database) != place_is:
            await asyncio.sleep(0.05)


async def told(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_lists_come_from_the_replica_as_long_as_it_is_well(
    servers: Replicated, settings: Callable[..., LibrarySettings]
) -> None:
    async with open_database(settings_of(servers, settings, database_replica_lag=2.0)) as database:
        await until("replica", database)
        # It stands still while the database goes on: too old, until it has caught up.
        await told(servers.replica_admin_url, "SELECT pg_wal_replay_pause()")
        await told(servers.url, "CREATE TABLE things (thing int)")
        await until("database", database)
        await told(servers.replica_admin_url, "SELECT pg_wal_replay_resume()")
        await until("replica", database)
        assert await database.fetch_stale("things", "SELECT * FROM things") == []
        # The database is gone: what the replica has is the latest that there is.
        await servers.primary.stop(0)
        for _ in range(20):
            assert await place(database) == "replica"
            await asyncio.sleep(0.1)


async def test_the_shelf_is_read_from_it_until_it_is_none_any_more(
    servers: Replicated, open_client: OpenLibrary, settings: Callable[..., LibrarySettings]
) -> None:
    urls = {"database_url": servers.url, "database_replica_url": servers.replica_url}
    async with open_client(**urls, database_replica_lag=600.0) as library:
        reader = await library.guest()
        first = await library.novel(reader)

        async def shelf_is(*novels: str) -> None:
            async with asyncio.timeout(SECONDS):
                while True:
                    response = await reader.call(library.novels.ListNovels, pb.ListNovelsRequest())
                    if [novel.novel_id for novel in response.novels] == list(novels):
                        return
                    await asyncio.sleep(0.05)

        await shelf_is(first)
        await told(servers.replica_admin_url, "SELECT pg_wal_replay_pause()")
        second = await library.novel(reader)
        await shelf_is(first)  # once the replica is known to be young enough
        await told(servers.replica_admin_url, "SELECT pg_wal_replay_resume()")
        await shelf_is(second, first)
    async with open_database(settings_of(servers, settings)) as database:
        await until("replica", database)
        await told(servers.replica_admin_url, "SELECT pg_promote()")
        assert database.replica is not None
        async with asyncio.timeout(SECONDS):
            while database.replica.usable:  # it is a database of its own now
                await asyncio.sleep(0.05)
        assert await place(database) == "database"
    await servers.replica.stop(0)
    async with open_database(settings_of(servers, settings)) as database:  # it is not there at the start
        assert await place(database) == "database"
