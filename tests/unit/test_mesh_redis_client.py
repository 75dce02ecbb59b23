"""What the client of Redis says of a connection that was just lost."""

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from mesh.redis_client import open_redis


async def _say_on_a_lost_connection() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_redis(f"redis://127.0.0.1:{port}/0", timeout=1, connections=1, name="test") as redis:
            connection = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # it has no types
            connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
            connection._writer.transport.abort()
            await asyncio.sleep(0.01)  # uvloop has closed it, redis-py has not heard of it
            await connection.send_packed_command([b"PING\r\n"], check_health=False)


def test_a_connection_that_uvloop_has_closed_is_lost_and_no_mistake_of_ours() -> None:
    with pytest.raises(RedisConnectionError):
        uvloop.run(_say_on_a_lost_connection())
