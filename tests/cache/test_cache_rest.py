"""Beats while nobody looks anything up, and when somebody does."""

import asyncio
import time

import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh.streams import opened
from services.cache.stores import bulletin
from tests.cache.conftest import OpenRoom, novel_key

_A_WHILE = 0.1


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rests, rests soon, and then for longer than any test lasts."""
    monkeypatch.setattr(bulletin, "_RESTS_AFTER", _A_WHILE)
    monkeypatch.setattr(bulletin, "_REST_EVERY", 3600.0)


@pytest.mark.usefixtures("resting")
async def test_a_lookup_brings_the_next_beat_at_once(open_room: OpenRoom, redis_url: str) -> None:
    async with open_room(redis_url) as room:
        await room.put(novel_key(), b"x")  # so that it hears the news by now
        request = pb.WatchInvalidationsRequest(beats=True)
        async with opened(room.stub.WatchInvalidations(request, timeout=60)) as messages:
            assert (await anext(messages)).WhichOneof("event") == "watching"
            for _ in range(3):
                await asyncio.sleep(3 * _A_WHILE)
                asked_us = time.monotonic() * 1e6
                await room.lookup(novel_key())
                # An earlier one may have been on its way. Without the lookup none would come in time.
                while (message := await anext(messages)).beat.as_of_us < asked_us:
                    pass
                assert message.WhichOneof("event") == "beat"


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
