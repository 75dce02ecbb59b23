"""That logs have changed, over one pub/sub connection. News may be lost; whoever listens also looks by himself."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from mesh.redis_client import published
from mesh.streamlog.redis_log import names
from mesh.streamlog.scripts import WRITERS
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_RECONNECT_SECONDS = (0.05, 1.0)
_WRITERS = WRITERS.encode()
_LEAVING = 32
"""Channels that are left together: each time is a command and its answer."""
Told = Callable[[], None]
ToWriters = Callable[[str], None]


class News:
    """Tells that something is published about a log that somebody listens to, or what writers are to know.

    Args:
        redis: a client without retries of its own.
        timeout: seconds after which an unanswered ping means that the connection is lost.
        trouble: called when it is.
    """

    def __init__(self, redis: Redis, *, timeout: float, trouble: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._timeout = timeout
        self._trouble = trouble
        self._listeners: dict[bytes, Told] = {}
        self._leaving: set[bytes] = set()
        self._pubsub: PubSub | None = None

    async def listen(self, stream_id: UUID, told: Told) -> None:
        """Begins to listen.

        Args:
            stream_id: the log.
            told: called at each piece of news, and when some may have been lost.
        """
        channel = names(stream_id)[1].encode()
        self._listeners[channel] = told
        if channel in self._leaving:  # it has not been left
            self._leaving.discard(channel)
        elif (pubsub := self._pubsub) is not None:
            try:
                await pubsub.subscribe(channel)
                if len(self._leaving) >= _LEAVING:  # never without names: that would leave all channels
                    leaving, self._leaving = self._leaving, set()
                    await pubsub.unsubscribe(*leaving)
            except (RedisError, OSError, TimeoutError):
                self._pubsub = None  # its reader will see it too, and subscribe anew

    def forget(self, stream_id: UUID) -> None:
        """Listens no longer. The channel is left with others, or when something comes on it."""
        channel = names(stream_id)[1].encode()
        if self._listeners.pop(channel, None) is not None:
            self._leaving.add(channel)

    async def run(self, writers: ToWriters) -> None:
        """Reads until cancelled.

        Args:
            writers: called with what is told to writers (see `mesh.streamlog.scripts`), some of which may be lost.
        """
        pause, most = _RECONNECT_SECONDS
        while True:
            try:
                await self._read(writers)
            except (RedisError, OSError, TimeoutError) as error:
                self._trouble()
                if self._pubsub is not None:
                    pause = _RECONNECT_SECONDS[0]
                    log.warning("the news of logs is cut off", extra={"error": str(error)})
            except Exception:  # without news everybody here would look once a second only
                log.exception("the news of logs broke")
            finally:
                self._pubsub = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def _read(self, writers: ToWriters) -> None:
        async with self._redis.pubsub() as pubsub:
            self._leaving.clear()
            known = set(self._listeners)
            await pubsub.subscribe(WRITERS, *known)
            self._pubsub = pubsub
            self._leaving &= known
            if more := self._listeners.keys() - known:  # who came meanwhile could not subscribe
                await pubsub.subscribe(*more)
            for told in list(self._listeners.values()):
                told()
            async with aclosing(published(pubsub, timeout=self._timeout)) as messages:
                async for message in messages:
                    if message["type"] != "message":
                        continue
                    channel = message["channel"]
                    if channel == _WRITERS:
                        writers(message["data"].decode())
                    elif (listener := self._listeners.get(channel)) is not None:
                        listener()
                    else:
                        self._leaving.discard(channel)
                        await pubsub.unsubscribe(channel)
