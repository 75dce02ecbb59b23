"""The cache room as a peer of the library."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import grpc

from mesh import deadlines
from mesh.errors import MeshError
from mesh.near import NearCache, following_news
from mesh.read_through import Compute, Keep, ReadThrough
from mesh.telemetry.logs import get_logger
from services.peers.cache import MAX_KEYS, CacheClient

log = get_logger(__name__)

_INVALIDATE_SECONDS = 0.5
_RETRY_SECONDS = (0.2, 5.0)
_MOST_OUTSTANDING = 100_000
_NEAR_KINDS = ("novel", "scenario")


class LibraryCache:
    """The port `Cache`: reads through, and makes sure that an invalidation arrives in the end.

    While one is outstanding (the cache is down), its key is read past the cache, and the invalidation is tried again in
    the background: other replicas may see the old value until it arrives, at most for the key's time to live.

    Args:
        cache: the cache room.
        near: values of this process; None: there are none.
    """

    def __init__(self, cache: CacheClient, near: NearCache | None = None) -> None:
        self._cache = cache
        self._reads = ReadThrough(cache, near=near)
        self._outstanding: dict[str, int] = {}
        self._behind = False  # whether an invalidation has failed and the background sends what is outstanding
        self._work = asyncio.Event()

    async def get(self, key: str, compute: Compute, keep: Keep | None = None) -> bytes:
        """The value of a key, computed when it is not there, and kept near where ``keep`` says so."""
        return await (compute() if key in self._outstanding else self._reads.get(key, compute, keep))

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values after a write."""
        # Noted first: a caller that is cancelled here has written all the same.
        for key in keys:
            self._outstanding[key] = self._outstanding.get(key, 0) + 1
        if (more := len(self._outstanding) - _MOST_OUTSTANDING) > 0:
            log.error(
                "too many invalidations are outstanding: values may be stale until they expire", extra={"n": more}
            )
            for key in list(self._outstanding)[:more]:
                del self._outstanding[key]
        self._reads.forget(*keys)  # nothing is read of them through the cache from here until it has been told
        self._work.set()
        if self._behind:  # a cache that did not answer the last one would only hold this write up as well
            return
        try:
            await self._send({key: self._outstanding[key] for key in keys if key in self._outstanding})
        except MeshError as error:
            self._behind = True
            log.warning("an invalidation is sent later", extra={"keys": list(keys)[:10], "reason": error.reason})

    async def resend(self) -> None:
        """Sends what is outstanding again, until cancelled."""
        shortest, longest = _RETRY_SECONDS
        delay = shortest
        while True:
            await self._work.wait()
            await asyncio.sleep(delay)
            try:
                while self._outstanding:
                    await self._send(dict(list(self._outstanding.items())[:MAX_KEYS]))
                self._work.clear()
                self._behind = False
                delay = shortest
            except MeshError:
                self._behind = True
                delay = min(delay * 2, longest)

    async def close(self) -> None:
        """Ends what reads in the background."""
        await self._reads.close()
        await self._cache.close()

    async def _send(self, versions: dict[str, int]) -> None:
        with deadlines.scope(None):  # the write is done: its caller's haste must not leave a stale value
            await self._cache.invalidate(list(versions))
        for key, version in versions.items():
            if self._outstanding.get(key) == version:  # not written again meanwhile
                del self._outstanding[key]


@asynccontextmanager
async def open_cache(channel: grpc.aio.Channel, near_bytes: int) -> AsyncIterator[LibraryCache]:
    """The cache, with the task that sends late invalidations, and a near cache of so many bytes; 0: without."""
    room = CacheClient(channel, _NEAR_KINDS, invalidate_seconds=_INVALIDATE_SECONDS)
    near = NearCache(near_bytes) if near_bytes else None
    cache = LibraryCache(room, near)
    task = asyncio.create_task(cache.resend(), name="invalidations")
    try:
        if near is None:
            yield cache
        else:
            async with following_news(near, room.watch):
                yield cache
    finally:
        await cache.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
