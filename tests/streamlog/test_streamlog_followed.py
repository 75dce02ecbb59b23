import asyncio
import uuid

from mesh.streamlog import COMPLETE
from mesh.streamlog.stream import Entry
from tests.streamlog.conftest import OpenHub


async def test_a_producer_learns_that_another_process_follows(open_texts: OpenHub, stream_id: uuid.UUID) -> None:
    async with open_texts() as home, open_texts() as elsewhere:
        producer = await home.produce(stream_id, 1, "fresh")
        producer.append("one")
        assert await producer.flushed(5)
        assert not producer.followed
        async with elsewhere.watching(stream_id) as stream:
            producer.append("two")
            assert await producer.flushed(5)
            assert producer.followed
            producer.end("three", COMPLETE)
            items = [item async for item in stream.read()]
        assert [item.event for item in items if isinstance(item, Entry)] == ["one", "two", "three"]


async def test_the_channels_of_logs_that_nobody_watches_any_more_are_left(open_texts: OpenHub) -> None:
    async with open_texts() as home, open_texts() as elsewhere:
        for _ in range(100):
            stream_id = uuid.uuid4()
            producer = await home.produce(stream_id, 1, "fresh")
            producer.end("x", COMPLETE)
            async with elsewhere.watching(stream_id) as stream:
                assert [item async for item in stream.read()]
        writing, following = home._news._pubsub, elsewhere._news._pubsub
        assert writing is not None
        assert following is not None
        assert len(writing.channels) == 1, "a writer has one channel for all of its logs"
        assert 1 < len(following.channels) < 100


async def test_a_producer_hears_of_a_follower_before_it_appends_again(
    open_texts: OpenHub, stream_id: uuid.UUID
) -> None:
    async with open_texts(lease_seconds=60) as home, open_texts() as elsewhere:
        producer = await home.produce(stream_id, 1, "fresh")
        producer.append("one")
        assert await producer.flushed(5)
        async with elsewhere.watching(stream_id), asyncio.timeout(5):  # less than from one heartbeat to the next
            while not producer.followed:
                await asyncio.sleep(0.005)


async def test_a_new_log_is_found_by_whoever_waits_for_it(open_texts: OpenHub, stream_id: uuid.UUID) -> None:
    async with open_texts() as home, open_texts() as elsewhere, elsewhere.watching(stream_id) as stream:
        assert not stream.exists
        producer = await home.produce(stream_id, 1, "fresh")
        reading = asyncio.create_task(anext(stream.read(since=1)))
        producer.append("one")
        entry = await asyncio.wait_for(reading, 5)
        assert isinstance(entry, Entry)
        assert entry.event == "one"
