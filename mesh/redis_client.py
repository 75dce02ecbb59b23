"""The one way to open a client of Redis or Valkey."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import cache
from typing import Any

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from mesh.redis_address import Watched, watched

TROUBLE = (RedisError, OSError, TimeoutError)
"""What the calls of a client raise when the server does not answer, or says no."""

_REMEMBERED = 256
_QUIET_SECONDS = 1.0
_ASKING = 3  # of the time that a connection may take, a third is for asking who is master


@cache
def _quick(kind: type[Any]) -> type[Any]:
    """A class of connections that do in C, or not at all, what redis-py's do in Python at each command."""

    class Quick(kind):  # type: ignore[misc]  # chosen by the URL
        socket_timeout: float | None

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._limit = self.socket_timeout

        def pack_command(self, *args: Any) -> list[bytes]:
            if " " in args[0]:  # CONFIG GET
                args = (*args[0].split(), *args[1:])
            try:
                return [hiredis.pack_command(args)]
            except TypeError:  # redis-py knows some types more, and says which it does not
                return list(super().pack_command(*args))

        def pack_commands(self, commands: Iterable[Sequence[Any]]) -> list[bytes]:
            return [packed for command in commands for packed in self.pack_command(*command)]

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            # Under a limit of its own redis-py has each write done by `wait_for`, which before Python 3.12 is a task.
            self.socket_timeout = None
            try:
                async with asyncio.timeout(self._limit) if self._limit else nullcontext():
                    await super().send_packed_command(command, check_health)
            except TimeoutError as error:
                raise RedisTimeoutError("the server took nothing in time") from error
            except RuntimeError as error:  # uvloop says so: it was reset just now
                raise RedisConnectionError("the connection was lost") from error
            finally:
                self.socket_timeout = self._limit

    return Quick


class _Pool(BlockingConnectionPool):
    """Remembers its connections: one whose user is cancelled while giving it back falls out of redis-py's own lists."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "connection_class": _quick(options.get("connection_class", Connection))})
        self._made: set[Any] = set()

    def make_connection(self) -> Any:
        """A new connection."""
        if len(self._made) > _REMEMBERED:
            self._made = {connection for connection in self._made if connection.is_connected}
        connection = super().make_connection()  # type: ignore[no-untyped-call]  # it has no types
        self._made.add(connection)
        return connection

    async def close_all(self) -> None:
        """Closes those that are left."""
        for connection in self._made:
            await connection.disconnect(nowait=True)


class _Sentinels:
    """Who knows which server is master.

    All are asked at once, and the latest of what more than half of them say decides: one on a host that is lost holds
    nobody up, and one that was cut off from the others does not lead back to a master that was replaced, since each
    replacement has a number. Where fewer answer in time, theirs must do: no master at all is worse.

    Args:
        servers: where they are and whom they watch.
        seconds: how long they have to answer.
    """

    def __init__(self, servers: Watched, seconds: float) -> None:
        self._service = servers.service
        self._seconds = seconds
        self._clients = [
            Redis.from_pool(
                # Many ask at once where many connections are made; they wait for each other.
                BlockingConnectionPool(
                    host=host,
                    port=port,
                    socket_timeout=seconds,
                    socket_connect_timeout=seconds,
                    max_connections=2,
                    timeout=seconds,
                    username=servers.username or None,
                    password=servers.password or None,
                    **_plain(),
                )
            )
            for host, port in servers.sentinels
        ]

    async def master(self) -> tuple[str, int]:
        """Host and port of the master.

        Raises:
            redis.exceptions.ConnectionError: none of them knows one.
        """
        asked = [asyncio.create_task(self._ask(client)) for client in self._clients]
        said: list[tuple[int, str, int]] = []
        try:
            async with asyncio.timeout(self._seconds):
                for answer in asyncio.as_completed(asked):
                    if (master := await answer) is not None:
                        said.append(master)
                    if 2 * len(said) > len(asked):
                        break
        except TimeoutError:
            pass
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not said:
            raise RedisConnectionError(f"no sentinel names a master of {self._service}")
        _, host, port = max(said)
        return host, port

    async def _ask(self, client: Redis) -> tuple[int, str, int] | None:
        """The number of the replacement that made it master, and its address; None: it is not known, or is down."""
        try:
            state: Any = await client.sentinel_master(self._service)
        except TROUBLE:
            return None
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            return None
        return int(state["config-epoch"]), str(state["ip"]), int(state["port"])

    async def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            await client.aclose()


class _WatchedPool(_Pool):
    """Connections to whoever is master when they are made; one whose server is master no more is closed."""

    # What redis-py's connections ask of their pool.
    is_master = True
    check_connection = False

    def __init__(self, sentinels: _Sentinels, **options: Any) -> None:
        super().__init__(**{**options, "connection_class": SentinelManagedConnection})
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        self._sentinels = sentinels
        self._master = ("", 0)

    async def get_master_address(self) -> tuple[str, int]:
        """Host and port of the master; the idle connections to another one are closed."""
        master = await self._sentinels.master()
        if master != self._master:
            self._master = master
            await self.disconnect(inuse_connections=False)
        return master

    async def close_all(self) -> None:
        """Closes those that are left."""
        await super().close_all()
        await self._sentinels.close()


def _plain() -> dict[str, Any]:
    return {
        "protocol": 3,
        "driver_info": None,  # the client would read its version from disk at every connection, on the event loop
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


@asynccontextmanager
async def open_redis(url: str, *, timeout: float, connections: int, name: str) -> AsyncIterator[Redis]:
    """A client that gives up after ``timeout`` seconds and never tries again by itself. Does not connect yet.

    Args:
        url: as `mesh.redis_address` has it.
        timeout: seconds for a connection, for an answer, and for a free connection of the pool.
        connections: how many at most; one is for pub/sub.
        name: what the server calls the connections.

    Raises:
        ValueError: the URL can't be meant.
    """
    servers = watched(url)
    kind = _Pool if servers is None else _WatchedPool
    asked = {} if servers is None else {"sentinels": _Sentinels(servers, timeout / _ASKING)}
    pool = kind.from_url(
        url if servers is None else servers.url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        client_name=name,
        **asked,
        **_plain(),
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.close_all()


async def published(pubsub: PubSub, *, timeout: float) -> AsyncGenerator[dict[str, Any], None]:
    """What comes on a subscription, for ever.

    Args:
        pubsub: subscribed to something.
        timeout: seconds after which a ping, sent after each second of silence, counts as unanswered.

    Raises:
        TimeoutError: a ping went unanswered.
        redis.exceptions.RedisError: the connection is lost.
    """
    pinged = False
    while True:
        message = await pubsub.get_message(timeout=timeout if pinged else _QUIET_SECONDS)
        if message is None:
            if pinged:
                raise TimeoutError("a ping went unanswered")
            await pubsub.ping()
            pinged = True
            continue
        pinged = False
        yield message
