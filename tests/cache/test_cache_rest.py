"""Beats while nobody looks anything up, and when somebody does."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh.redis_client import open_redis
from mesh.streams import opened
from services.cache.ports import Beat, StoreUnavailableError
from services.cache.stores import bulletin
from services.cache.stores.bulletin import open_bulletin
from tests.cache.conftest import OpenRoom, Room, novel_key

_A_WHILE = 0.1


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rests, rests soon, and then for longer than any test lasts."""
    monkeypatch.setattr(bulletin, "_RESTS_AFTER", _A_WHILE)
    monkeypatch.setattr(bulletin, "_REST_EVERY", 3600.0)


async def _alone(room: Room) -> None:
    await room.lookup(novel_key())


async def _by_stream(room: Room) -> None:
    call = room.stub.LookupMany(timeout=30)
    await call.write(pb.LookupManyRequest(lookups=[pb.NumberedLookup(number=1, key=novel_key())]))
    assert await call.read()
    call.cancel()


@pytest.mark.usefixtures("resting")
@pytest.mark.parametrize("look", [_alone, _by_stream])
async def test_a_lookup_brings_the_next_beat_at_once(
    open_room: OpenRoom, redis_url: str, look: Callable[[Room], Awaitable[None]]
) -> None:
    async with open_room(redis_url) as room:
        await room.put(novel_key(), b"x")  # so that it hears the news by now
        request = pb.WatchInvalidationsRequest(beats=True)
        async with opened(room.stub.WatchInvalidations(request, timeout=60)) as messages:
            assert (await anext(messages)).WhichOneof("event") == "watching"
            for _ in range(3):
                await asyncio.sleep(3 * _A_WHILE)
                asked_us = time.monotonic() * 1e6
                await look(room)
                # An earlier one may have been on its way. Without the lookup none would come in time.
                while (message := await anext(messages)).beat.as_of_us < asked_us:
                    pass
                assert message.WhichOneof("event") == "beat"


@pytest.mark.usefixtures("resting")
async def test_a_lookup_brings_beats_from_other_replicas_too(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url) as asked, open_room(redis_url) as watched:
        await asked.put(novel_key(), b"x")
        await watched.lookup(novel_key())  # it hears the news by now
        request = pb.WatchInvalidationsRequest(beats=True)
        async with opened(watched.stub.WatchInvalidations(request, timeout=60)) as messages:
            await anext(messages)
            await asyncio.sleep(3 * _A_WHILE)
            asked_us = time.monotonic() * 1e6
            await asked.lookup(novel_key())
            while (await anext(messages)).beat.as_of_us < asked_us:
                pass


async def test_who_bears_silence_gets_fewer_beats_at_rest(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setattr(bulletin, "_RESTS_AFTER", -1.0)
    monkeypatch.setattr(bulletin, "_REST_EVERY", 0.01)
    async with (
        open_redis(redis_url, timeout=0.5, connections=2, name="test") as client,
        open_bulletin(client, timeout=0.5, backlog=3) as news,
    ):
        while not news.connected:
            await asyncio.sleep(0.01)
        with news.watching(beats=True, silence=0.02) as impatient, news.watching(beats=True, silence=3600.0) as patient:
            first = await anext(patient)
            for _ in range(10):
                await anext(impatient)
            news.end_watches("done")
            assert isinstance(first, Beat)
            with pytest.raises(StoreUnavailableError, match="done"):
                await anext(patient)


@pytest.mark.parametrize("silence", [1, 2_999, 60_001])
async def test_a_silence_that_nobody_can_keep_is_refused(open_room: OpenRoom, redis_url: str, silence: int) -> None:
    async with open_room(redis_url) as room:
        call = room.stub.WatchInvalidations(pb.WatchInvalidationsRequest(beats=True, silence_ms=silence), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.usefixtures("resting")
async def test_an_invalidation_is_told_while_nobody_looks_anything_up(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url) as room:
        await room.put(novel_key(), b"x")
        async with opened(room.stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=60)) as messages:
            await anext(messages)
            await asyncio.sleep(3 * _A_WHILE)
            key = novel_key()
            await room.invalidate(key)
            assert list((await anext(messages)).invalidated.keys) == [key]
