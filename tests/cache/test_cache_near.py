"""A near cache over the real cache: right after every write, empty and passed over when the news is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from mesh.breaker import Breakers, BreakerSettings, State
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.near import NearCache, following_news
from mesh.read_through import AbsentError, ReadThrough, always
from services.cache.__main__ import serving
from services.peers.cache import CacheClient
from services.search.__main__ import CACHE
from tests.cache.conftest import OpenRoom, Room, make_stale, novel_key, passages_key
from tests.cache.test_cache_read_through import Work, silent_port
from tests.fixtures.cache_process import open_cache_process, read_through
from tests.fixtures.servers import JwtKeys


class Near:
    """A near cache that follows the news, and what reads through it."""

    def __init__(self, client: CacheClient, near: NearCache) -> None:
        self.values = near
        self.client = client
        self.through = ReadThrough(client, near=near, wait=5.0, patience=5.0)

    async def read(self, key: str, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        return await self.through.get(key, compute, always)

    async def followed(self) -> None:
        """Returns when the news is followed: then what is read is kept."""
        probe = f"character:{uuid.uuid4()}"
        while self.values.get(probe) is None:
            await self.read(probe, Work())
            await asyncio.sleep(0.01)


@asynccontextmanager
async def following(channel: grpc.aio.Channel, max_bytes: int = 1_000_000) -> AsyncIterator[Near]:
    client, values = CacheClient(channel), NearCache(max_bytes)
    near = Near(client, values)
    async with following_news(values, client.watch):
        await near.followed()
        yield near
    await near.through.close()


@pytest.fixture
async def near(room: Room) -> AsyncIterator[Near]:
    async with following(room.channel) as opened:
        yield opened


def key() -> str:
    return passages_key(str(uuid.uuid4()))


async def gone(near: Near, key: str) -> None:
    while near.values.get(key) is not None:
        await asyncio.sleep(0.005)


async def test_a_value_that_was_read_is_near(near: Near, room: Room) -> None:
    name, work = key(), Work()
    before = read_through("passages", "near")
    assert [await near.read(name, work) for _ in range(4)] == [b"computed"] * 4
    assert read_through("passages", "near") - before == 3
    assert (work.runs, (await room.stats("passages")).hits) == (1, 0)


async def test_what_may_not_be_kept_near_is_not(near: Near) -> None:
    name, other, work = key(), key(), Work()
    await near.through.get(name, work)
    await near.through.get(other, work, lambda value: value != b"computed")
    assert near.values.get(name) is near.values.get(other) is None


async def test_what_is_invalidated_anywhere_goes_everywhere(open_room: OpenRoom, redis_url: str) -> None:
    async with (
        open_room(redis_url) as one,
        open_room(redis_url) as other,
        following(one.channel) as here,
        following(other.channel) as there,
    ):
        novel_id = str(uuid.uuid4())
        names = [passages_key(novel_id), f"character:{uuid.uuid4()}"]
        for name in names:
            for near in (here, there):
                await near.read(name, Work(b"old"))
                assert near.values.get(name) == b"old"
        await one.invalidate(names[1], prefixes=(f"passages:{novel_id}:",))
        for name in names:
            for near in (here, there):
                await gone(near, name)
                assert await near.read(name, Work(b"new")) == b"new"


async def test_a_value_that_was_on_its_way_at_its_invalidation_is_not_kept(near: Near, room: Room) -> None:
    name, other, work = key(), key(), Work(b"before the write", held=True)
    await near.read(other, Work())
    reading = asyncio.create_task(near.read(name, work))
    await work.began.wait()
    await room.invalidate(name, other)
    await gone(near, other)  # so the news has come
    work.go.set()
    assert await reading == b"before the write"
    assert near.values.get(name) is None
    assert await near.read(name, Work(b"after the write")) == b"after the write"


async def test_who_writes_does_not_wait_for_the_news(near: Near) -> None:
    name = key()
    await near.read(name, Work(b"old"))
    near.through.forget(prefixes=[name[:45]])
    assert near.values.get(name) is None


async def test_a_stale_value_is_not_kept_and_its_renewal_is(near: Near, room: Room, redis_url: str) -> None:
    name, work = key(), Work(b"new", held=True)
    await room.put(name, b"old")
    await make_stale(redis_url, name)
    # At once, though the computation has not ended; and only once, however many find it stale.
    assert set(await asyncio.gather(*(near.read(name, work) for _ in range(20)))) == {b"old"}
    assert [await near.read(name, work) for _ in range(3)] == [b"old"] * 3
    assert near.values.get(name) is None
    work.go.set()
    while await near.read(name, work) != b"new":
        await asyncio.sleep(0.01)
    assert work.runs == 1
    assert near.values.get(name) == b"new"


async def test_a_failed_renewal_leaves_the_stale_value_and_waits(near: Near, room: Room, redis_url: str) -> None:
    name, work = key(), Work()
    work.error = RuntimeError("the index is away")
    await room.put(name, b"old")
    await make_stale(redis_url, name)
    assert await near.read(name, work) == b"old"
    while not work.runs:
        await asyncio.sleep(0.005)
    for _ in range(20):
        assert await near.read(name, work) == b"old"
    assert work.runs == 1


async def test_a_renewal_has_a_deadline_of_its_own(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url, cache_lease_seconds=0.2) as room, following(room.channel) as near:
        name, work = key(), Work(held=True)
        await room.put(name, b"old")
        await make_stale(redis_url, name)
        assert await near.read(name, work) == b"old"
        while not work.cancelled:
            await asyncio.sleep(0.01)
        assert await near.read(name, Work(b"new")) == b"old"


async def test_what_is_not_there_is_not_looked_for_again_until_it_is(near: Near, room: Room) -> None:
    name, work = f"character:{uuid.uuid4()}", Work()
    work.error = AbsentError()
    for _ in range(5):
        with pytest.raises(AbsentError):
            await near.read(name, work)
    assert work.runs == 1
    await room.invalidate(name)
    assert await near.read(name, Work(b"made")) == b"made"


async def test_bytes_are_bounded(room: Room) -> None:
    async with following(room.channel, max_bytes=20_000) as near:
        names = [key() for _ in range(20)]
        for name in names:
            await near.read(name, Work(bytes(3_000)))
            assert near.values.bytes_kept <= 20_000
        assert [near.values.get(name) is not None for name in names] == [False] * 15 + [True] * 5
        large = key()
        assert await near.read(large, Work(bytes(30_000))) == bytes(30_000)
        assert near.values.get(large) is None


async def test_a_lost_watch_empties_it_and_the_next_fills_it_again(open_room: OpenRoom, redis_url: str) -> None:
    async with AsyncExitStack() as rooms:
        room = await rooms.enter_async_context(open_room(redis_url))
        settings = room.settings.model_copy(update={"listen": room.server.address})
        async with open_channel(room.server.address, settings, [CACHE]) as channel, following(channel) as near:
            name = key()
            await near.read(name, Work(b"old"))
            assert near.values.get(name) == b"old"
            await rooms.aclose()
            await gone(near, name)
            assert near.values.bytes_kept == 0
            assert await near.read(name, Work(b"without a cache")) == b"without a cache"
            assert near.values.get(name) is None
            async with serving(settings):
                await near.followed()


async def test_a_frozen_cache_is_passed_over_and_opens_its_circuit(
    server_folder: Path, redis_url: str, jwt_keys: JwtKeys
) -> None:
    async with (
        open_cache_process(server_folder, redis_url, jwt_keys.public) as cache,
        open_channel(cache.address, MeshSettings(), [CACHE]) as channel,
        following(channel) as near,
    ):
        name = key()
        await near.read(name, Work(b"old"))
        cache.freeze()
        await gone(near, name)
        cache.thaw()
        await near.followed()


async def test_a_silent_cache_opens_its_circuit() -> None:
    settings = MeshSettings(breaker_window=4, breaker_minimum_calls=4)
    breakers = Breakers(BreakerSettings.of(settings))
    async with silent_port() as target, open_channel(target, settings, [CACHE], gate=breakers.before(CACHE)) as channel:
        through = ReadThrough(CacheClient(channel), patience=0.1, pause=0.0)
        for number in range(6):
            assert await through.get(novel_key(), Work(b"%d" % number)) == b"%d" % number
        assert breakers.breaker("cache", "CacheService/unary").state is State.OPEN
