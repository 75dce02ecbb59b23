"""Brings the schema up to date at start, while other replicas serve. The rules of revisions: docs/operations.md."""

import asyncio
import io
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from mesh.telemetry.logs import get_logger
from services.library.stores.address import tls

if TYPE_CHECKING:
    from alembic.config import Config

log = get_logger(__name__)

SCRIPTS = Path(__file__).parent.parent / "migrations"
# Any number that no other program takes on this database: "gaji" in ASCII.
_LOCK = 0x67616A69
_LOCK_SECONDS = 120.0
_INDEX_SECONDS = 3600.0
_POLL_SECONDS = 0.1
# What waits for a table holds up all who come after it, so it waits no longer than a call can, and tries again.
_TABLE_MILLISECONDS = 1_000
_PAUSE_SECONDS = (0.2, 1.0)
_REVISION = re.compile(r'^(down_)?revision = "(\w+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Step:
    """A revision that is to be made.

    Attributes:
        revision: its name.
        indexes: those of tables in use, name -> what stands after it; made first, without keeping anybody from writing.
        script: all else, for one transaction.
    """

    revision: str
    indexes: Mapping[str, str]
    script: str


async def migrate(database_url: str, scripts: Path = SCRIPTS) -> str:
    """Applies what is missing, each revision in one transaction, under an advisory lock: of several replicas one does.

    Alembic writes the SQL (its offline mode), asyncpg runs it, so that no second database driver is needed.

    Args:
        database_url: of the schema's owner.
        scripts: Alembic's folder.

    Returns:
        The revision that the schema is at. One that this release does not know is left alone: a newer release has
        made it, and revisions keep the release before them working.

    Raises:
        OSError: nobody answers at the address, or another replica migrates for too long.
        asyncpg.PostgresError: a statement fails; nothing of its revision is changed then.
    """
    known, head = await asyncio.to_thread(known_revisions, scripts)
    connection = await asyncpg.connect(database_url, ssl=tls(database_url), command_timeout=_LOCK_SECONDS)
    try:
        async with _alone(connection):
            current = await _current(connection)
            if current is not None and current not in known:
                log.warning("the schema is of a newer release", extra={"revision": current, "known": head})
                return current
            steps = [] if current == head else await asyncio.to_thread(_steps, scripts, current, head)
            for step in steps:
                await _make(connection, step)
                log.info("migrated", extra={"from_revision": current, "revision": step.revision})
                current = step.revision
        return head
    finally:
        await connection.close()


def known_revisions(scripts: Path = SCRIPTS) -> tuple[frozenset[str], str]:
    """The revisions that this release knows, and the last of them.

    Read from the lines of their files: Alembic, which would tell the same, takes 20 MB and half a second of a start.
    """
    known: set[str] = set()
    followed: set[str] = set()
    for file in (scripts / "versions").glob("*.py"):
        for down, name in _REVISION.findall(file.read_text(encoding="utf-8")):
            (followed if down else known).add(name)
    heads = known - followed
    if len(heads) != 1:
        raise RuntimeError(f"{scripts} must have one last revision; there are {len(heads)}")
    return frozenset(known), heads.pop()


@asynccontextmanager
async def _alone(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Holds the lock; it ends with the connection.

    Asked for again and again instead of waited for: whoever waits in a statement has a snapshot, and the making of an
    index waits for all of those.
    """
    try:
        async with asyncio.timeout(_LOCK_SECONDS):
            # A lock tells nobody that it is free.
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - see above
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"another replica has been migrating for {_LOCK_SECONDS:g} s") from None
    yield


async def _make(connection: "asyncpg.Connection[asyncpg.Record]", step: _Step) -> None:
    for name, definition in step.indexes.items():
        await _index(connection, name, definition)
    until = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {_TABLE_MILLISECONDS}")
                await connection.execute(step.script)
        except asyncpg.LockNotAvailableError:
            if asyncio.get_running_loop().time() > until:
                raise
            log.info("a table is in use; trying again", extra={"revision": step.revision})
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - spreads load, hides nothing
        else:
            return


async def _index(connection: "asyncpg.Connection[asyncpg.Record]", name: str, definition: str) -> None:
    """Makes an index unless it is there; one that was broken off is made anew."""
    valid = await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", name)
    if valid:
        return
    for statement in (f"DROP INDEX CONCURRENTLY IF EXISTS {name}", f"CREATE INDEX CONCURRENTLY {name} {definition}"):
        await connection.execute(statement, timeout=_INDEX_SECONDS)


async def _current(connection: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


def _config(output: io.StringIO | None = None, scripts: Path = SCRIPTS) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - only a migration needs it

    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def _steps(scripts: Path, current: str | None, head: str) -> list[_Step]:
    """The revisions from one to the last, in order."""
    from alembic import command  # noqa: PLC0415 - only a migration needs it
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - likewise

    directory = ScriptDirectory.from_config(_config(scripts=scripts))
    missing = list(directory.iterate_revisions(head, current or "base"))[::-1]
    steps = []
    for script in missing:
        output, before = io.StringIO(), script.down_revision
        command.upgrade(
            _config(output, scripts), f"{before}:{script.revision}" if before else script.revision, sql=True
        )
        steps.append(_Step(script.revision, getattr(script.module, "CONCURRENTLY", {}), output.getvalue()))
    return steps
