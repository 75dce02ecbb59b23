"""The cache room itself on a real socket and a real Valkey."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import MeshChannel, open_channel
from mesh.errors import MeshError, from_rpc_error
from mesh.server import MeshServer
from services.cache.__main__ import serving
from services.cache.config import CacheSettings


@dataclass(frozen=True)
class Room:
    """A running cache and a stub to call it."""

    server: MeshServer
    settings: CacheSettings
    channel: MeshChannel
    stub: "rpc.CacheServiceAsyncStub"

    async def lookup(self, key: str, wait_ms: int = 0, *, renews: bool = False) -> pb.LookupResponse:
        return await self.stub.Lookup(pb.LookupRequest(key=key, wait_ms=wait_ms, renews=renews))

    async def lease(self, key: str) -> str:
        """Looks up what must be missing; the lease."""
        found = await self.lookup(key)
        assert found.WhichOneof("result") == "lease", found
        return found.lease.lease_id

    async def store(self, key: str, lease_id: str, value: bytes) -> int:
        return (await self.stub.Store(pb.StoreRequest(key=key, lease_id=lease_id, value=value))).ttl_ms

    async def store_absent(self, key: str, lease_id: str) -> int:
        return (await self.stub.Store(pb.StoreRequest(key=key, lease_id=lease_id, absent=True))).ttl_ms

    async def put(self, key: str, value: bytes) -> None:
        await self.store(key, await self.lease(key), value)

    async def release(self, key: str, lease_id: str) -> bool:
        return (await self.stub.Release(pb.ReleaseRequest(key=key, lease_id=lease_id))).released

    async def invalidate(self, *keys: str, prefixes: tuple[str, ...] = ()) -> int:
        return (await self.stub.Invalidate(pb.InvalidateRequest(keys=keys, prefixes=prefixes))).removed

    async def metrics(self) -> str:
        """What the admin port tells a scraper."""
        host, _, port = self.server.admin_address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return (await reader.read()).decode()
        finally:
            writer.close()
            await writer.wait_closed()

    async def stats(self, kind: str) -> pb.KindStats:
        response = await self.stub.GetStats(pb.GetStatsRequest())
        return next(row for row in response.kinds if row.kind == kind)


OpenRoom = Callable[..., AbstractAsyncContextManager[Room]]


@pytest.fixture
def open_room() -> OpenRoom:
    """Opens a replica of the cache on the given store."""

    @asynccontextmanager
    async def opened(redis_url: str, **changes: Any) -> AsyncIterator[Room]:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "redis_url": redis_url,
            "drain_seconds": 1,
            "retries": False,
            "redis_timeout": 5.0,  # a slow machine is not a store that is down
        }
        settings = CacheSettings(**(values | changes))
        async with (
            serving(settings) as server,
            open_channel(server.address, settings, [pb.DESCRIPTOR.services_by_name["CacheService"]]) as channel,
        ):
            await channel.channel_ready()
            yield Room(server, settings, channel, rpc.CacheServiceStub(channel))

    return opened


@pytest.fixture
async def room(open_room: OpenRoom, redis_url: str) -> AsyncIterator[Room]:
    """One replica on an empty store."""
    async with open_room(redis_url) as opened:
        yield opened


async def make_stale(redis_url: str, key: str) -> None:
    """Leaves a stored value less than its last fifth to live, as if most of its time had passed."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        (name,) = await client.keys(f"gaji:cache:*:entry:{key}")
        assert await client.pexpire(name, 40_000)


def novel_key() -> str:
    return f"novel:{uuid.uuid4()}"


def passages_key(novel_id: str, top_k: int = 10) -> str:
    return f"passages:{novel_id}:{uuid.uuid4().hex}:{top_k}"


async def refusal(call: Any) -> MeshError:
    """The error of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)
