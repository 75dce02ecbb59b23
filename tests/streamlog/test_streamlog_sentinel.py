"""A log in a server that sentinels replace while a reply is written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mesh.redis_client import open_redis
from mesh.streamlog import COMPLETE, Hub
from tests.fixtures.sentinels import SERVICE, WatchedServers, open_watched
from tests.fixtures.servers import temporary_folder
from tests.streamlog.conftest import OpenHub

ENTRIES = 60
_AFTER = 40  # entries are written once another server is master


@pytest.fixture
async def servers() -> AsyncIterator[WatchedServers]:
    with temporary_folder() as folder:
        async with open_watched(Path(folder)) as watched:
            yield watched


async def read_all(hub: Hub[str], stream_id: UUID) -> list[str]:
    async with hub.watching(stream_id) as stream:
        return [item.event async for item in stream.read()]  # type: ignore[union-attr]  # a lapse fails the test


async def answering(client: Redis) -> int:
    """The port of the server that a client's commands go to; 0: none answers."""
    try:
        return int((await client.info("server"))["tcp_port"])
    except (RedisError, OSError, TimeoutError):
        return 0


async def test_a_reply_goes_on_word_by_word_when_its_server_is_replaced(
    servers: WatchedServers, open_texts: OpenHub, stream_id: UUID
) -> None:
    url = servers.url
    async with (
        open_texts(redis_url=url, timeout=1.0) as writer,
        open_texts(redis_url=url, timeout=1.0) as reader,
        open_redis(url, timeout=1.0, connections=2, name="test") as client,
    ):
        producer = await writer.produce(stream_id, 1, "fresh")
        producer.append("e0")
        assert await producer.flushed(10)
        reading = asyncio.create_task(read_all(reader, stream_id))
        for n in range(1, ENTRIES):
            if n == ENTRIES - _AFTER:
                assert await answering(client) == servers.ports[0]
                await servers.master.stop(0)  # killed
            producer.append(f"e{n}")
            await asyncio.sleep(0.02)
        assert await producer.flushed(30)
        producer.end("end", COMPLETE)
        async with asyncio.timeout(30):
            assert await reading == [*(f"e{n}" for n in range(ENTRIES)), "end"]
            assert await producer.flushed(10)
        # What is read now is the other server's.
        async with asyncio.timeout(10):
            while await answering(client) != servers.ports[1]:
                await asyncio.sleep(0.05)
        state = await reader.state(stream_id)
        assert state is not None
        assert (state.epoch, state.sequence, state.end) == (1, ENTRIES + 1, COMPLETE)


async def test_a_service_that_no_sentinel_watches_has_no_master(servers: WatchedServers) -> None:
    wrong = servers.url.replace(f"/{SERVICE}/", "/nobody/")
    async with open_redis(wrong, timeout=1.0, connections=2, name="test") as client:
        with pytest.raises(RedisConnectionError, match="no sentinel names a master of nobody"):
            await client.ping()


async def test_one_sentinel_is_enough_to_find_the_master(servers: WatchedServers) -> None:
    gone = servers.url
    for port in servers.sentinels[1:]:
        gone = gone.replace(f":{port}", ":1")
    async with open_redis(gone, timeout=1.0, connections=2, name="test") as client:
        assert (await client.info("replication"))["role"] == "master"


async def test_many_connections_are_made_at_once(servers: WatchedServers) -> None:
    async with open_redis(servers.url, timeout=5.0, connections=20, name="test") as client:
        waiting = (client.blpop([f"nothing-{number}"], timeout=1) for number in range(20))  # each holds a connection
        assert await asyncio.gather(*waiting) == [None] * 20
