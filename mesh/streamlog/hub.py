"""All logs that a process writes or reads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Generic, Literal, TypeVar
from uuid import UUID

from mesh.errors import MeshError, Unavailable
from mesh.process import ended
from mesh.redis_client import open_redis
from mesh.streamlog.follower import Follower
from mesh.streamlog.news import News
from mesh.streamlog.producer import Producer
from mesh.streamlog.redis_log import FencedError, LogState, RedisLog
from mesh.streamlog.replicator import Replicator
from mesh.streamlog.stream import Codec, Entry, Stream
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

Mode = Literal["fresh", "restart", "keep"]
Lapsed = Callable[[UUID, int], None]
"""Is told the id and epoch of a log that is watched here while its producer is dead, at every look."""


class _Local(Generic[T]):
    """A log here: its stream, who watches it, and who fills it: a producer of this process, or a follower."""

    def __init__(self, stream: Stream[T]) -> None:
        self.stream = stream
        self.watchers = 0
        self.producer: Producer[T] | None = None
        self.follower: Follower[T] | None = None


@asynccontextmanager
async def open_hub(
    redis_url: str,
    codec: Codec[T],
    *,
    name: str,
    lease_seconds: float = 3.0,
    ttl_seconds: float = 3600.0,
    timeout: float = 1.0,
    connections: int = 16,
) -> AsyncIterator["Hub[T]"]:
    """The logs of a process. It starts, and stays up, whether or not Redis does.

    On leaving, what was appended is flushed (for at most two seconds) and the leases of unfinished logs are given back.

    Args:
        redis_url: where the logs are.
        codec: events as bytes.
        name: of the process, for Redis.
        lease_seconds: how long a producer may be silent before another takes its log.
        ttl_seconds: how long a log is kept after its end.
        timeout: seconds after which Redis counts as down.
        connections: to Redis, at most.
    """
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(
            open_redis(redis_url, timeout=timeout, connections=connections, name=f"gaji-{name}-log")
        )
        redis_log = RedisLog(redis, codec, timeout=timeout, lease_seconds=lease_seconds, ttl_seconds=ttl_seconds)
        hub = Hub(redis_log, News(redis, timeout=timeout, trouble=redis_log.trouble), lease_seconds)
        tasks = hub.start()
        try:
            yield hub
        finally:
            await hub.close()
            await ended(*tasks, again=0.05)


class Hub(Generic[T]):
    """Gives out producers and streams; of each log there is one `Stream` here, whoever fills it.

    Attributes:
        on_lapsed: is told of watched logs whose producer is dead.
    """

    def __init__(self, redis_log: RedisLog[T], news: News, lease_seconds: float) -> None:
        self.on_lapsed: Lapsed = lambda _stream_id, _epoch: None
        self.lease_seconds = lease_seconds
        self._log = redis_log
        self._news = news
        self._replicator = Replicator(redis_log, lease_seconds, self._gone)
        self._locals: dict[UUID, _Local[T]] = {}
        self._closing: MeshError | None = None

    def start(self) -> list["asyncio.Task[None]"]:
        """Starts what runs in the background, until the tasks are cancelled."""
        return [
            asyncio.create_task(self._replicator.run(), name="log replicator"),
            asyncio.create_task(self._news.run(self._told), name="log news"),
        ]

    async def produce(self, stream_id: UUID, epoch: int, mode: Mode = "keep") -> Producer[T]:
        """Takes a log and writes it from here on; end with `Producer.end` or `Producer.close`.

        Args:
            stream_id: the log.
            epoch: the fencing number that the owner of the work gave.
            mode: ``fresh``, the log begins anew and what earlier epochs left does not count, so that Redis need not be
                asked: whether a later epoch holds the log the producer hears with its first append; ``restart``, it
                begins anew if it has ended; ``keep``, it stays as it is.

        Raises:
            FencedError: a later epoch holds the log, as far as is known.
            Unavailable: Redis does not answer and the log is not fresh: nobody knows what it holds.
        """
        notes: dict[str, bytes] = {}
        entries: list[Entry[T]] = []
        self._check_later(stream_id, epoch)
        if mode != "fresh":
            entries, notes = await self._log.open(stream_id, epoch, mode)
        local = self._local(stream_id)
        while local.follower is not None:  # whoever begins to watch meanwhile may bring another
            await self._unfollow(local)
        # From here on nothing is awaited: a log has a producer or a follower here, never both.
        self._check_later(stream_id, epoch)
        local = self._local(stream_id)
        if local.producer is not None:
            local.producer.fence()
        local.stream.rewrite(entries, epoch)
        producer = local.producer = Producer(local.stream, epoch, notes, self._replicator.call, reset=mode == "fresh")
        self._replicator.add(producer, asyncio.get_running_loop().time())
        return producer

    def _local(self, stream_id: UUID) -> _Local[T]:
        return self._locals.setdefault(stream_id, _Local(Stream[T](stream_id)))

    def _check_later(self, stream_id: UUID, epoch: int) -> None:
        local = self._locals.get(stream_id)
        if local is not None and local.producer is not None and local.producer.epoch >= epoch:
            raise FencedError(local.producer.epoch)

    @asynccontextmanager
    async def watching(self, stream_id: UUID) -> AsyncIterator[Stream[T]]:
        """A log as it grows, wherever it is written.

        Raises:
            Unavailable: Redis does not answer, and the log is not written here.
        """
        if self._closing is not None:
            raise self._closing
        local = self._local(stream_id)
        local.watchers += 1
        try:
            if local.producer is None:
                await self._follow(local)
            yield local.stream
        finally:
            local.watchers -= 1
            if not local.watchers:
                await self._unfollow(local)
                self._forget_idle(local)

    async def state(self, stream_id: UUID) -> LogState | None:
        """How a log stands; None: there is none.

        Raises:
            Unavailable: Redis does not answer, and the log is not written here.
        """
        local = self._locals.get(stream_id)
        if local is not None and local.producer is not None and not local.producer.fenced.is_set():
            stream, producer = local.stream, local.producer
            return LogState(
                producer.epoch, len(stream.entries), stream.end, self.lease_seconds, producer.stop_requested.is_set()
            )
        found = await self._log.read(stream_id, None)
        return None if found is None else found[0]

    async def note(self, stream_id: UUID, name: str) -> bytes | None:
        """A fact that is kept beside a log; None: there is none.

        Raises:
            Unavailable: Redis does not answer, and the log is not written here.
        """
        local = self._locals.get(stream_id)
        if local is not None and local.producer is not None:
            return local.producer.notes.get(name)
        return await self._log.note(stream_id, name)

    async def stop(self, stream_id: UUID) -> None:
        """Asks whoever writes a log to stop.

        Raises:
            Unavailable: Redis does not answer, and the log is not written here.
        """
        local = self._locals.get(stream_id)
        if local is not None and local.producer is not None and not local.producer.fenced.is_set():
            local.producer.stop_requested.set()
            return
        await self._log.stop(stream_id)

    async def release(self, producer: Producer[T]) -> None:
        """Hands a log over: what was appended is flushed, and another may take it at once."""
        producer.close()
        await producer.flushed(2.0)
        try:
            await self._log.release(producer.stream.stream_id, producer.epoch)
        except Unavailable:
            log.warning("a lease is left to run out", extra={"stream": str(producer.stream.stream_id)})

    def producers(self) -> list[Producer[T]]:
        """Those that write logs here."""
        return [local.producer for local in self._locals.values() if local.producer is not None]

    async def close(self, producers: Sequence[Producer[T]] = ()) -> None:
        """Ends all reading here, and hands over what is being written.

        Args:
            producers: some that were stopped just before, whose leases are given back as well.
        """
        self.end_reading(Unavailable("this replica stops; another goes on", reason="REPLICA_STOPS", retry_after=0.0))
        await asyncio.gather(*(self.release(producer) for producer in {*producers, *self.producers()}))
        for local in list(self._locals.values()):
            await self._unfollow(local)

    def end_reading(self, error: MeshError) -> None:
        """Ends all reading here with an error, now and from now on."""
        self._closing = error
        for local in self._locals.values():
            local.stream.close(error)

    async def _follow(self, local: _Local[T]) -> None:
        if local.follower is None and local.producer is None:
            local.follower = self._follower(local.stream)
        if local.follower is not None:
            await local.follower.loaded()

    def _follower(self, stream: Stream[T]) -> Follower[T]:
        return Follower(
            stream, self._log, self._news, self.lease_seconds, lambda epoch: self.on_lapsed(stream.stream_id, epoch)
        )

    async def _unfollow(self, local: _Local[T]) -> None:
        follower, local.follower = local.follower, None
        if follower is not None:
            await follower.stop()

    def _told(self, news: str) -> None:
        """Somebody asks for a stop of a log that is written here, begins to follow it, or may have taken it."""
        word, stream_id = news[:1], UUID(news[1:])
        local = self._locals.get(stream_id)
        if local is None or local.producer is None:
            return
        if word == "s":
            local.producer.stop_requested.set()
        else:
            local.producer.followed |= word == "f"
            local.producer.call()

    def _gone(self, producer: Producer[T]) -> None:
        """A producer is done; whoever still watches its log follows it from now on.

        Of one that has ended as well: who watches may wait for a later epoch, of which this one knows nothing.
        """
        producer.done = True
        local = self._locals.get(producer.stream.stream_id)
        if local is None or local.producer is not producer:
            return
        if local.watchers:
            local.producer = None
            local.follower = self._follower(local.stream)
        else:
            self._forget_idle(local)

    def _forget_idle(self, local: _Local[T]) -> None:
        stream_id = local.stream.stream_id
        idle = not local.watchers and (local.producer is None or local.producer.done)
        if idle and self._locals.get(stream_id) is local:
            del self._locals[stream_id]
