"""Fills a stream with what another process writes."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from mesh.errors import Unavailable
from mesh.process import ended
from mesh.streamlog.news import News
from mesh.streamlog.redis_log import LogState, RedisLog, unavailable
from mesh.streamlog.stream import Entry, Stream
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.004
"""Between two looks, however fast the news comes."""


class Follower(Generic[T]):
    """Reads a log whenever there is news of it, and once a second in case news was lost.

    Args:
        stream: what it fills.
        redis_log: where the log is.
        news: tells when it changes.
        lease_seconds: how long a log may be missing before its producer counts as dead.
        lapsed: called with the log's epoch at each look that finds its producer dead.
    """

    def __init__(
        self,
        stream: Stream[T],
        redis_log: RedisLog[T],
        news: News,
        lease_seconds: float,
        lapsed: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._log = redis_log
        self._listening = news
        self._lease_seconds = lease_seconds
        self._lapsed = lapsed
        self._news = asyncio.Event()
        self._news.set()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing_since: float | None = None
        self._task = asyncio.create_task(self._run(), name="log follower")

    async def loaded(self) -> None:
        """Returns when the log has been looked at.

        Raises:
            Unavailable: Redis does not answer.
        """
        await asyncio.shield(self._first)

    async def stop(self) -> None:
        """Looks no longer: nobody watches, or a producer fills the stream from now on."""
        self._listening.forget(self._stream.stream_id)
        await ended(self._task, again=0.05)
        if not self._first.done():
            self._first.set_result(None)

    async def _run(self) -> None:
        try:
            await self._listening.listen(self._stream.stream_id, self._news.set)
        except Exception:  # without news it looks once a second
            log.exception("a follower has no news", extra={"stream": str(self._stream.stream_id)})
        wait = LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                wait = await self._look()
            except Unavailable as error:
                self._fail(error)
                wait = LOOK_SECONDS
                continue
            except Exception:  # e.g. an event that only a later release can read
                log.exception("a log could not be followed", extra={"stream": str(self._stream.stream_id)})
                self._fail(unavailable())
                await asyncio.sleep(LOOK_SECONDS)
                continue
            if not self._first.done():
                self._first.set_result(None)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _fail(self, error: Unavailable) -> None:
        """Tells those who wait for the first look; who comes later waits for the next one."""
        if not self._first.done():
            self._first.set_exception(error)
            self._first.exception()  # it may be that nobody waits
        if self._first.exception() is not None:
            self._first = asyncio.get_running_loop().create_future()

    async def _look(self) -> float:
        """Takes in what is new; returns after how many seconds to look again."""
        entries = self._stream.entries
        last = entries[-1] if entries else None
        found = await self._log.read(self._stream.stream_id, last.sequence if last else 1)
        now = asyncio.get_running_loop().time()
        if found is None:
            # Redis may have lost it, and a live producer brings it back within a heartbeat.
            return self._missing(now)
        state, new = found
        if last is None:
            self._stream.extend(new, state.epoch)
        elif new and (new[0].epoch, new[0].sequence) == (last.epoch, last.sequence):
            if len(new) > 1 or state.epoch > self._stream.epoch:
                self._stream.extend(new[1:], state.epoch)
        elif state.epoch >= self._stream.epoch and (state.sequence >= last.sequence or state.epoch > last.epoch):
            await self._reload()
        # Otherwise Redis has lost the tail that its producer will bring again.
        return self._lease(state, now)

    def _missing(self, now: float) -> float:
        self._missing_since = self._missing_since or now
        left = self._missing_since + self._lease_seconds - now
        if left <= 0:
            self._lapsed(max(self._stream.epoch, self._stream.wanted))
        return min(LOOK_SECONDS, max(left, 0.05))

    def _lease(self, state: LogState, now: float) -> float:
        if state.epoch < self._stream.wanted:
            # Somebody took the work up and then not the log: what is there, alive or ended, is another's.
            return self._missing(now)
        self._missing_since = None
        if state.end:
            return LOOK_SECONDS
        if state.lease_left <= 0:
            self._lapsed(state.epoch)
            return LOOK_SECONDS / 4
        return min(LOOK_SECONDS, state.lease_left + 0.01)

    async def _reload(self) -> None:
        """The log is another than was thought."""
        found = await self._log.read(self._stream.stream_id, 1)
        if found is None:
            return
        state, entries = found
        if not _same(entries, self._stream.entries):
            self._stream.rewrite(entries, state.epoch)
        elif len(entries) > len(self._stream.entries):
            self._stream.extend(entries[len(self._stream.entries) :], state.epoch)


def _same(entries: list[Entry[T]], known: list[Entry[T]]) -> bool:
    """Whether what is known is the beginning of the entries."""
    if len(entries) < len(known):
        return False
    return not known or (entries[len(known) - 1].epoch, entries[len(known) - 1].sequence) == (
        known[-1].epoch,
        known[-1].sequence,
    )
