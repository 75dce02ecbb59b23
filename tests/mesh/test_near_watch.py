"""When the watch of a near cache counts as lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.near import InPlace, NearCache, News
from mesh.near.watch import OFTEN_SECONDS, follow
from mesh.process import ended

_STALENESS = 0.05


class Cache:
    """A cache that says that a watch is in place, and then what it is told to say."""

    def __init__(self) -> None:
        self.silences: list[float] = []
        self.news: asyncio.Queue[News] = asyncio.Queue()

    @asynccontextmanager
    async def watch(self, silence: float) -> AsyncIterator[AsyncIterator[News]]:
        self.silences.append(silence)
        yield self._news()

    async def _news(self) -> AsyncIterator[News]:
        yield InPlace(0.0)
        while True:
            yield await self.news.get()


async def uncovered(near: NearCache) -> None:
    """Keeps a value, and returns when it is not given out any more."""
    while (ticket := near.begin("novel:1")).void:
        await asyncio.sleep(0.001)
    near.keep(ticket, b"x", 3600.0)
    while near.get("novel:1") is not None:
        await asyncio.sleep(0.001)


async def test_a_watch_that_is_silent_when_somebody_asks_is_lost() -> None:
    near, cache = NearCache(10_000, staleness=_STALENESS), Cache()
    following = asyncio.create_task(follow(near, cache.watch, silence=3600.0, wanted=0.05))
    await uncovered(near)
    while len(cache.silences) == 1:
        await asyncio.sleep(0.001)
    assert not near.bytes_kept
    assert cache.silences == [3600.0, OFTEN_SECONDS], "whose beats nobody asks for are to come by themselves"
    await ended(following)
