"""The one way to open a client of Redis or Valkey."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

TROUBLE = (RedisError, OSError, TimeoutError)
"""What the calls of a client raise when the server does not answer, or says no."""

_REMEMBERED = 256
_QUIET_SECONDS = 1.0


@cache
def _telling(kind: type[Any]) -> type[Any]:
    """A class of connections that call a connection lost where uvloop says RuntimeError: it was reset just now."""

    class Telling(kind):  # type: ignore[misc]  # chosen by the URL
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            try:
                await super().send_packed_command(command, check_health)
            except RuntimeError as error:
                raise RedisConnectionError("the connection was lost") from error

    return Telling


class _Pool(BlockingConnectionPool):
    """Remembers its connections: one whose user is cancelled while giving it back falls out of redis-py's own lists."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "connection_class": _telling(options.get("connection_class", Connection))})
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


@asynccontextmanager
async def open_redis(url: str, *, timeout: float, connections: int, name: str) -> AsyncIterator[Redis]:
    """A client that gives up after ``timeout`` seconds and never tries again by itself. Does not connect yet.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout: seconds for a connection, for an answer, and for a free connection of the pool.
        connections: how many at most; one is for pub/sub.
        name: what the server calls the connections.
    """
    pool = _Pool.from_url(
        url,
        protocol=3,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        client_name=name,
        driver_info=None,  # the client would read its version from disk at every connection, on the event loop
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
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
