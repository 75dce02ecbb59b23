"""One bad entry, a stream that is cut off, an asker that leaves: nothing else is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb
from google.rpc import status_pb2

from mesh.errors import MeshError, Unavailable, from_status
from mesh.standing import Asked, Standing
from services.cache.stores.entries import HEADER, written
from services.peers.cache import CacheClient
from tests.cache.conftest import Room, make_stale, novel_key, refusal

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda entry: entry[:-9],
    "no frame": lambda entry: entry[:HEADER] + b"no frame",
    "no value": lambda entry: entry[:HEADER],
    "no margin": lambda entry: b"wr" + b"?" * len(entry),
}
TRACEPARENT = f"00-{1:032x}-{1:016x}-01"


async def entry(store: Any, room: Room, key: str) -> bytes:
    """The name of a value's entry."""
    await room.put(key, b"x" * 2_000)
    (name,) = await store.keys(f"gaji:cache:*:entry:{key}")
    return bytes(name)


@asynccontextmanager
async def asking(room: Room, keys: list[str], traceparent: str, *, renews: bool = False) -> AsyncIterator[Any]:
    """A stream that has asked for these."""
    call = room.stub.LookupMany(timeout=30)
    lookups = [
        pb.NumberedLookup(number=number, key=key, renews=renews, traceparent=traceparent)
        for number, key in enumerate(keys)
    ]
    await call.write(pb.LookupManyRequest(lookups=lookups))
    try:
        yield call
    finally:
        call.cancel()


@pytest.mark.parametrize("traceparent", ["", TRACEPARENT])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_value_is_a_missing_one(room: Room, redis_url: str, damage: str, traceparent: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as store:
        damaged, good, missing = novel_key(), novel_key(), novel_key()
        name = await entry(store, room, damaged)
        await store.set(name, DAMAGES[damage](await written(b"damaged" * 1_000, 0)), px=60_000)
        await room.put(good, b"good")
        async with asking(room, [damaged, good, missing], traceparent) as call:
            results: dict[int, pb.LookupResponse] = {}
            while len(results) < 3:
                results.update((result.number, result.found) for result in (await call.read()).results)
        assert results[0].HasField("contended")
        assert results[1].hit.value == b"good"
        await room.store(missing, results[2].lease.lease_id, b"x")
        await room.put(damaged, b"mended")
        assert (await room.lookup(damaged)).hit.value == b"mended"


async def test_a_lookup_that_waits_gets_the_lease_of_a_damaged_value(room: Room, redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as store:
        key = novel_key()
        await store.set(await entry(store, room, key), b"wz no value", px=60_000)
        assert (await room.lookup(key, wait_ms=5_000)).HasField("lease")


@pytest.mark.parametrize("traceparent", ["", TRACEPARENT])
async def test_one_lookup_that_the_store_refuses_fails_alone(room: Room, redis_url: str, traceparent: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as store:
        refused, missing = novel_key(), novel_key()
        name = await entry(store, room, refused)
        await store.delete(name)
        await store.rpush(name, b"no string")
        async with asking(room, [refused, missing], traceparent) as call:
            results: dict[int, pb.NumberedResult] = {}
            while len(results) < 2:
                results.update((result.number, result) for result in (await call.read()).results)
        error = from_status(status_pb2.Status.FromString(results[0].status))
        assert isinstance(error, Unavailable)
        assert error.reason == "CACHE_STORE_UNAVAILABLE"
        await room.store(missing, results[1].found.lease.lease_id, b"x")
        assert isinstance(await refusal(room.lookup(refused)), Unavailable)
        await store.delete(name)


@pytest.mark.parametrize("traceparent", ["", TRACEPARENT])
async def test_a_stream_that_is_cut_off_while_it_is_written_gives_its_leases_back(
    room: Room, redis_url: str, traceparent: str
) -> None:
    large, stale, missing = [novel_key() for _ in range(16)], novel_key(), novel_key()
    for key in large:
        await room.put(key, bytes(1024 * 1024))
    await room.put(stale, b"old")
    await make_stale(redis_url, stale)
    before = await room.stats("novel")
    async with asking(
        room, [*large, stale, missing], traceparent, renews=True
    ):  # and never reads: no more than a part is written
        while (await room.stats("novel")).hits < before.hits + 17 or (
            await room.stats("novel")
        ).misses == before.misses:
            await asyncio.sleep(0.01)
    assert (await room.lookup(missing, wait_ms=5_000)).HasField("lease")
    async with asyncio.timeout(5):
        while not (await room.lookup(stale, renews=True)).hit.HasField("renewal"):
            await asyncio.sleep(0.01)


async def test_a_lease_that_comes_just_before_its_asker_leaves_is_given_back(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, key, answered = CacheClient(room.channel), novel_key(), Standing._answered
    await client.lookup(novel_key(), 0, 30)
    leaving = asyncio.create_task(client.lookup(key, 0, 30))

    def then_left(self: Standing[Any, Any], asked: Asked[Any, Any], answer: Any | MeshError) -> None:
        answered(self, asked, answer)
        leaving.cancel()

    monkeypatch.setattr(Standing, "_answered", then_left)
    monkeypatch.setattr("services.peers.cache._RELEASE_SECONDS", 30.0)  # a slow machine is not a cache that is down
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await room.lookup(key, wait_ms=5_000)).HasField("lease")
    await client.close()
