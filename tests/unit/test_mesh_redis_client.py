"""What the client of Redis says of a connection that was just lost."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError
from redis.exceptions import TimeoutError as RedisTimeoutError

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


async def test_a_server_that_takes_nothing_holds_nobody_up() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a server does whose event loop hangs
        await over.wait()
        writer.close()

    over = asyncio.Event()
    async with await asyncio.start_server(never, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_redis(f"redis://127.0.0.1:{port}/0", timeout=0.1, connections=1, name="test") as redis:
            connection = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # it has no types
            connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(RedisTimeoutError):
                await connection.send_packed_command([bytes(50_000_000)], check_health=False)
            assert not connection.is_connected
            assert connection.socket_timeout == 0.1
        over.set()


async def test_what_redis_py_can_pack_arrives(redis_url: str) -> None:
    key = f"test:{uuid4().hex}"
    async with open_redis(redis_url, timeout=5, connections=1, name="test") as redis:
        values: list[Any] = ["é", b"\x00\r\n", bytearray(b"array"), memoryview(b"view"), 7, 0.1]
        await redis.rpush(key, *values)
        await redis.expire(key, 60)
        assert await redis.lrange(key, 0, -1) == ["é".encode(), b"\x00\r\n", b"array", b"view", b"7", b"0.1"]
        assert await redis.config_get("maxmemory-policy"), "a command of two words"
        with pytest.raises(DataError):
            await redis.rpush(key, None)  # type: ignore[arg-type]  # what is refused
        async with redis.pipeline(transaction=False) as pipe:
            pipe.lindex(key, 0)
            pipe.llen(key)
            assert await pipe.execute() == ["é".encode(), len(values)]
