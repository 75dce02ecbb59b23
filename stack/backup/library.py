"""The library in a backup: PostgreSQL's own dump of one moment, as SQL."""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from services.library.stores.address import tls
from stack.backup.client import CONNECT_SECONDS, ProgramError, run
from stack.errors import StackError

TABLES = ("users", "novels", "scenarios", "conversations", "messages")
"""Those that a backup counts."""

OURS = frozenset(
    {
        *TABLES,
        "alembic_version",
        "character_edit_news",
        "character_edits",
        "novel_characters",
        "novel_passages",
        "novel_texts",
        "reading_progress",
        "refresh_tokens",
        "scenario_passages",
        "search_removals",
        "sessions",
    }
)
"""All tables of a library, of this release and those before it. Whatever else is in a database is somebody else's."""

_MARKS = {*TABLES, "alembic_version"}
_MOST_NAMED = 5
# Servers before 17 do not know this setting, which pg_dump writes whatever server it asks.
_TOO_NEW, _HEAD = b"SET transaction_timeout = 0;", 8192
# Written by pg_dump of 18, and of earlier ones since August 2025; nothing but comments is before it.
_RESTRICTED = re.compile(rb"\A(?:--[^\n]*\n|\n)*(\\restrict) ([0-9A-Za-z]+)\n")
_SCRIPT_FAILED = 3  # of psql(1), "EXIT STATUS"; with 2 the connection was lost
# What else hangs on these tables is nobody's to drop: without CASCADE it stops the restore.
_EMPTY = f"DROP TABLE IF EXISTS {', '.join(f'public.{table}' for table in sorted(OURS))};\n"
# What an extension has made is left out: it is of no application.
_RELATIONS = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
)
ORDER BY relname
"""
# As services.library.stores.ingestion has a novel wait for another ingestion.
_READ_ANEW = """
UPDATE novels
SET status = 'pending', failure = NULL, progress = 0, stage = 'queued', stage_message = 'Waiting for its turn',
    attempts = 0, next_attempt_at = now(), epoch = epoch + 1, last_sequence = 0, lease_id = NULL,
    lease_expires_at = NULL, updated_at = now();
"""


class RolledBackError(StackError):
    """A dump was refused, and the database is as it was."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the library, which lasts as long as the block that it was made in.

    Attributes:
        snapshot: its name, for other connections.
        schema: the revision; empty: there is no schema.
        server: the server's version.
        counts: rows by table.
        bytes: how much room the database takes.
    """

    snapshot: str
    schema: str
    server: str
    counts: Mapping[str, int]
    bytes: int


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection.

    Raises:
        StackError: the server does not answer, or refuses.
    """
    where = urlsplit(url).hostname or "its socket"
    try:
        connection = await asyncpg.connect(url, ssl=tls(url), timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise StackError(
            f"PostgreSQL at {where} does not let us in: {error}", "check GAJI_DATABASE_URL and that it runs"
        ) from None
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def moment(url: str) -> AsyncIterator[Moment]:
    """Holds a moment of the library, so that it can be dumped at leisure.

    Raises:
        StackError: the server does not answer, or refuses.
    """
    async with connected(url) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        yield Moment(
            snapshot,
            await schema_of(connection) or "",
            str(await connection.fetchval("SHOW server_version")),
            await counts_of(connection),
            await connection.fetchval("SELECT pg_database_size(current_database())"),
        )


async def schema_of(connection: Any) -> str | None:
    """The revision of the schema; None: there is none."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def counts_of(connection: Any) -> Mapping[str, int]:
    """Rows by table, of those that are there."""
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        for table in TABLES
        if await connection.fetchval("SELECT to_regclass($1)", table) is not None
    }


async def has_tables(connection: Any) -> bool:
    """Whether a database has a library; if not, it has nothing.

    Raises:
        StackError: it has what is not Gaji's.
    """
    found = [row["relname"] for row in await connection.fetch(_RELATIONS)]
    # Another application may have users, too: only all marks together are those of a library.
    foreign = [name for name in found if name not in OURS] if _MARKS.issubset(found) else found
    if foreign:
        more = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
        raise StackError(
            "the database that GAJI_DATABASE_URL names has tables that are not of this release of Gaji: "
            f"{', '.join(foreign[:_MOST_NAMED])}{more}",
            "use a database of its own",
        )
    return bool(found)


async def dump(url: str, snapshot: str, target: Path) -> None:
    """Writes a moment as SQL.

    Raises:
        StackError: pg_dump is missing or fails.
    """
    options = ["--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={target}"]
    await run("pg_dump", url, options)
    await asyncio.to_thread(_for_all_servers, target)


async def try_psql(url: str) -> None:
    """Makes sure that psql is there and is let in.

    Raises:
        StackError: it isn't.
    """
    await run("psql", url, ["-X", "-q", "--output=/dev/null", "--command=SELECT 1"])


async def load(url: str, source: Path, *, read_anew: bool) -> None:
    """Puts a dump in the place of a library, all at once, with the rights of whom the URL names.

    Args:
        url: of the database, as the schema's owner; it has Gaji's tables or none.
        source: the dump; commands to psql in it are refused.
        read_anew: whether all novels are then to be taken in anew from their texts.

    Raises:
        RolledBackError: the dump is refused; nothing has changed.
        StackError: psql is missing, or fails so that nobody knows whether the database has changed.
    """
    key = secrets.token_hex(32)
    before, after = source.with_name("before.sql"), source.with_name("after.sql")
    # psql(1): from \restrict to \unrestrict with the same word it takes SQL alone. Else a file could run programs here.
    await asyncio.to_thread(before.write_text, f"{_EMPTY}\\restrict {key}\n", "utf-8")
    await asyncio.to_thread(_without_restrictions, source)
    # The dump leaves the search path empty.
    last = f"\\unrestrict {key}\nSET search_path = public;{_READ_ANEW if read_anew else ''}"
    await asyncio.to_thread(after.write_text, last, "utf-8")
    files = [f"--file={file}" for file in (before, source, after)]
    try:
        await run(
            "psql", url, ["-X", "-q", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null", *files]
        )
    except ProgramError as error:
        if error.code == _SCRIPT_FAILED:
            raise RolledBackError(error.message, error.remedy) from None
        raise


def _for_all_servers(target: Path) -> None:
    with target.open("r+b") as file:
        at = file.read(_HEAD).find(_TOO_NEW)
        if at >= 0:
            file.seek(at)
            file.write(b"--".ljust(len(_TOO_NEW)))


def _without_restrictions(source: Path) -> None:
    """Makes comments of the restriction that pg_dump has written, for there can be only one: ours, of a secret word."""
    with source.open("r+b") as file:
        found = _RESTRICTED.match(file.read(_HEAD))
        if found is None:
            return
        file.seek(found.start(1))
        file.write(b"--")
        tail = max(0, file.seek(0, os.SEEK_END) - _HEAD)
        file.seek(tail)
        at = file.read().rfind(b"\n\\unrestrict " + found[2] + b"\n")
        if at >= 0:
            file.seek(tail + at + 1)
            file.write(b"--")
