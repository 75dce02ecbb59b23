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


async def test_the_channels_of_ended_logs_are_left(open_texts: OpenHub) -> None:
    async with open_texts() as hub:
        for _ in range(100):
            producer = await hub.produce(uuid.uuid4(), 1, "fresh")
            producer.end("x", COMPLETE)
            assert await producer.flushed(5)
            await asyncio.sleep(0)
        pubsub = hub._news._pubsub
        assert pubsub is not None
        assert len(pubsub.channels) < 100
