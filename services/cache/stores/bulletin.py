"""The news of all replicas, read over one pub/sub connection and fanned out within the process."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from mesh.limiter import waits
from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.cache.ports import SILENCE_SECONDS, Beat, Notice, StoreUnavailableError
from services.cache.stores import news

log = get_logger(__name__)

_POLL = 0.05
_PING_EVERY = 0.2
_REST_EVERY = SILENCE_SECONDS / 2
_RESTS_AFTER = 10.0
_RECONNECT_FIRST, _RECONNECT_MOST = 0.05, 1.0


@asynccontextmanager
async def open_bulletin(redis: Redis, *, timeout: float, backlog: int) -> AsyncIterator["RedisBulletin"]:
    """Reads the news until the block is left, connecting anew as often as it takes.

    Args:
        redis: the store.
        timeout: seconds after which an unanswered ping means that the connection is lost.
        backlog: how many notices a watcher may be behind before it is given up.
    """
    bulletin = RedisBulletin(redis, timeout=timeout, backlog=backlog)
    task = asyncio.create_task(bulletin.listen())
    try:
        yield bulletin
    finally:
        await ended(task, *filter(None, [bulletin.telling]), again=0.05)


class RedisBulletin:
    """The `Bulletin` port."""

    def __init__(self, redis: Redis, *, timeout: float, backlog: int) -> None:
        self.connected = False
        self._redis = redis
        self._timeout = timeout
        self._backlog = backlog
        self._channel = news.channel(redis)
        self._waiters: defaultdict[str, set[_Settled]] = defaultdict(set)
        self._watchers: set[_Watcher] = set()
        self._pubsub: PubSub | None = None
        self._asked_at = time.monotonic()
        self._told_at = self._sent_at = self._pinged = 0.0
        self.telling: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self, key: str) -> Iterator["_Settled"]:
        """Listens for the end of the key's lease, from the moment of entering."""
        settled = _Settled(self)
        self._waiters[key].add(settled)
        try:
            yield settled
        finally:
            self._waiters[key].discard(settled)
            if not self._waiters[key]:
                del self._waiters[key]

    @contextmanager
    def watching(
        self, *, beats: bool = False, silence: float = SILENCE_SECONDS
    ) -> Iterator[AsyncIterator[Notice | Beat]]:
        """Every invalidation from the moment of entering; with beats also, often, up to when that is all.

        Five times a second, that is, and twice within the silence that is borne while nobody looks anything up.

        Raises:
            StoreUnavailableError: on entering or while iterating, when news may have been missed.
        """
        if not self.connected:
            raise StoreUnavailableError("the news of invalidations cannot be read at present")
        watcher = _Watcher(self._backlog, silence / 2 if beats else None)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def asked(self) -> None:
        """Somebody looks something up, so those who keep values near want beats: the next one comes at once.

        Who asks here may watch another replica, so all of them are told. While nobody asks, nobody minds that what is
        near can't be given out: who then wants it asks here.
        """
        self._asked_at = now = time.monotonic()
        if now - self._told_at > _RESTS_AFTER / 2 and self.connected:
            self._told_at = now
            self.telling = asyncio.create_task(self._tell_replicas(), context=Context())

    def end_watches(self, why: str) -> None:
        """Ends every watch; each watcher gets what was told before, then `StoreUnavailableError` with the reason."""
        for watcher in self._watchers:
            watcher.end(why)
        self._watchers.clear()

    async def listen(self) -> None:
        """Reads the news until cancelled."""
        pause = _RECONNECT_FIRST
        while True:
            try:
                await self._read()
            except (RedisError, OSError, TimeoutError) as error:
                if self.connected:
                    log.warning("the news of invalidations is cut off", extra={"error": str(error)})
                    pause = _RECONNECT_FIRST
            finally:
                self._cut_off()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RECONNECT_MOST)

    async def _read(self) -> None:
        """Subscribes and reads until the connection fails.

        The client would connect and subscribe again by itself without a word, and what was published in between would
        be lost; without retries (see `mesh.redis_client`) it raises first, and this subscription is given up.

        The answer to a ping comes after everything that was published before the ping, on the same connection: so what
        had been invalidated when it was sent has been told when it is answered.
        """
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            self._pubsub, self._sent_at, self._pinged = pubsub, time.monotonic(), 0.0
            try:
                await self._hear(pubsub)
            finally:
                self._pubsub = None

    async def _hear(self, pubsub: PubSub) -> None:
        late = False
        while True:
            if not self._pinged and time.monotonic() >= self._due():
                self._sent_at = self._pinged = time.monotonic()
                await pubsub.ping()
            message = await pubsub.get_message(timeout=max(0.001, self._due() - time.monotonic()))
            if message is None:
                # Once more, lest it was this process that had no time to read.
                if late:
                    raise TimeoutError("a ping went unanswered")
                late = self._pinged > 0 and time.monotonic() >= self._due()
                continue
            late = False
            if message["type"] == "pong":
                self._beat(Beat(self._pinged))
                self._pinged = 0.0
            elif message["type"] == "subscribe":
                self.connected = True
                self._asked_at = time.monotonic()  # somebody may have asked elsewhere meanwhile
            elif message["type"] == "message":
                self._hear_of(news.read(message["data"]))

    def _due(self) -> float:
        """When to ping, or when a ping that was sent counts as unanswered."""
        if self._pinged:
            return self._pinged + self._timeout
        return self._sent_at + (_REST_EVERY if self._rests() else _PING_EVERY)

    def _rests(self) -> bool:
        return time.monotonic() - self._asked_at > _RESTS_AFTER

    async def _tell_replicas(self) -> None:
        try:
            await self._redis.publish(self._channel, news.asked())
        except (RedisError, OSError, TimeoutError):  # whoever reads the news finds out as well
            self._told_at = time.monotonic() - _RESTS_AFTER / 2 + _RECONNECT_MOST  # after that again

    def _beat(self, beat: Beat) -> None:
        rests = self._rests()
        for watcher in self._watchers:
            watcher.beat(beat, rests=rests)

    def _hear_of(self, told: str | Notice | news.Asked) -> None:
        if isinstance(told, news.Asked):
            self._asked_at = self._told_at = time.monotonic()  # so a ping is due now
            return
        if isinstance(told, str):
            self._wake(told)
            return
        for key in told.keys:
            self._wake(key)
        if told.prefixes:
            for key in [key for key in self._waiters if key.startswith(told.prefixes)]:
                self._wake(key)
        for watcher in self._watchers:
            watcher.tell(told)

    def _wake(self, key: str) -> None:
        for settled in self._waiters.get(key, ()):
            settled.event.set()

    def _cut_off(self) -> None:
        self.connected = False
        for key in self._waiters:
            self._wake(key)  # so that they poll from here on
        self.end_watches("the news of invalidations was cut off; what is cached nearby may be stale")


class _Settled:
    """The `Settled` port."""

    def __init__(self, bulletin: RedisBulletin) -> None:
        self.event = asyncio.Event()
        self._bulletin = bulletin

    async def wait(self, seconds: float) -> None:
        """Returns when the key's lease has ended, in any way, or after so many seconds; may return early."""
        waits()
        try:
            async with asyncio.timeout(seconds if self._bulletin.connected else min(seconds, _POLL)):
                await self.event.wait()
        except TimeoutError:
            pass
        self.event.clear()


class _Watcher:
    """The notices that one watcher has not read yet.

    Args:
        backlog: how many they may be.
        rest: seconds from beat to beat while nobody looks anything up; None: no beats.
    """

    def __init__(self, backlog: int, rest: float | None) -> None:
        self._backlog = backlog
        self._rest = rest
        self._beat_at = float("-inf")
        self._notices: deque[Notice | Beat] = deque()
        self._news = asyncio.Event()
        self._ended: str | None = None

    def tell(self, notice: Notice) -> None:
        if len(self._notices) >= self._backlog:
            self.end(f"the watcher is more than {self._backlog} notices behind")
        if self._ended is None:
            self._notices.append(notice)
            self._news.set()

    def beat(self, beat: Beat, *, rests: bool) -> None:
        if self._rest is None or self._ended is not None:
            return
        if rests and beat.as_of + _REST_EVERY <= self._beat_at + self._rest:  # the next one will do
            return
        self._beat_at = beat.as_of
        if self._notices and isinstance(self._notices[-1], Beat):
            self._notices.pop()  # the later one says all that it said
        self._notices.append(beat)
        self._news.set()

    def end(self, why: str) -> None:
        self._ended = self._ended or why
        self._news.set()

    def __aiter__(self) -> "_Watcher":
        return self

    async def __anext__(self) -> Notice | Beat:
        await self._news.wait()
        if self._notices:
            notice = self._notices.popleft()
            if not self._notices and self._ended is None:
                self._news.clear()
            return notice
        raise StoreUnavailableError(self._ended or "the watch has ended")
