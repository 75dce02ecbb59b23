"""Removal by key and by prefix, and who is told."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.errors import Aborted, Unavailable, from_rpc_error
from mesh.redis_client import open_redis
from mesh.streams import opened
from services.cache.ports import Notice, StoreUnavailableError
from services.cache.stores.bulletin import open_bulletin
from tests.cache.conftest import OpenRoom, Room, novel_key, passages_key, refusal


@asynccontextmanager
async def watch(room: Room, *kinds: str) -> AsyncIterator[AsyncIterator[pb.WatchInvalidationsResponse]]:
    """A watch that is in place. A room that has only just started may not hear yet."""
    request = pb.WatchInvalidationsRequest(kinds=kinds)
    while True:
        async with opened(room.stub.WatchInvalidations(request, timeout=60)) as messages:
            try:
                first = await anext(messages)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)
                continue
            assert first.WhichOneof("event") == "watching"
            assert first.sequence == 1
            yield messages
            return


async def test_an_invalidated_value_is_gone(room: Room) -> None:
    keys = [novel_key(), novel_key(), novel_key()]
    for key in keys:
        await room.put(key, b"x")
    assert await room.invalidate(*keys[:2]) == 2
    assert await room.invalidate(*keys[:2]) == 0
    assert (await room.lookup(keys[0])).WhichOneof("result") == "lease"
    assert (await room.lookup(keys[2])).WhichOneof("result") == "hit"


async def test_an_invalidation_voids_the_lease_so_that_no_stale_value_is_stored(room: Room) -> None:
    novel_id = str(uuid.uuid4())
    for key, prefix in (
        (novel_key(), None),
        (passages_key(str(uuid.uuid4())), None),
        (passages_key(novel_id), f"passages:{novel_id}:"),
    ):
        stale = await room.lease(key)
        removed = await (room.invalidate(prefixes=(prefix,)) if prefix else room.invalidate(key))
        assert removed == 0, "a lease is not a value"
        fresh = await room.lease(key)
        assert isinstance(await refusal(room.store(key, stale, b"old")), Aborted)
        await room.store(key, fresh, b"new")
        assert (await room.lookup(key)).hit.value == b"new"


async def test_a_prefix_takes_all_that_starts_with_it_and_nothing_else(room: Room) -> None:
    ours, other = str(uuid.uuid4()), str(uuid.uuid4())
    mine = [passages_key(ours, top_k) for top_k in range(1, 21)]
    theirs = passages_key(other)
    for key in (*mine, theirs, f"novel:{ours}"):
        await room.put(key, b"x")
    # Down to a hash, then to the novel.
    assert await room.invalidate(prefixes=(mine[0].rpartition(":")[0],)) == 1
    assert await room.invalidate(prefixes=(f"passages:{ours}:",)) == 19
    assert await room.invalidate(prefixes=(f"passages:{ours}:",)) == 0
    assert (await room.lookup(mine[5])).WhichOneof("result") == "lease"
    assert (await room.lookup(theirs)).WhichOneof("result") == "hit"
    assert (await room.lookup(f"novel:{ours}")).WhichOneof("result") == "hit"
    assert await room.invalidate(prefixes=(f"novel:{ours}", f"passages:{other}")) == 2


async def test_a_value_whose_list_was_evicted_is_not_served(room: Room, redis_url: str) -> None:
    key = passages_key(str(uuid.uuid4()))
    await room.put(key, b"x")
    lost = passages_key(key.split(":")[1])
    lease = await room.lease(lost)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        for name in await client.keys("gaji:cache:*:list:*"):
            await client.delete(name)
    assert isinstance(await refusal(room.store(lost, lease, b"x")), Aborted)
    await room.lease(key)


async def test_the_list_of_a_group_forgets_what_has_expired(open_room: OpenRoom, redis_url: str) -> None:
    novel_id = str(uuid.uuid4())
    async with (
        open_room(redis_url, cache_lease_seconds=0.02) as room,
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        for _ in range(10):
            await room.lease(passages_key(novel_id))
            await asyncio.sleep(0.03)
        (name,) = await client.keys("gaji:cache:*:list:*")
        assert await client.zcard(name) <= 2
        assert 0 < await client.ttl(name) <= 1200


async def test_everything_in_the_store_expires(room: Room, redis_url: str) -> None:
    for key in (novel_key(), passages_key(str(uuid.uuid4()))):
        await room.put(key, b"x")
        await room.lease(passages_key(str(uuid.uuid4())))
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        names = await client.keys("*")
        assert len(names) >= 6
        for name in names:
            assert await client.ttl(name) > 0, name


async def test_watchers_of_every_replica_are_told(open_room: OpenRoom, redis_url: str) -> None:
    novel_id = str(uuid.uuid4())
    key, prefix = f"novel:{novel_id}", f"passages:{novel_id}:"
    async with (
        open_room(redis_url) as one,
        open_room(redis_url) as other,
        watch(one) as near,
        watch(other) as far,
        watch(other, "novel") as novels,
        watch(other, "user") as users,
    ):
        await one.invalidate(key, prefixes=(prefix,))
        for messages in (near, far):
            message = await anext(messages)
            assert message.sequence == 2
            assert list(message.invalidated.keys) == [key]
            assert list(message.invalidated.prefixes) == [prefix]
        message = await anext(novels)
        assert (list(message.invalidated.keys), list(message.invalidated.prefixes)) == ([key], [])
        user = f"user:{uuid.uuid4()}"
        await other.invalidate(user)
        message = await anext(users)
        assert (message.sequence, list(message.invalidated.keys)) == (2, [user])


async def test_a_watcher_that_is_too_far_behind_is_told_so(room: Room, redis_url: str) -> None:
    async with (
        open_redis(redis_url, timeout=0.5, connections=2, name="test") as client,
        open_bulletin(client, timeout=0.5, backlog=3) as bulletin,
    ):
        while not bulletin.connected:
            await asyncio.sleep(0.01)
        with bulletin.watching() as slow, bulletin.watching() as quick:
            keys = [novel_key() for _ in range(5)]
            for key in keys:
                await room.invalidate(key)
                assert await anext(quick) == Notice((key,), ())
            assert [await anext(slow) for _ in range(3)] == [Notice((key,), ()) for key in keys[:3]]
            with pytest.raises(StoreUnavailableError, match="more than 3 notices behind"):
                await anext(slow)


async def test_a_replica_that_stops_ends_its_watches_at_once(open_room: OpenRoom, redis_url: str) -> None:
    async with AsyncExitStack() as rooms:
        room = await rooms.enter_async_context(open_room(redis_url, drain_seconds=60))
        async with open_channel(room.server.address, room.settings) as channel:
            mine = replace(room, stub=rpc.CacheServiceStub(channel))
            ending = asyncio.create_task(_end_of_watch(mine))
            while "gaji_cache_watchers 1.0" not in await room.metrics():
                await asyncio.sleep(0.01)
            # If the watch were not ended, the drain would outlast the test's time limit.
            await rooms.aclose()
            error = await ending
    assert isinstance(error, Unavailable)
    assert "this replica stops" in error.message


async def _end_of_watch(room: Room) -> Exception:
    async with watch(room) as messages:
        try:
            await anext(messages)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
    raise AssertionError("nothing was invalidated")
