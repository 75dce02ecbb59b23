"""The library in a backup: PostgreSQL's own dump of one moment, as SQL."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from services.library.stores.address import tls
from stack.embedded import postgres
from stack.errors import StackError

TABLES = ("users", "novels", "scenarios", "conversations", "messages")
"""Those that a backup counts."""

_CONNECT_SECONDS = 10.0
_LONGEST_SECONDS = 6 * 3600.0
# Servers before 17 do not know this setting, which pg_dump writes whatever server it asks.
_TOO_NEW, _HEAD = b"SET transaction_timeout = 0;", 8192
_EMPTY = """
DO $$ DECLARE each record; BEGIN
    FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP TABLE public.%I CASCADE', each.tablename);
    END LOOP;
END $$;
"""
# As services.library.stores.ingestion has a novel wait for another ingestion.
_READ_ANEW = """
UPDATE novels
SET status = 'pending', failure = NULL, progress = 0, stage = 'queued', stage_message = 'Waiting for its turn',
    attempts = 0, next_attempt_at = now(), epoch = epoch + 1, last_sequence = 0, lease_id = NULL,
    lease_expires_at = NULL, updated_at = now();
"""


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
        connection = await asyncpg.connect(url, ssl=tls(url), timeout=_CONNECT_SECONDS)
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


async def dump(url: str, snapshot: str, target: Path) -> None:
    """Writes a moment as SQL.

    Raises:
        StackError: pg_dump is missing or fails.
    """
    options = ["--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={target}"]
    await _run("pg_dump", url, options)
    await asyncio.to_thread(_for_all_servers, target)


async def load(url: str, source: Path, *, read_anew: bool) -> None:
    """Puts a dump in the place of what a database has, all at once: what fails changes nothing.

    Args:
        url: of the database, as the schema's owner.
        source: the dump.
        read_anew: whether all novels are then to be taken in anew from their texts.

    Raises:
        StackError: psql is missing or fails.
    """
    before, after = source.with_name("before.sql"), source.with_name("after.sql")
    await asyncio.to_thread(before.write_text, _EMPTY, "utf-8")
    # The dump leaves the search path empty.
    await asyncio.to_thread(after.write_text, f"SET search_path = public;{_READ_ANEW if read_anew else ''}", "utf-8")
    files = [f"--file={file}" for file in (before, source, after)]
    await _run("psql", url, ["-X", "-q", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null", *files])


async def _run(name: str, url: str, options: Sequence[str]) -> None:
    """Runs one of PostgreSQL's programs; the password goes by the environment, for everybody reads command lines."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    name_only = f"{user.partition(':')[0]}@{place}" if user else place
    quiet = {"PGOPTIONS": "--client-min-messages=warning"}
    env = {**os.environ, **quiet, "PGCONNECT_TIMEOUT": f"{_CONNECT_SECONDS:.0f}"}
    if parts.password:
        env["PGPASSWORD"] = unquote(parts.password)
    process = await asyncio.create_subprocess_exec(
        _program(name),
        *options,
        "--no-password",
        f"--dbname={urlunsplit(parts._replace(netloc=name_only))}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        raise StackError(f"{name} took longer than {_LONGEST_SECONDS / 3600:g} h", "look at the server") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        wrong = next((line for line in words if "error:" in line.lower()), words[0] if words else process.returncode)
        raise StackError(f"{name} failed: {wrong}", "see what it says")


def _program(name: str) -> str:
    """A program of PostgreSQL: that of the wheel, which is of the newest release and knows all before it."""
    try:
        own = postgres.binaries() / name
        if own.is_file():
            return str(own)
    except StackError:
        pass
    found = shutil.which(name)
    if found is None:
        raise StackError(f"there is no {name}", "install PostgreSQL's client, or the extra `local`")
    return found


def _for_all_servers(target: Path) -> None:
    with target.open("r+b") as file:
        at = file.read(_HEAD).find(_TOO_NEW)
        if at >= 0:
            file.seek(at)
            file.write(b"--".ljust(len(_TOO_NEW)))
