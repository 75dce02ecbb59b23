"""The cache room as a peer of the library."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import grpc
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc
from google.rpc import status_pb2

from mesh import deadlines
from mesh.errors import MeshError, from_status, translated
from mesh.near import Beat, Gone, InPlace, NearCache, News, following_news
from mesh.read_through import (
    CacheAbsent,
    CacheContended,
    CacheHit,
    CacheLease,
    Compute,
    Found,
    Keep,
    ReadThrough,
)
from mesh.standing import Asked, Standing
from mesh.streams import opened
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_CACHE_SECONDS = 0.5
_RETRY_SECONDS = (0.2, 5.0)
_KEYS = 1000
_MOST_OUTSTANDING = 100_000
_NEAR_KINDS = ("novel", "scenario")
_RELEASE_SECONDS = 1.0
_WATCH_SECONDS = 3600.0  # it is begun anew long before


class GrpcCache:
    """The cache room's calls, for `mesh.read_through` and `mesh.near`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.CacheServiceStub(channel)
        self._wire = _LookupWire(self._stub)
        self._lookups: Standing[str, Found] = Standing(self._wire)

    async def close(self) -> None:
        """Ends the stream of lookups."""
        await self._lookups.close()

    async def lookup(self, key: str, wait_ms: int, timeout: float) -> Found:
        """Finds the value or grants the lease."""
        if wait_ms:  # a call of its own: it would hold up what else is asked
            return await self._wire.alone(key, timeout, wait_ms)
        return await self._lookups.ask(key, timeout)

    async def store(self, key: str, lease_id: str, value: bytes | None, timeout: float) -> float:
        """Stores the value, or with None that there is no such thing; for how many seconds it is fresh."""
        request = pb.StoreRequest(key=key, lease_id=lease_id, value=value or b"", absent=value is None)
        with translated("cache"):
            return (await self._stub.Store(request, timeout=timeout)).fresh_ms / 1000

    async def release(self, key: str, lease_id: str, timeout: float) -> None:
        """Gives the lease back."""
        with translated("cache"):
            await self._stub.Release(pb.ReleaseRequest(key=key, lease_id=lease_id), timeout=timeout)

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values and voids leases."""
        with translated("cache"):
            await self._stub.Invalidate(pb.InvalidateRequest(keys=keys), timeout=_CACHE_SECONDS)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[News]]:
        """The news of what no longer holds, for the near cache."""
        request = pb.WatchInvalidationsRequest(kinds=_NEAR_KINDS, beats=True)
        with translated("cache"):
            async with (
                opened(self._stub.WatchInvalidations(request, timeout=_WATCH_SECONDS)) as messages,
                aclosing(_news(messages)) as news,
            ):
                yield news


class LibraryCache:
    """The port `Cache`: reads through, and makes sure that an invalidation arrives in the end.

    While one is outstanding (the cache is down), its key is read past the cache, and the invalidation is tried again in
    the background: other replicas may see the old value until it arrives, at most for the key's time to live.

    Args:
        cache: the cache room.
        near: values of this process; None: there are none.
    """

    def __init__(self, cache: GrpcCache, near: NearCache | None = None) -> None:
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
                    await self._send(dict(list(self._outstanding.items())[:_KEYS]))
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
    room = GrpcCache(channel)
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


class _LookupWire:
    """How lookups are put (`mesh.standing.Wire`)."""

    path = "/gaji.cache.v1.CacheService/Lookup"

    def __init__(self, stub: "rpc.CacheServiceAsyncStub") -> None:
        self._stub = stub

    def open(self, seconds: float) -> Any:
        """Begins a stream."""
        return self._stub.LookupMany(timeout=seconds)

    def message(self, asked: Sequence[Asked[str, Found]]) -> pb.LookupManyRequest:
        """All of them at once."""
        lookups = [
            pb.NumberedLookup(
                number=one.number,
                key=one.question,
                renews=True,
                traceparent=one.traceparent,
                request_id=one.request_id,
            )
            for one in asked
        ]
        return pb.LookupManyRequest(lookups=lookups)

    def answers(self, message: pb.LookupManyResponse) -> Iterator[tuple[int, Found | MeshError]]:
        """What was found of which."""
        for result in message.results:
            if result.HasField("found"):
                yield result.number, _found(result.found)
            else:
                yield result.number, from_status(status_pb2.Status.FromString(result.status))

    async def alone(self, question: str, timeout: float, wait_ms: int = 0) -> Found:
        """Looks up by a call of its own, which may wait for another caller's value."""
        request = pb.LookupRequest(key=question, wait_ms=wait_ms, renews=True)
        with translated("cache"):
            return _found(await self._stub.Lookup(request, timeout=timeout))

    def unclaimed(self, question: str, answer: Found) -> Coroutine[Any, Any, None] | None:
        """A lease that nobody wants any more is given back."""
        lease = answer.renewal if isinstance(answer, CacheHit) else answer
        return self._given_back(question, lease.lease_id) if isinstance(lease, CacheLease) else None

    async def _given_back(self, key: str, lease_id: str) -> None:
        with suppress(grpc.aio.AioRpcError, MeshError):  # then it ends by itself
            await self._stub.Release(pb.ReleaseRequest(key=key, lease_id=lease_id), timeout=_RELEASE_SECONDS)


def _found(response: pb.LookupResponse) -> Found:
    match response.WhichOneof("result"):
        case "hit":
            hit = response.hit
            renewal = _lease(hit.renewal) if hit.HasField("renewal") else None
            return CacheHit(hit.value, hit.fresh_ms / 1000, renewal)
        case "lease":
            return _lease(response.lease)
        case "absent":
            return CacheAbsent()
        case _:
            return CacheContended()


def _lease(lease: pb.Lease) -> CacheLease:
    return CacheLease(lease.lease_id, lease.ttl_ms / 1000)


async def _news(messages: AsyncIterator[pb.WatchInvalidationsResponse]) -> AsyncGenerator[News, None]:
    async for message in messages:
        match message.WhichOneof("event"):
            case "watching":
                yield InPlace(message.watching.as_of_us / 1e6)
            case "beat":
                yield Beat(message.beat.as_of_us / 1e6)
            case "invalidated":
                yield Gone(message.invalidated.keys, message.invalidated.prefixes)
