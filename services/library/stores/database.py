"""The pool of connections to PostgreSQL."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias
from weakref import WeakSet

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import Counter, Gauge

from mesh import deadlines
from mesh.errors import PEER, Aborted, DeadlineExceeded, Unavailable
from mesh.sockets import LOST_SECONDS, loss_options
from mesh.telemetry import db_metrics
from mesh.telemetry.histogram import Histogram
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from mesh.telemetry.spans import record
from services.library.config import LibrarySettings
from services.library.stores.address import tls
from services.library.stores.observed import observed
from services.library.stores.replica import Replica, open_replica

log = get_logger(__name__)

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

# Statements that ask for longer are a fault; the caller's own deadline mostly ends them earlier.
_STATEMENT_SECONDS = 30.0
# asyncpg's own limit is what was given to wait for the connection: whoever gets one with little time left would have it
# thrown away, and a new one, which costs a hundred times as much, made under the very load that made him wait.
_RELEASE_SECONDS = 5.0
_ANSWER_SECONDS = 0.1  # is kept back of a caller's time, so that it hears of a busy pool instead of nothing
_BUSY_SECONDS = (1.0, 4.0)  # after which who was refused may come again
_DATABASE = "database"  # in errors, as of whom they tell
_TCP = {socket.AF_INET, socket.AF_INET6}
_SERVER_NOTICES = (
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; "
    f"SET tcp_user_timeout = {LOST_SECONDS * 1000}"
)
# Failures of the connection or the server, not of the statement.
_UNREACHABLE = (
    OSError,
    asyncpg.InterfaceError,  # closed, or closing
    asyncpg.InternalClientError,  # a ROLLBACK on a connection that broke while it was busy
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@asynccontextmanager
async def open_database(settings: LibrarySettings) -> AsyncIterator["Database"]:
    """A pool that is closed on leaving; calls that hold a connection then have ``drain_seconds`` to give it back.

    Raises:
        OSError: nobody answers at the address.
        asyncpg.PostgresError: the server refuses user, password or database.
    """
    pool = await asyncpg.create_pool(
        settings.database_url,
        ssl=tls(settings.database_url),
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        command_timeout=_STATEMENT_SECONDS,
        server_settings={"application_name": "gaji-library", "timezone": "UTC"},
        init=_prepared,
        reset=_as_it_is,
    )
    database = Database(
        pool, settings.pool_acquire_timeout, settings.pool_held_warning, most_waiting=settings.pool_waiting
    )
    _open.add(database)
    try:
        async with open_replica(settings, pool) as database.replica:
            yield database
    finally:
        _open.discard(database)
        try:
            await asyncio.wait_for(pool.close(), settings.drain_seconds)
        except TimeoutError:
            pool.terminate()


class Database:
    """Hands out connections, and tells who keeps one too long.

    Args:
        pool: an open pool.
        acquire_timeout: seconds to wait for a connection.
        held_warning: seconds after which a connection that is still held is warned of.
        most_waiting: how many may wait for one; who comes then is refused at once.

    Attributes:
        replica: a copy for `fetch_stale`; None: there is none.
    """

    replica: Replica | None = None

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        acquire_timeout: float,
        held_warning: float,
        *,
        most_waiting: int = 500,
    ) -> None:
        self._pool = pool
        self._acquire_timeout = acquire_timeout
        self._held_warning = held_warning
        self._most_waiting = most_waiting
        self._waiting = 0
        self._told_at = float("-inf")

    @asynccontextmanager
    async def connection(self, purpose: str) -> AsyncIterator[Connection]:
        """A connection of the pool.

        Args:
            purpose: what it is held for, e.g. ``"novels.create"``; named in warnings.

        Raises:
            Unavailable: all connections stay in use (reason DATABASE_BUSY), or the database does not answer.
            DeadlineExceeded: a statement took too long.
            Aborted: the database gave way to another transaction (reason CONCURRENT_CHANGE).
        """
        with _translated():
            connection = await self._acquire(purpose)
            since = time.monotonic()
            # A timer keeps the context of whoever starts it, so the line bears the ids of the call that holds on.
            timer = asyncio.get_running_loop().call_later(self._held_warning, _warn, purpose, since)
            failure = ""
            try:
                yield connection
            except BaseException as error:
                failure = _failure(error)
                raise
            finally:
                timer.cancel()
                db_metrics.observe("postgresql", purpose, time.monotonic() - since, failure)
                await self._release(connection)

    @asynccontextmanager
    async def transaction(self, purpose: str) -> AsyncIterator[Connection]:
        """A connection with a transaction, committed unless an error leaves the block.

        Raises:
            MeshError: as `connection`.
        """
        async with self.connection(purpose) as connection, connection.transaction():
            yield connection

    async def fetch_stale(self, purpose: str, query: str, *arguments: Any) -> "list[asyncpg.Record]":
        """Rows that may be some seconds old: those of the replica where it has them, else the database's.

        Raises:
            MeshError: as `connection`.
        """
        if self.replica is not None and (found := await self.replica.fetch(query, *arguments)) is not None:
            return found
        async with self.connection(purpose) as connection:
            return await connection.fetch(query, *arguments)

    async def _acquire(self, purpose: str) -> Connection:
        left = deadlines.remaining()
        timeout = self._acquire_timeout if left is None else min(self._acquire_timeout, left - _ANSWER_SECONDS)
        if self._waiting >= self._most_waiting or timeout <= 0:
            _TIMEOUTS.inc()
            raise self._busy(purpose, 0.0)
        started = time.monotonic()
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout):  # asyncpg's own limit costs a task for each connection
                connection: Connection = await self._pool.acquire()
        except TimeoutError as error:
            _TIMEOUTS.inc()
            raise self._busy(purpose, timeout) from error
        finally:
            self._waiting -= 1
            _ACQUIRE_SECONDS.observe(time.monotonic() - started)
        return connection

    async def _release(self, connection: Connection) -> None:
        """Gives a connection back. One that does not answer is closed, which is not the trouble of its last user."""
        giving = asyncio.ensure_future(self._pool.release(connection, timeout=_RELEASE_SECONDS))
        giving.add_done_callback(_given_back)
        with suppress(*_UNREACHABLE, TimeoutError):
            await asyncio.shield(giving)

    def _busy(self, purpose: str, waited: float) -> Unavailable:
        now = time.monotonic()
        if now - self._told_at >= 1.0:  # one line a second, however many ask
            self._told_at = now
            extra = {"purpose": purpose, "waited": round(waited, 3), "waiting": self._waiting}
            log.warning("no connection is free", extra=extra)
        return Unavailable(
            "the library is too busy; try again",
            reason="DATABASE_BUSY",
            retry_after=random.uniform(*_BUSY_SECONDS),  # noqa: S311 - spreads load, hides nothing
            metadata={PEER: _DATABASE},
        )

    @property
    def size(self) -> int:
        """Open connections."""
        return self._pool.get_size()

    @property
    def idle(self) -> int:
        """Open connections that nobody holds."""
        return self._pool.get_idle_size()

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return self._waiting

    @property
    def limit(self) -> int:
        """Connections at most."""
        return self._pool.get_max_size()


async def _prepared(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await _notices_loss(connection)
    if record.active is not None:
        await observed(connection)


async def _notices_loss(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Has both ends see within seconds that the other's host is gone, or a lost library would keep its locks."""
    sock = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # it gives no other way to it
    if sock is None or sock.family not in _TCP:
        return
    for option in loss_options():
        sock.setsockopt(*option)
    # As a statement, since poolers refuse start-up parameters that they don't know.
    await connection.execute(_SERVER_NOTICES)


async def _as_it_is(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """In the place of asyncpg's RESET ALL, which would be a second round trip for each use of a connection.

    No statement of the library's changes its session (transactions, locks and settings end with their transaction, and
    a transaction that is left open is rolled back before this).
    """


def _given_back(giving: "asyncio.Future[None]") -> None:
    if not giving.cancelled() and (error := giving.exception()) is not None:
        log.warning("a database connection is lost", extra={"error": repr(error)})


def _warn(purpose: str, since: float) -> None:
    log.warning(
        "a connection is held for long", extra={"purpose": purpose, "seconds": round(time.monotonic() - since, 1)}
    )


def _failure(error: BaseException) -> str:
    """How metrics call an error; empty: it is not the database's."""
    if isinstance(error, asyncio.CancelledError):
        return db_metrics.CANCELLED
    return type(error).__name__ if isinstance(error, (asyncpg.PostgresError, TimeoutError, *_UNREACHABLE)) else ""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise DeadlineExceeded("the database took too long", reason="DATABASE_TOO_SLOW") from error
    except asyncpg.TransactionRollbackError as error:  # e.g. a deadlock, of which the server ends one side
        raise Aborted("the library was changed at the same moment; try again", reason="CONCURRENT_CHANGE") from error
    except _UNREACHABLE as error:
        if isinstance(error, ValueError):  # asyncpg's word for a parameter that does not fit: a mistake of ours
            raise
        log.warning("the database does not answer", extra={"error": repr(error)})
        raise Unavailable(
            "the library's database does not answer; try again",
            reason="DATABASE_UNAVAILABLE",
            retry_after=1.0,
            metadata={PEER: _DATABASE},
        ) from error
    except TimeoutError as error:  # asyncpg's command_timeout
        raise DeadlineExceeded("the database took too long", reason="DATABASE_TOO_SLOW") from error


_open: "WeakSet[Database]" = WeakSet()
_NAME = "library"
_POOL = ("db_client_connection_pool_name",)
_ACQUIRE_SECONDS = Histogram(
    "db_client_connection_wait_time_seconds",
    "Waiting for a database connection.",
    _POOL,
    buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
    registry=REGISTRY,
).labels(_NAME)
_TIMEOUTS = Counter(
    "db_client_connection_timeouts_total", "Who waited for a database connection in vain.", _POOL, registry=REGISTRY
).labels(_NAME)
_CONNECTIONS = Gauge(
    "db_client_connection_count",
    "Open database connections: idle, used.",
    (*_POOL, "db_client_connection_state"),
    registry=REGISTRY,
)
_CONNECTIONS.labels(_NAME, "idle").set_function(lambda: sum(database.idle for database in list(_open)))
_CONNECTIONS.labels(_NAME, "used").set_function(lambda: sum(database.size - database.idle for database in list(_open)))
_LIMIT = Gauge("db_client_connection_max", "Database connections at most.", _POOL, registry=REGISTRY)
_LIMIT.labels(_NAME).set_function(lambda: sum(database.limit for database in list(_open)))
_PENDING = Gauge(
    "db_client_connection_pending_requests", "Who waits for a database connection.", _POOL, registry=REGISTRY
)
_PENDING.labels(_NAME).set_function(lambda: sum(database.waiting for database in list(_open)))
