"""The ways to a cached value, on a Valkey and a cache service that are processes of their own."""

import asyncio
import os
import random
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb

from benchmarks.rooms import room
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from mesh.near import NearCache, following_news
from mesh.read_through import CacheHit, ReadThrough, always
from services.peers.cache import CacheClient
from stack.embedded.valkey import prepare_valkey
from stack.logs import LogFile
from stack.ports import Ports
from stack.processes import running

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
SIZES = {"a character, 1.5 KB": 1_500, "10 passages, 8 KB": 8_000, "50 passages, 40 KB": 40_000}
GET, BLOCKING, CASHEWS, AIOCACHE = "redis.asyncio GET", "redis-py GET, blocking", "cashews", "aiocache"
NEAR, READ = "near", "read through, over gRPC"
LOOKUP, CALL = "lookup over gRPC", "lookup by a call of its own"
AT_ONCE = 64

Way = Callable[[int], Awaitable[object]]
"""Gets the value of the key of a number, 0 to `AT_ONCE` - 1."""


@dataclass(frozen=True, slots=True)
class House:
    """What is there to be measured.

    Attributes:
        every: the ways by size and name.
        channel: to the cache service.
        pids: this process and the cache service.
        valkey: the process of the store.
    """

    every: Mapping[str, dict[str, Way]]
    channel: MeshChannel
    pids: tuple[int, int]
    valkey: int

    def ways(self, size: str) -> dict[str, Way]:
        """Those of values of a size."""
        return self.every[size]


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Starts everything, with all values in place."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gaji-bench-")))
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - in a coroutine; the store runs as a user of its own where this one is root
        valkey = prepare_valkey(
            folder / "valkey",
            port=Ports().free(),
            secrets_dir=folder / "secrets",
            log=LogFile(folder / "valkey.log"),
        )
        store = await stack.enter_async_context(running(valkey.program))
        address, pid = await stack.enter_async_context(room("cache", folder, GAJI_REDIS_URL=valkey.url))
        direct = await stack.enter_async_context(redis.asyncio.Redis.from_url(valkey.url, protocol=3))
        blocking = stack.enter_context(redis.Redis.from_url(valkey.url, protocol=3))
        channel = await stack.enter_async_context(open_channel(address, MeshSettings(), [CACHE]))
        client, near = CacheClient(channel), NearCache(64_000_000)
        stack.push_async_callback(client.close)
        await stack.enter_async_context(following_news(near, client.watch))
        peers = await _peers(stack, valkey.url)
        every: dict[str, dict[str, Way]] = {}
        for name, size in SIZES.items():
            keys = [f"passages:{uuid.uuid4()}:{uuid.uuid4().hex}:10" for _ in range(AT_ONCE)]
            values = [text(size, number) for number in range(AT_ONCE)]
            every[name] = await _ways(keys, values, direct, blocking, client=client, near=near)
            for peer, (put, take) in peers.items():
                for key, value in zip(keys, values, strict=True):
                    await put(key, value)
                every[name][peer] = _by_key(take, keys)
                assert await every[name][peer](1) == values[1]
        yield House(every, channel, (os.getpid(), pid), store.pid)


async def _ways(
    keys: list[str],
    values: list[bytes],
    direct: redis.asyncio.Redis,
    blocking: redis.Redis,
    *,
    client: CacheClient,
    near: NearCache,
) -> dict[str, Way]:
    through, plain = ReadThrough(client, near=near, patience=5), ReadThrough(client, patience=5)
    for key, value in zip(keys, values, strict=True):
        await direct.set(key, value)
        while near.get(key) is None:  # until the news is followed
            await through.get(key, _computing(value), always)
            await asyncio.sleep(0.001)

    async def get(number: int) -> object:
        return blocking.get(keys[number])

    async def alone(number: int) -> object:
        found = await client.lookup(keys[number], 1, 5)  # one that may wait is a call of its own
        assert isinstance(found, CacheHit)
        return found.value

    async def looked_up(number: int) -> object:
        found = await client.lookup(keys[number], 0, 5)
        assert isinstance(found, CacheHit)
        return found.value

    return {
        GET: _by_key(direct.get, keys),
        BLOCKING: get,
        NEAR: lambda number: through.get(keys[number], _unwanted, always),
        READ: lambda number: plain.get(keys[number], _unwanted),
        LOOKUP: looked_up,
        CALL: alone,
    }


Put = Callable[[str, bytes], Awaitable[object]]
Take = Callable[[str], Awaitable[object]]


async def _peers(stack: AsyncExitStack, url: str) -> dict[str, tuple[Put, Take]]:
    """Cache libraries on the same store, each as its documentation has it used, with bytes kept as bytes."""
    import aiocache  # noqa: PLC0415 - only the benchmark extra has it
    import aiocache.serializers  # noqa: PLC0415 - likewise
    import cashews  # noqa: PLC0415 - likewise

    one = cashews.Cache()
    one.setup(url, pickle_type="null", digestmod=None)
    stack.push_async_callback(one.close)
    other = aiocache.Cache(
        aiocache.Cache.REDIS, serializer=aiocache.serializers.NullSerializer(encoding=None), namespace="aiocache"
    )
    other.client = redis.asyncio.Redis.from_url(url, protocol=3)  # it takes no name of a user itself
    stack.push_async_callback(other.close)
    return {CASHEWS: (lambda key, value: one.set(f"cashews:{key}", value), lambda key: one.get(f"cashews:{key}"))} | {
        AIOCACHE: (other.set, other.get)
    }


def _by_key(take: Callable[[str], Awaitable[object]], keys: list[str]) -> Way:
    return lambda number: take(keys[number])


def text(size: int, number: int = 0) -> bytes:
    """Something like a novel's words, of so many bytes."""
    draw = random.Random(size + number)  # noqa: S311 - no secret
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(500)]
    return " ".join(draw.choices(words, k=size // 4)).encode()[:size]


def _computing(value: bytes) -> Callable[[], Awaitable[bytes]]:
    async def compute() -> bytes:
        return value

    return compute


async def _unwanted() -> bytes:
    raise AssertionError("the value is there")
