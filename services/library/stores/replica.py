"""A copy of the database on another server, for reads that may be some seconds old.

How old it is, is known by positions in the write-ahead log: the database is asked for its own every second, and what it
said then is in the copy once the copy has replayed up to there. Neither clocks of servers nor the time of the last
transaction come into it, which say nothing where nothing is written or where the copy was cut off from the database.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.library.config import LibrarySettings
from services.library.stores.address import tls

log = get_logger(__name__)

LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
_MOST_MARKS = 120
_TROUBLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
_REPLAYED = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END
"""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class Replica:
    """Reads from the copy while it is young enough.

    While the database itself does not answer, nothing is written there as far as anybody here knows: a copy that was
    young enough stays so.

    Args:
        pool: of the copy.
        most: seconds that the copy may be behind.
    """

    def __init__(self, pool: Pool, most: float) -> None:
        self._pool = pool
        self._most = most
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MOST_MARKS)
        self._fresh_at = float("-inf")
        self._usable = False

    @property
    def usable(self) -> bool:
        """Whether it may be read now."""
        return self._usable

    async def fetch(self, query: str, *arguments: Any) -> list[Any] | None:
        """Rows; None: it gave none in time, and is left alone until the next look."""
        if not self._usable:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                rows: list[Any] = await self._pool.fetch(query, *arguments)
        except _TROUBLE as error:
            self._leave(repr(error))
            return None
        return rows

    async def look(self, database: Pool) -> None:
        """Learns how old the copy is.

        Args:
            database: a pool of what it is a copy of.
        """
        asked = time.monotonic()
        position = await _asked(database, _POSITION)
        if position is not None:
            self._marks.append((asked, position))
        replayed = await _asked(self._pool, _REPLAYED)
        if replayed is None:
            self._leave("it does not answer, or is no copy any more")
            return
        while self._marks and self._marks[0][1] <= replayed:
            self._fresh_at, _ = self._marks.popleft()
        if position is None:
            return
        if time.monotonic() - self._fresh_at > self._most:
            self._leave(f"it is more than {self._most:g} s behind")
        elif not self._usable:
            log.info("the copy of the database is read")
            self._usable = True

    def _leave(self, why: str) -> None:
        if self._usable:
            log.warning("the copy of the database is not read", extra={"error": why})
        self._usable = False


async def _asked(pool: Pool, query: str) -> int | None:
    """An answer; None: there is none."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer: int | None = await pool.fetchval(query)
    except _TROUBLE:
        return None
    return answer


@asynccontextmanager
async def open_replica(settings: LibrarySettings, database: Pool) -> AsyncIterator[Replica | None]:
    """The copy of the settings, for as long as the block lasts, whether or not it is there; None: there is none.

    Args:
        settings: where it is, and how old it may be.
        database: a pool of what it is a copy of.
    """
    url = settings.database_replica_url
    if not url:
        yield None
        return
    pool = await asyncpg.create_pool(
        url,
        ssl=tls(url),
        min_size=0,
        max_size=settings.pool_max,
        timeout=_ANSWER_SECONDS,
        command_timeout=_ANSWER_SECONDS,
        server_settings={"application_name": "gaji-library-reads", "timezone": "UTC"},
    )
    replica = Replica(pool, settings.database_replica_lag)
    looking = asyncio.create_task(_look(replica, database), name="replica")
    try:
        yield replica
    finally:
        await ended(looking)
        pool.terminate()


async def _look(replica: Replica, database: Pool) -> None:
    while True:
        try:
            await replica.look(database)
        except Exception:  # reads go to the database; the next look may be a better one
            log.exception("the copy of the database could not be looked at")
        await asyncio.sleep(LOOK_SECONDS)
