"""A new release's schema comes while the release before serves: revisions keep to the rules, and lose no call."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from gaji.library.v1 import user_service_pb2 as users_pb

from services.library.stores.migrate import SCRIPTS, _config, known_revisions, migrate
from tests.library.conftest import LibraryClient, Reader
from tests.library.migration_rules import broken, statements_of

# Made before there were rules, when no reader was there yet.
BEFORE = {"0001", "0002", "0003", "0004", "0005", "0006", "0007"}
REVISIONS = sorted(known_revisions()[0])


def module_of(revision: str) -> Any:
    script = ScriptDirectory.from_config(_config()).get_revision(revision)
    return script.module


def test_the_revisions_are_those_that_alembic_finds() -> None:
    directory = ScriptDirectory.from_config(_config())
    found = frozenset(script.revision for script in directory.walk_revisions())
    assert known_revisions() == (found, directory.get_current_head())


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_keeps_to_the_rules(revision: str) -> None:
    module = module_of(revision)
    found = list(broken(statements_of(module)))
    contract = getattr(module, "CONTRACT", "")
    assert not found or contract or revision in BEFORE, (
        f"{found}\nSplit it: what the release before can live with now, the rest in a later revision, "
        "which says in CONTRACT = '...' which release no longer needs what it takes away."
    )
    assert not contract or found, "CONTRACT is for revisions that take something away"


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DROP TABLE users", "drops"),
        ("ALTER TABLE users DROP COLUMN email", "drops"),
        ("ALTER TABLE users RENAME COLUMN email TO mail", "renames"),
        ("ALTER TABLE users ALTER COLUMN email TYPE varchar(5)", "changes a type"),
        ("ALTER TABLE users ALTER email SET NOT NULL", "forbids"),
        ("ALTER TABLE users ADD COLUMN age int NOT NULL", "does not fill"),
        ("ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()", "volatile"),
        ("ALTER TABLE users ADD CONSTRAINT old CHECK (age > 1)", "checks all rows"),
        ("ALTER TABLE users ADD CONSTRAINT one UNIQUE (email)", "under a lock"),
        ("CREATE INDEX users_age ON users (age)", "CONCURRENTLY"),
        ("CREATE UNIQUE INDEX users_age ON users (age)", "CONCURRENTLY"),
        ("UPDATE users SET age = 1", "in batches"),
        ("TRUNCATE users", "empties"),
        ("LOCK TABLE users", "takes a lock"),
    ],
)
def test_what_breaks_a_rule_is_found(statement: str, rule: str) -> None:
    assert any(rule in found.rule for found in broken((statement,))), statement


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE users ADD COLUMN age int",),
        ("ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 0, ADD COLUMN name text",),
        ("ALTER TABLE users ADD CONSTRAINT old CHECK (age > 1) NOT VALID",),
        ("ALTER TABLE users VALIDATE CONSTRAINT old",),
        ("CREATE TABLE pets (pet_id uuid PRIMARY KEY, name text NOT NULL)", "CREATE INDEX pets_name ON pets (name)"),
        ("INSERT INTO words VALUES ('DROP TABLE users')",),
    ],
)
def test_what_keeps_to_them_is_not(statements: tuple[str, ...]) -> None:
    assert list(broken(statements)) == []


LATER = '''
"""Of a release to come."""
from alembic import op

revision = "9999"
down_revision = "{head}"

CONCURRENTLY = {{"users_name": "ON users (display_name)"}}
STATEMENTS = (
    "ALTER TABLE users ADD COLUMN shelf text NOT NULL DEFAULT 'left'",
    "CREATE TABLE shelves (name text PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError
'''


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The revisions, and one of a release to come."""
    folder = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_later.py").write_text(LATER.format(head=known_revisions()[1]))
    return folder


async def writing(library: LibraryClient, guest: Reader, stop: asyncio.Event) -> int:
    """Calls that change rows of the table that is being changed, one after the other; how many."""
    count = 0
    while not stop.is_set():
        count += 1
        request = users_pb.UpdateProfileRequest(display_name=f"name {count}")
        answer = await guest.call(library.users.UpdateProfile, request)
        assert answer.user.display_name == f"name {count}"
        await library.guest()
    return count


async def test_a_later_release_s_schema_comes_while_this_one_writes(
    library: LibraryClient, postgres_url: str, later: Path
) -> None:
    guests, stop = [await library.guest() for _ in range(4)], asyncio.Event()
    writers = [asyncio.create_task(writing(library, guest, stop)) for guest in guests]
    try:
        # Two replicas of it start at once.
        assert await asyncio.gather(*(migrate(postgres_url, later) for _ in range(2))) == ["9999", "9999"]
        for guest in guests:  # and this one goes on, on that schema
            await library.novel(guest)
    finally:
        stop.set()
    assert min(await asyncio.gather(*writers)) > 0
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT DISTINCT shelf FROM users") == "left"
        assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_name'::regclass")
    finally:
        await connection.close()
    assert await migrate(postgres_url) == "9999", "this release leaves it alone"


async def test_a_table_in_use_is_waited_for_without_holding_others_up(
    library: LibraryClient, postgres_url: str, later: Path
) -> None:
    guest = await library.guest()
    connection = await asyncpg.connect(postgres_url)
    holder = connection.transaction()
    await holder.start()
    await connection.execute("INSERT INTO users (user_id, display_name) VALUES (gen_random_uuid(), 'slow')")
    async with asyncio.TaskGroup() as group:
        # The index waits for nobody to have an older snapshot, the table for nobody to use it.
        migrating = group.create_task(migrate(postgres_url, later))
        waiting = await asyncpg.connect(postgres_url)
        try:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
            while not await waiting.fetchval(query, "CREATE INDEX CONCURRENTLY%"):
                await asyncio.sleep(0.02)
        finally:
            await waiting.close()
        for number in range(20):
            request = users_pb.UpdateProfileRequest(display_name=f"name {number}")
            await guest.call(library.users.UpdateProfile, request)
        assert not migrating.done()
        await holder.commit()
        await connection.close()
    assert migrating.result() == "9999"


async def test_a_table_lock_is_given_up_and_tried_again(
    library: LibraryClient, postgres_url: str, later: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "services.library.stores.migrate")
    revision = later / "versions" / "9999_later.py"
    revision.write_text(revision.read_text().replace("CONCURRENTLY =", "OTHERS ="))
    guest = await library.guest()
    connection = await asyncpg.connect(postgres_url)
    async with asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("INSERT INTO users (user_id, display_name) VALUES (gen_random_uuid(), 'slow')")
            migrating = group.create_task(migrate(postgres_url, later))
            while not any(record.message == "a table is in use; trying again" for record in caplog.records):
                await guest.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name="name"))
            assert not migrating.done()
        await connection.close()
    assert migrating.result() == "9999"


async def test_an_index_that_was_broken_off_is_made_anew(postgres_url: str, later: Path) -> None:
    await migrate(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(
            "INSERT INTO users (user_id, display_name) SELECT gen_random_uuid(), 'x' FROM generate_series(1, 2)"
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (display_name)")
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_name'::regclass"
        assert await connection.fetchval(valid) is False
        await migrate(postgres_url, later)
        assert await connection.fetchval(valid) is True
    finally:
        await connection.close()
