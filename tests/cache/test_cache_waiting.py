"""Waiting for the value that another caller computes."""

import asyncio
import uuid

from gaji.cache.v1 import cache_service_pb2 as pb

from tests.cache.conftest import OpenRoom, Room, novel_key, passages_key

LONG = 10_000


async def test_waiters_get_the_value_when_it_is_stored(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url) as one, open_room(redis_url) as other:
        key = passages_key(str(uuid.uuid4()))
        lease = await one.lease(key)
        waiting = [asyncio.create_task((one, other)[n % 2].lookup(key, LONG)) for n in range(50)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in waiting)
        await other.store(key, lease, b"worth it")
        for found in await asyncio.gather(*waiting):
            assert found.hit.value == b"worth it"
        assert (await one.stats("passages")).misses == 1


async def test_a_release_gives_one_waiter_the_lease(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    waiting = {asyncio.create_task(room.lookup(key, LONG)) for _ in range(5)}
    await asyncio.sleep(0.1)
    await room.release(key, lease)
    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    (found,) = [task.result() for task in done]
    assert found.WhichOneof("result") == "lease"
    await room.store(key, found.lease.lease_id, b"second try")
    for found in await asyncio.gather(*waiting):
        assert found.hit.value == b"second try"


async def test_an_invalidation_gives_one_waiter_the_lease(room: Room) -> None:
    novel_id = str(uuid.uuid4())
    for key, prefixes in ((novel_key(), ()), (passages_key(novel_id), (f"passages:{novel_id}",))):
        await room.lease(key)
        waiting = asyncio.create_task(room.lookup(key, LONG))
        await asyncio.sleep(0.1)
        await room.invalidate(*(() if prefixes else (key,)), prefixes=prefixes)
        assert (await waiting).WhichOneof("result") == "lease"


async def test_a_wait_ends_when_its_time_is_up(room: Room) -> None:
    key = novel_key()
    await room.lease(key)
    assert (await room.lookup(key, wait_ms=50)).WhichOneof("result") == "contended"


async def test_a_wait_ends_before_the_deadline_does(room: Room) -> None:
    key = novel_key()
    await room.lease(key)
    found = await room.stub.Lookup(pb.LookupRequest(key=key, wait_ms=LONG), timeout=2.0)
    assert found.WhichOneof("result") == "contended"


async def test_a_caller_that_leaves_gives_its_place_up(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    leaving = asyncio.create_task(room.lookup(key, LONG))
    staying = asyncio.create_task(room.lookup(key, LONG))
    await asyncio.sleep(0.1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await room.release(key, lease)
    assert (await staying).WhichOneof("result") == "lease"
