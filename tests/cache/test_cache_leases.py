"""Hit, lease, contended; who may store."""

import asyncio
import re
import uuid
from collections import Counter

import pytest

from mesh.errors import Aborted
from services.cache.domain.keys import KINDS
from tests.cache.conftest import OpenRoom, Room, novel_key, passages_key, refusal


async def test_a_miss_gets_a_lease_and_its_value_is_found(room: Room) -> None:
    key = novel_key()
    found = await room.lookup(key)
    assert 9_000 < found.lease.ttl_ms <= 10_000
    await room.store(key, found.lease.lease_id, b"\x00value\xff")
    hit = (await room.lookup(key)).hit
    assert hit.value == b"\x00value\xff"
    assert 0 < hit.ttl_ms <= 3_960_000


async def test_an_empty_value_is_a_value(room: Room) -> None:
    key = novel_key()
    await room.put(key, b"")
    assert (await room.lookup(key)).WhichOneof("result") == "hit"


async def test_while_one_computes_others_are_told_so(room: Room) -> None:
    key = novel_key()
    await room.lease(key)
    found = await room.lookup(key)
    assert 0 < found.contended.retry_after_ms <= 10_000


async def test_200_callers_that_miss_at_once_get_one_lease(open_room: OpenRoom, redis_url: str) -> None:
    key = passages_key(str(uuid.uuid4()))
    async with open_room(redis_url) as one, open_room(redis_url) as other:
        found = await asyncio.gather(*((one, other)[n % 2].lookup(key) for n in range(200)))
    assert Counter(response.WhichOneof("result") for response in found) == {"lease": 1, "contended": 199}


async def test_a_value_cannot_be_stored_without_the_lease(room: Room) -> None:
    key = novel_key()
    assert isinstance(await refusal(room.store(key, "made-up", b"x")), Aborted)
    lease = await room.lease(key)
    assert isinstance(await refusal(room.store(key, "made-up", b"x")), Aborted)
    await room.store(key, lease, b"right")
    error = await refusal(room.store(key, lease, b"again"))
    assert error.reason == "LEASE_LOST"
    assert (await room.lookup(key)).hit.value == b"right"


async def test_a_lease_is_for_its_key(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    assert isinstance(await refusal(room.store(novel_key(), lease, b"x")), Aborted)


async def test_a_released_lease_goes_to_the_next(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    assert await room.release(key, lease)
    assert not await room.release(key, lease)
    assert await room.lease(key) != lease
    assert isinstance(await refusal(room.store(key, lease, b"late")), Aborted)


async def test_a_release_leaves_a_stored_value_alone(room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    await room.store(key, lease, b"kept")
    assert not await room.release(key, lease)
    assert (await room.lookup(key)).hit.value == b"kept"


async def test_an_expired_lease_goes_to_the_next_and_its_value_is_refused(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url, cache_lease_seconds=0.05) as room:
        key = novel_key()
        lease = await room.lease(key)
        found = await room.lookup(key, wait_ms=5_000)
        assert found.WhichOneof("result") == "lease"
        assert isinstance(await refusal(room.store(key, lease, b"late")), Aborted)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_times_to_live_are_those_of_the_kind_within_the_jitter(room: Room, kind: str) -> None:
    seen = set()
    for _ in range(20):
        key = passages_key(str(uuid.uuid4())) if kind == "passages" else f"{kind}:{uuid.uuid4()}"
        ttl = await room.store(key, await room.lease(key), b"x")
        assert 0.9 <= ttl / (KINDS[kind].ttl_seconds * 1000) <= 1.1
        assert 0 <= ttl - (await room.lookup(key)).hit.ttl_ms < 60_000
        seen.add(ttl)
    assert len(seen) > 10, "values that are stored together must not expire together"


def test_the_kinds_live_as_long_as_designed() -> None:
    assert {name: kind.ttl_seconds for name, kind in KINDS.items()} == {
        "novel": 3600,
        "scenario": 300,
        "character": 1800,
        "passages": 600,
        "user": 300,
    }


async def test_counts_by_kind(room: Room) -> None:
    key = f"user:{uuid.uuid4()}"
    await room.put(key, b"x")
    await room.lookup(key)
    await room.lookup(key)
    await room.invalidate(key)
    stats = await room.stats("user")
    assert (stats.hits, stats.misses, stats.stores, stats.invalidations) == (2, 1, 1, 1)
    assert stats.ttl_seconds == 300
    assert (await room.stats("novel")).misses == 0


async def test_metrics_by_kind_and_result(room: Room) -> None:
    key = f"scenario:{uuid.uuid4()}"
    before = {result: await _lookups("scenario", result, room) for result in ("hit", "lease", "contended")}
    lease = await room.lease(key)
    await room.lookup(key)
    await room.store(key, lease, b"x")
    await room.lookup(key)
    for result, count in before.items():
        assert await _lookups("scenario", result, room) == count + 1


async def _lookups(kind: str, result: str, room: Room) -> float:
    """The counter as a scraper reads it."""
    line = rf'^gaji_cache_lookups_total{{kind="{kind}",result="{result}"}} (\S+)'
    found = re.search(line, await room.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0
