"""Values that are no longer fresh, things that are known not to be, and values that are compressed."""

import asyncio
import random
import uuid
from collections import Counter

import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh.errors import Aborted, InvalidArgument
from services.cache.domain.keys import KINDS
from tests.cache.conftest import OpenRoom, Room, make_stale, novel_key, passages_key, refusal


async def test_a_value_is_fresh_for_four_fifths_of_its_life(room: Room) -> None:
    key = novel_key()
    await room.put(key, b"fresh")
    hit = (await room.lookup(key, renews=True)).hit
    assert 0.75 < hit.fresh_ms / hit.ttl_ms < 0.81
    assert not hit.HasField("renewal")


async def test_one_of_those_who_find_a_stale_value_may_renew_it(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url) as one, open_room(redis_url) as other:
        key = passages_key(str(uuid.uuid4()))
        await one.put(key, b"old")
        await make_stale(redis_url, key)
        assert not (await one.lookup(key)).hit.HasField("renewal"), "who did not say so would not renew it"
        found = await asyncio.gather(*((one, other)[n % 2].lookup(key, renews=True) for n in range(50)))
        assert {(response.hit.value, response.hit.fresh_ms) for response in found} == {(b"old", 0)}
        (lease,) = [response.hit.renewal for response in found if response.hit.HasField("renewal")]
        assert 9_000 < lease.ttl_ms <= 10_000
        await other.store(key, lease.lease_id, b"new")
        hit = (await one.lookup(key, renews=True)).hit
        assert (hit.value, hit.fresh_ms > 0) == (b"new", True)
        assert isinstance(await refusal(one.store(key, lease.lease_id, b"again")), Aborted)
        assert (await one.stats("passages")).stale + (await other.stats("passages")).stale == 51


@pytest.mark.parametrize("given_back", [True, False])
async def test_a_renewal_that_is_not_made_goes_to_the_next(
    open_room: OpenRoom, redis_url: str, *, given_back: bool
) -> None:
    async with open_room(redis_url, cache_lease_seconds=10 if given_back else 0.05) as room:
        key = novel_key()
        await room.put(key, b"old")
        await make_stale(redis_url, key)
        first = (await room.lookup(key, renews=True)).hit.renewal
        if given_back:
            assert not (await room.lookup(key, renews=True)).hit.HasField("renewal")
            assert await room.release(key, first.lease_id)
            assert not await room.release(key, first.lease_id)
        else:
            await asyncio.sleep(0.06)
        second = (await room.lookup(key, renews=True)).hit.renewal
        assert second.lease_id not in {"", first.lease_id}
        assert isinstance(await refusal(room.store(key, first.lease_id, b"late")), Aborted)
        assert (await room.lookup(key)).hit.value == b"old"


async def test_a_write_voids_a_renewal(room: Room, redis_url: str) -> None:
    key = novel_key()
    await room.put(key, b"old")
    await make_stale(redis_url, key)
    renewal = (await room.lookup(key, renews=True)).hit.renewal
    assert await room.invalidate(key) == 1
    assert isinstance(await refusal(room.store(key, renewal.lease_id, b"read before the write")), Aborted)
    await room.put(key, b"after the write")
    assert isinstance(await refusal(room.store(key, renewal.lease_id, b"read before the write")), Aborted)
    assert (await room.lookup(key)).hit.value == b"after the write"


async def test_without_a_renewal_no_made_up_lease_stores(room: Room) -> None:
    key = novel_key()
    await room.put(key, b"kept")
    for lease in ("-" * 32, "9" * 12, "wr", "x"):
        assert isinstance(await refusal(room.store(key, lease, b"x")), Aborted)
        assert not await room.release(key, lease)
    assert (await room.lookup(key)).hit.value == b"kept"


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_what_is_not_there_is_remembered_for_a_moment_and_until_it_is(room: Room, kind: str) -> None:
    key = passages_key(str(uuid.uuid4())) if kind == "passages" else f"{kind}:{uuid.uuid4()}"
    lease = await room.lease(key)
    waiting = asyncio.create_task(room.lookup(key, wait_ms=10_000))
    await asyncio.sleep(0.05)
    ttl_ms = await room.store_absent(key, lease)
    assert ttl_ms <= 11_000
    assert (await waiting).HasField("absent")
    found = await room.lookup(key, renews=True)
    assert 0 < found.absent.ttl_ms <= ttl_ms
    assert await room.invalidate(key) == 0, "it was no value"
    await room.lease(key)
    stats = await room.stats(kind)
    assert (stats.absent, stats.hits, stats.stores) == (2, 0, 1)


async def test_a_thing_that_is_gone_takes_the_place_of_its_stale_value(room: Room, redis_url: str) -> None:
    key = novel_key()
    await room.put(key, b"old")
    await make_stale(redis_url, key)
    await room.store_absent(key, (await room.lookup(key, renews=True)).hit.renewal.lease_id)
    assert (await room.lookup(key)).HasField("absent")


async def test_an_absent_thing_has_no_value(room: Room) -> None:
    key = novel_key()
    request = pb.StoreRequest(key=key, lease_id=await room.lease(key), value=b"x", absent=True)
    error = await refusal(room.stub.Store(request))
    assert isinstance(error, InvalidArgument)
    assert "leave one of the two out" in error.fields["value"]


async def test_large_values_are_compressed_and_come_back_as_they_were(room: Room) -> None:
    draw = random.Random(1)
    words = ("lamp", "harbour", "moon", "Marian", "waited", "quiet", "under", "while", "window", "letter", "rain")
    text = " ".join(draw.choices(words, k=200_000)).encode()
    values = [text[:size] for size in (0, 1, 1_023, 1_024, 20_000, 140_000, 1024 * 1024)]
    values += [draw.randbytes(size) for size in (500, 5_000, 200_000)]
    keys = [novel_key() for _ in values]
    for key, value in zip(keys, values, strict=True):
        await room.put(key, value)
    for key, value in zip(keys, values, strict=True):
        assert (await room.lookup(key)).hit.value == value
    stats = await room.stats("novel")
    noise = 500 + 5_000 + 200_000
    assert stats.stored_bytes == sum(map(len, values))
    assert noise < stats.kept_bytes < noise + (stats.stored_bytes - noise) / 2


async def test_the_values_of_an_earlier_release_are_found_and_removed(room: Room, redis_url: str) -> None:
    key = novel_key()
    lease = await room.lease(key)
    await room.store(key, lease, b"x")
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        (name,) = await client.keys(f"gaji:cache:*:entry:{key}")
        await client.set(name, b"vas it was", px=60_000)
    hit = (await room.lookup(key, renews=True)).hit
    assert (hit.value, hit.HasField("renewal")) == (b"as it was", False)
    assert await room.invalidate(key) == 1


async def test_results_by_kind_are_told_apart_in_the_metric(room: Room, redis_url: str) -> None:
    key, missing = f"character:{uuid.uuid4()}", f"character:{uuid.uuid4()}"
    before = await _lookups(room)
    await room.put(key, b"x")
    await room.lookup(key)
    await make_stale(redis_url, key)
    await room.lookup(key)
    await room.store_absent(missing, await room.lease(missing))
    await room.lookup(missing)
    after = await _lookups(room)
    after.subtract(before)
    assert +after == {"lease": 2, "hit": 1, "stale": 1, "absent": 1}


async def _lookups(room: Room) -> Counter[str]:
    begin = 'gaji_cache_lookups_total{kind="character",result="'
    found: Counter[str] = Counter()
    for line in (await room.metrics()).splitlines():
        if line.startswith(begin):
            result, _, count = line.removeprefix(begin).partition('"} ')
            found[result] = int(float(count))
    return found
