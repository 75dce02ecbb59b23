"""The cache service as a port."""

from collections.abc import Sequence

import grpc
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.errors import MeshError, translated
from mesh.read_through import CacheContended, CacheHit, CacheLease, Compute, ReadThrough
from mesh.telemetry.logs import get_logger

MAX_KEYS = 1_000
"""Keys in one invalidation."""
INVALIDATE_SECONDS = 2.0

log = get_logger(__name__)


class CacheClient:
    """A `mesh.read_through.CachePort` on a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.CacheServiceStub(channel)

    async def lookup(self, key: str, wait_ms: int) -> CacheHit | CacheLease | CacheContended:
        """Finds the value or grants the lease."""
        with translated("cache"):
            found = await self._stub.Lookup(pb.LookupRequest(key=key, wait_ms=wait_ms))
        match found.WhichOneof("result"):
            case "hit":
                return CacheHit(found.hit.value)
            case "lease":
                return CacheLease(found.lease.lease_id)
            case _:
                return CacheContended()

    async def store(self, key: str, lease_id: str, value: bytes) -> None:
        """Stores the value under the lease."""
        with translated("cache"):
            await self._stub.Store(pb.StoreRequest(key=key, lease_id=lease_id, value=value))

    async def release(self, key: str, lease_id: str) -> None:
        """Gives the lease back."""
        with translated("cache"):
            await self._stub.Release(pb.ReleaseRequest(key=key, lease_id=lease_id))

    async def invalidate(self, keys: Sequence[str], prefixes: Sequence[str]) -> None:
        """Removes values, at most `MAX_KEYS` by key."""
        with translated("cache"):
            request = pb.InvalidateRequest(keys=keys, prefixes=prefixes)
            await self._stub.Invalidate(request, timeout=INVALIDATE_SECONDS)


class Answers:
    """Cached answers about novels and characters.

    Args:
        cache: the cache service.
        patience: seconds of silence after which it counts as down and is done without.
    """

    def __init__(self, cache: CacheClient, patience: float) -> None:
        self._cache = cache
        self._reader = ReadThrough(cache, patience=patience)

    async def get(self, key: str, compute: Compute) -> bytes:
        """The answer of a key, computed where the cache has none."""
        return await self._reader.get(key, compute)

    async def forget(self, novel_id: str, character_ids: Sequence[str]) -> None:
        """Drops the answers about a novel and its characters.

        A failure is only logged: answers carry their novel's generation, so that old ones are not given out.
        """
        keys = [character_key(character_id) for character_id in character_ids]
        self._reader.forget(*keys)
        try:
            await self._cache.invalidate(keys[:MAX_KEYS], [f"passages:{novel_id}:"])
        except MeshError as error:
            log.warning("answers were not dropped from the cache", extra={"novel_id": novel_id, "error": error.message})


def character_key(character_id: str) -> str:
    """The cache key of a character."""
    return f"character:{character_id}"
