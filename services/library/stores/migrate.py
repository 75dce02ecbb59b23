"""Brings the schema up to date at start."""

import asyncio
import io
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from mesh.telemetry.logs import get_logger
from services.library.stores.address import tls

log = get_logger(__name__)

_SCRIPTS = Path(__file__).parent.parent / "migrations"
# Any number that no other program takes on this database: "gaji" in ASCII.
_LOCK = 0x67616A69
_LOCK_SECONDS = 120.0


async def migrate(database_url: str) -> str:
    """Applies what is missing, in one transaction under an advisory lock: of several replicas one does it.

    Alembic writes the SQL (its offline mode), asyncpg runs it, so that no second database driver is needed.

    Returns:
        The revision that the schema is at. One that this release does not know is left alone: a newer release has
        made it, and revisions keep the release before them working.

    Raises:
        OSError: nobody answers at the address.
        asyncpg.PostgresError: a statement fails; nothing is changed then.
    """
    known, head = await asyncio.to_thread(_revisions)
    connection = await asyncpg.connect(database_url, ssl=tls(database_url), command_timeout=_LOCK_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            current = await _current(connection)
            if current == head:
                return head
            if current is not None and current not in known:
                log.warning("the schema is of a newer release", extra={"revision": current, "known": head})
                return current
            await connection.execute(await asyncio.to_thread(_script, current))
        log.info("migrated", extra={"from_revision": current, "revision": head})
        return head
    finally:
        await connection.close()


async def _current(connection: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _revisions() -> tuple[frozenset[str], str]:
    scripts = ScriptDirectory.from_config(_config())
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError(f"there are no revisions in {_SCRIPTS}")
    return frozenset(script.revision for script in scripts.walk_revisions()), head


def _script(current: str | None) -> str:
    output = io.StringIO()
    command.upgrade(_config(output), f"{current}:head" if current else "head", sql=True)
    return output.getvalue()
