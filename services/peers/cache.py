"""The cache as its peers see it."""

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import grpc
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc
from google.rpc import status_pb2

from mesh.errors import MeshError, from_status, translated
from mesh.near import Beat, Gone, InPlace, News
from mesh.read_through import CacheAbsent, CacheContended, CacheHit, CacheLease, Found
from mesh.standing import Asked, Standing
from mesh.streams import opened

MAX_KEYS = 1_000
"""Keys in one invalidation."""
_RELEASE_SECONDS = 1.0
_WATCH_SECONDS = 3600.0  # it is begun anew long before


class CacheClient:
    """A `mesh.read_through.CachePort` on a channel, and the news that `mesh.near` follows.

    Args:
        channel: to the cache.
        near: the kinds of values whose news is wanted; none: all.
        invalidate_seconds: how long an invalidation may take.
    """

    def __init__(self, channel: grpc.aio.Channel, near: Sequence[str] = (), *, invalidate_seconds: float = 2.0) -> None:
        self._stub = rpc.CacheServiceStub(channel)
        self._near = near
        self._invalidate_seconds = invalidate_seconds
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

    async def invalidate(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> None:
        """Removes values and voids leases, at most `MAX_KEYS` by key."""
        with translated("cache"):
            request = pb.InvalidateRequest(keys=keys, prefixes=prefixes)
            await self._stub.Invalidate(request, timeout=self._invalidate_seconds)

    @asynccontextmanager
    async def watch(self, silence: float) -> AsyncIterator[AsyncIterator[News]]:
        """The news of what no longer holds, for the near cache, which bears such a silence while nobody asks."""
        request = pb.WatchInvalidationsRequest(kinds=self._near, beats=True, silence_ms=round(silence * 1000))
        with translated("cache"):
            async with (
                opened(self._stub.WatchInvalidations(request, timeout=_WATCH_SECONDS)) as messages,
                aclosing(_news(messages)) as news,
            ):
                yield news


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
