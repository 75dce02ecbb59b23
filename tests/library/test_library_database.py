"""The schema and the pool: migrations, exhaustion, a database that goes away."""

import asyncio
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from gaji.library.v1 import user_service_pb2 as users_pb

from mesh import deadlines
from mesh.errors import Aborted, DeadlineExceeded, NotFound, Unavailable
from mesh.telemetry.metrics import REGISTRY
from services.library.config import LibrarySettings
from services.library.stores import open_stores
from services.library.stores.address import tls
from services.library.stores.database import Database, open_database
from services.library.stores.migrate import _config, migrate
from tests.library.conftest import LibraryClient, OpenLibrary

Settings = Callable[..., LibrarySettings]


async def fetch(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_migrations_from_empty_and_again(postgres_url: str) -> None:
    assert await migrate(postgres_url) == await migrate(postgres_url)
    tables = await fetch(postgres_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {
        "users",
        "refresh_tokens",
        "novels",
        "novel_texts",
        "scenarios",
        "conversations",
        "messages",
        "alembic_version",
    } <= set(tables)


async def test_replicas_may_start_together(postgres_url: str) -> None:
    revisions = await asyncio.gather(*(migrate(postgres_url) for _ in range(4)))
    assert len(set(revisions)) == 1
    assert await fetch(postgres_url, "SELECT version_num FROM alembic_version") == [revisions[0]]


async def test_a_newer_schema_is_left_alone(postgres_url: str) -> None:
    await migrate(postgres_url)
    await fetch(postgres_url, "UPDATE alembic_version SET version_num = '9999' RETURNING 1")
    assert await migrate(postgres_url) == "9999"


def script(revisions: str, *, down: bool = False) -> str:
    output = io.StringIO()
    (command.downgrade if down else command.upgrade)(_config(output), revisions, sql=True)
    return output.getvalue()


async def run(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(statements)
    finally:
        await connection.close()


BEFORE_BRANCHES = """
INSERT INTO users (user_id, display_name) VALUES (gen_random_uuid(), 'Ada');
INSERT INTO novels (novel_id, owner_id, title, author, language, visibility, request_hash, status)
    SELECT gen_random_uuid(), user_id, 'The Tower', '', 'en', 'public', '', status
    FROM users, unnest(ARRAY['complete', 'pending']) AS status;
INSERT INTO scenarios (scenario_id, owner_id, novel_id, title, description, passage_ids, visibility)
    SELECT gen_random_uuid(), owner_id, novel_id, 'What if?', 'x', '{}', 'private' FROM novels;
INSERT INTO conversations
    (conversation_id, user_id, scenario_id, novel_id, character_id, character_name, character_description)
    SELECT gen_random_uuid(), owner_id, scenario_id, novel_id, gen_random_uuid(), 'Ada', '' FROM scenarios;
INSERT INTO messages (message_id, conversation_id, position, role, content, status, lease_id, leased_at)
    SELECT gen_random_uuid(), conversation_id, position, CASE position % 2 WHEN 0 THEN 'reader' ELSE 'character' END,
           'Line ' || position, CASE position WHEN 3 THEN 'pending' ELSE 'complete' END,
           CASE position % 2 WHEN 1 THEN gen_random_uuid() END, now()
    FROM conversations, generate_series(0, 3) AS position;
UPDATE conversations SET message_count = 4;
"""


BRANCHES = """
CREATE VIEW branches AS WITH RECURSIVE branch AS (
    SELECT messages.* FROM messages JOIN conversations ON head_id = message_id
    UNION ALL
    SELECT messages.* FROM messages JOIN branch ON messages.message_id = branch.parent_id
)
SELECT * FROM branch;
"""


async def test_messages_become_one_branch_and_back(postgres_url: str) -> None:
    await run(postgres_url, await asyncio.to_thread(script, "0001"))
    await run(postgres_url, BEFORE_BRANCHES)
    head = await migrate(postgres_url)
    await run(postgres_url, BRANCHES)
    lines = await fetch(postgres_url, "SELECT content FROM branches ORDER BY conversation_id, position")
    assert lines == [f"Line {number}" for number in range(4)] * 2
    assert await fetch(postgres_url, "SELECT DISTINCT epoch FROM branches WHERE role = 'character'") == [1]
    assert await fetch(postgres_url, "SELECT last_sequence FROM novels WHERE status = 'complete'") == [1]
    await run(
        postgres_url,
        "DROP VIEW branches; DELETE FROM messages WHERE position = 1; UPDATE messages SET status = 'stopped'",
    )
    await run(postgres_url, await asyncio.to_thread(script, f"{head}:0001", down=True))
    kept = await fetch(postgres_url, "SELECT position || ' ' || content || ' ' || status FROM messages")
    assert kept == ["0 Line 0 failed"] * 2, "what follows a message goes with it"
    assert await migrate(postgres_url) == head


async def test_every_foreign_key_has_an_index(postgres_url: str) -> None:
    await migrate(postgres_url)
    bare = await fetch(
        postgres_url,
        """
        SELECT conrelid::regclass || '.' || conname FROM pg_constraint
        WHERE contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]
        )
        """,
    )
    assert bare == []


async def test_an_exhausted_pool_is_unavailable(settings: Settings) -> None:
    async with open_database(settings(pool_max=1, pool_acquire_timeout=0.1)) as database:
        async with database.connection("holder"):
            with pytest.raises(Unavailable) as caught:
                async with database.connection("waiter"):
                    pass
        assert (caught.value.reason, caught.value.retryable) == ("DATABASE_BUSY", True)
        async with database.connection("next") as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_waiting_ends_with_the_caller_s_deadline(settings: Settings) -> None:
    async with open_database(settings(pool_max=1)) as database, database.connection("holder"):
        with deadlines.scope(0.1), pytest.raises(Unavailable):
            async with database.connection("waiter"):
                pass


async def test_the_queue_for_connections_has_an_end(settings: Settings) -> None:
    async def use(database: Database) -> None:
        async with database.connection("waiter"):
            pass

    async with open_database(settings(pool_max=1, pool_waiting=1)) as database:
        async with database.connection("holder"):
            waiting = asyncio.create_task(use(database))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable) as caught:
                await use(database)
        await waiting
    assert (caught.value.reason, caught.value.metadata) == ("DATABASE_BUSY", {"peer": "database"})
    assert 1 <= (caught.value.retry_after or 0) <= 4


async def test_a_connection_held_long_is_warned_of(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async with open_database(settings(pool_held_warning=0.05)) as database:
        async with database.connection("brief"):
            pass
        async with database.connection("slow.one"):
            await asyncio.sleep(0.2)
    warned = [record for record in caplog.records if record.message == "a connection is held for long"]
    assert [vars(record)["purpose"] for record in warned] == ["slow.one"]


POOL = {"db_client_connection_pool_name": "library"}


async def test_the_pool_is_measured(settings: Settings) -> None:
    def connections(state: str) -> float | None:
        return REGISTRY.get_sample_value("db_client_connection_count", {**POOL, "db_client_connection_state": state})

    async with open_database(settings(pool_min=2, pool_max=3)) as database:
        assert (connections("idle"), connections("used")) == (2, 0)
        async with database.connection("holder"):
            assert (connections("idle"), connections("used")) == (1, 1)
        assert REGISTRY.get_sample_value("db_client_connection_max", POOL) == 3
    assert connections("idle") == 0


async def test_work_is_measured_by_what_it_is_for(settings: Settings) -> None:
    def count(purpose: str, error_type: str) -> float:
        labels = {"db_system_name": "postgresql", "db_operation_name": purpose, "error_type": error_type}
        return REGISTRY.get_sample_value("db_client_operation_duration_seconds_count", labels) or 0.0

    waited = REGISTRY.get_sample_value("db_client_connection_wait_time_seconds_count", POOL) or 0.0
    async with open_database(settings(pool_max=1)) as database:
        async with database.connection("measured.well") as connection:
            await connection.execute("SELECT 1")
        with pytest.raises(asyncpg.UndefinedTableError):
            async with database.connection("measured.badly") as connection:
                await connection.execute("SELECT * FROM no_such_table")
        with pytest.raises(NotFound):
            async with database.connection("measured.well"):
                raise NotFound("is no trouble of the database's")
    assert (count("measured.well", ""), count("measured.badly", "UndefinedTableError")) == (2, 1)
    assert REGISTRY.get_sample_value("db_client_connection_wait_time_seconds_count", POOL) == waited + 3


async def test_a_transaction_is_all_or_nothing(settings: Settings) -> None:
    async with open_database(settings()) as database:
        async with database.connection("table") as connection:
            await connection.execute("CREATE TABLE things (name text)")
        with pytest.raises(RuntimeError):
            await _write_and_fail(database)
        async with database.connection("count") as connection:
            assert await connection.fetchval("SELECT count(*) FROM things") == 0


async def _write_and_fail(database: Database) -> None:
    async with database.transaction("failing") as connection:
        await connection.execute("INSERT INTO things VALUES ('one')")
        raise RuntimeError


async def test_a_deadlock_may_be_tried_again(settings: Settings) -> None:
    async with open_database(settings()) as database:
        async with database.connection("table") as connection:
            await connection.execute("CREATE TABLE things (name text)")
            await connection.execute("INSERT INTO things VALUES ('one'), ('two')")
        first_locks = asyncio.Barrier(2)

        async def lock(*names: str) -> None:
            async with database.transaction("locks") as connection:
                for name in names:
                    await connection.execute("SELECT FROM things WHERE name = $1 FOR UPDATE", name)
                    if name == names[0]:
                        await first_locks.wait()

        ends = await asyncio.gather(lock("one", "two"), lock("two", "one"), return_exceptions=True)
    (aborted,) = [end for end in ends if end is not None]
    assert isinstance(aborted, Aborted)
    assert (aborted.reason, aborted.retryable) == ("CONCURRENT_CHANGE", True)


async def test_a_statement_that_is_cancelled_is_a_deadline(settings: Settings) -> None:
    async with open_database(settings()) as database:
        with pytest.raises(DeadlineExceeded):
            async with database.connection("slow") as connection:
                await connection.execute("SET statement_timeout = 50")
                await connection.execute("SELECT pg_sleep(5)")


async def test_the_library_outlives_broken_connections(library: LibraryClient, postgres_url: str) -> None:
    guest = await library.guest()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gaji-library%'"
    await fetch(postgres_url, kill)
    for _ in range(50):
        try:
            await guest.call(library.users.GetProfile, users_pb.GetProfileRequest())
            break
        except Unavailable:
            await asyncio.sleep(0.02)
    events = await library.watch(guest, await library.novel(guest))
    assert events[-1].WhichOneof("event") == "complete"


async def test_an_exhausted_pool_is_told_to_callers(open_client: OpenLibrary, postgres_url: str) -> None:
    async with open_client(pool_min=1, pool_max=1, pool_acquire_timeout=0.2) as library:
        guest = await library.guest()
        blocker = await asyncpg.connect(postgres_url)
        try:
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                calls = [guest.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest()) for _ in range(4)]
                running = [asyncio.ensure_future(call) for call in calls]
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                error = done.pop().exception()
                assert isinstance(error, Unavailable)
                assert error.reason == "DATABASE_BUSY"
        finally:
            await blocker.close()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_database_that_refuses_is_named(settings: Settings, postgres_url: str) -> None:
    wrong = urlsplit(postgres_url)._replace(path="/nowhere").geturl()
    with pytest.raises(OSError, match="GAJI_DATABASE_URL refuses"):
        async with open_stores(settings(database_url=wrong)):
            pass


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@127.0.0.1:5432/d", False),
        ("postgresql://u:p@[::1]:5432/d", False),
        ("postgresql://u:p@localhost/d", False),
        ("postgresql://u:p@127.0.0.1/d?sslmode=require", None),
        ("postgresql://u:p@db.example.com/d", None),
        ("postgresql://u:p@10.0.0.7/d", None),
    ],
)
def test_tls_is_left_out_only_on_the_way_to_oneself(url: str, expected: bool | None) -> None:
    assert tls(url) is expected


def test_a_pool_without_room_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="GAJI_POOL_MIN"):
        settings(pool_min=9, pool_max=5)
