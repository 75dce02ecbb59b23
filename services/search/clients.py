"""The cache service as a port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from mesh.errors import MeshError
from mesh.near import NearCache, following_news
from mesh.read_through import Compute, Keep, ReadThrough
from mesh.telemetry.logs import get_logger
from services.peers.cache import MAX_KEYS, CacheClient

WAIT_SECONDS = 5.0
"""How long to wait for an answer that another process is computing: it ranks, and may ask a model."""
_NEAR_KINDS = ("character", "passages")

log = get_logger(__name__)


class Answers:
    """Cached answers about novels and characters.

    Args:
        cache: the cache service.
        patience: seconds of silence after which it counts as down and is done without.
        near: answers of this process; None: there are none.
    """

    def __init__(self, cache: CacheClient, patience: float, near: NearCache | None = None) -> None:
        self._cache = cache
        self._reader = ReadThrough(cache, near=near, wait=WAIT_SECONDS, patience=patience)

    async def get(self, key: str, compute: Compute, keep: Keep | None = None) -> bytes:
        """The answer of a key, computed where the cache has none, and kept near where ``keep`` says so."""
        return await self._reader.get(key, compute, keep)

    async def forget(self, novel_id: str, character_ids: Sequence[str]) -> None:
        """Drops the answers about a novel and its characters.

        A failure is only logged: answers carry their novel's generation, so that old ones are not given out.
        """
        keys = [character_key(character_id) for character_id in character_ids]
        prefixes = [f"passages:{novel_id}:"]
        self._reader.forget(*keys, prefixes=prefixes)
        try:
            await self._cache.invalidate(keys[:MAX_KEYS], prefixes)
        except MeshError as error:
            log.warning("answers were not dropped from the cache", extra={"novel_id": novel_id, "error": error.message})
        finally:
            self._reader.forget(*keys, prefixes=prefixes)  # what has been read from the cache meanwhile

    async def close(self) -> None:
        """Ends what runs in the background."""
        await self._reader.close()
        await self._cache.close()


@asynccontextmanager
async def open_answers(channel: grpc.aio.Channel, patience: float, near_bytes: int) -> AsyncIterator[Answers]:
    """Cached answers, with a near cache of so many bytes that follows the cache's news; 0: without."""
    cache = CacheClient(channel, _NEAR_KINDS)
    near = NearCache(near_bytes) if near_bytes else None
    answers = Answers(cache, patience, near)
    try:
        if near is None:
            yield answers
        else:
            async with following_news(near, cache.watch):
                yield answers
    finally:
        await answers.close()


def character_key(character_id: str) -> str:
    """The cache key of a character."""
    return f"character:{character_id}"
