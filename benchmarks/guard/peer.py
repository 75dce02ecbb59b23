"""Whoever is at the other end of a path that is measured: rooms, callers and readers, in a process of their own.

Usage: python -m benchmarks.guard.peer; it obeys lines of JSON (`benchmarks.guard.children`).
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.cache.v1 import cache_service_pb2_grpc as cache_rpc

from benchmarks.guard.caches import cache_settings
from benchmarks.guard.calls import open_echo
from benchmarks.guard.children import answer
from benchmarks.guard.readers import Followers, Upstream, open_library, open_upstream, readers
from mesh.config import MeshSettings
from services.cache.__main__ import serving

_SECONDS = 30.0


class Peer:
    """What it is asked for, by name; what is opened stays open.

    Args:
        stack: what is opened.
    """

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._upstream: Upstream | None = None
        self._followers: Followers | None = None
        self._readers: list[Any] = []
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def echo(self, public_key: str) -> str:
        """Opens a server that answers at once; its address."""
        settings = MeshSettings(jwt_public_key_file=Path(public_key))
        return (await self._stack.enter_async_context(open_echo(settings))).address

    async def cache(self, redis_url: str, public_key: str) -> str:
        """Opens a cache service; its address."""
        settings = cache_settings(redis_url, Path(public_key))
        return (await self._stack.enter_async_context(serving(settings))).address

    async def calls(self, address: str, token: str, count: int) -> int:
        """Calls as a room does, one after the other; how many."""
        metadata = _metadata(token)
        stub: Any = cache_rpc.CacheServiceStub(self._channel(address))
        for _ in range(count):
            await stub.GetStats(cache_pb.GetStatsRequest(), metadata=metadata, timeout=_SECONDS)
        return count

    async def lookups(self, address: str, token: str, key: str, count: int) -> int:
        """Looks a value up that is there, one time after the other; how many times."""
        metadata, request = _metadata(token), cache_pb.LookupRequest(key=key, renews=True)
        stub: Any = cache_rpc.CacheServiceStub(self._channel(address))
        for _ in range(count):
            found = await stub.Lookup(request, metadata=metadata, timeout=_SECONDS)
            assert found.HasField("hit")
        return count

    async def library(self, public_key: str) -> str:
        """Opens a library that lets every reply begin; its address."""
        return await self._stack.enter_async_context(open_library(Path(public_key)))

    async def follow(self, address: str, token: str, count: int) -> tuple[int, int]:
        """Asks for so many replies over one relay; how many words and events have come when each has its first."""
        self._followers = Followers(self._channel(address))
        return await self._followers.begin(token, count)

    async def heard(self, words: int) -> int:
        """Waits until so many words have come in all; in how many events."""
        assert self._followers is not None
        return await self._followers.heard(words)

    async def upstream(self, public_key: str) -> str:
        """Opens a generation whose replies go on when told to; its address."""
        self._upstream = Upstream()  # type: ignore[abstract]  # the rest stays unimplemented
        return await self._stack.enter_async_context(open_upstream(Path(public_key), self._upstream))

    async def read(self, address: str, token: str, count: int) -> int:
        """Opens so many streams at a gateway and waits for the first event of each."""
        self._readers = await readers(address, token, count)
        return count

    async def turns(self, count: int, pause: float) -> int:
        """One event on every stream so many times, each when all have had the one before; how many events."""
        assert self._upstream is not None
        for _ in range(count):
            self._upstream.say()
            for reader in self._readers:
                await reader.next()
            await asyncio.sleep(pause)
        return count * len(self._readers)

    def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        return self._channels[address]


def _metadata(token: str) -> list[tuple[str, str]]:
    """What a room's call for a reader bears."""
    return [
        ("authorization", f"Bearer {token}"),
        ("x-request-id", uuid4().hex),
        ("traceparent", f"00-{uuid4().hex}-{uuid4().hex[:16]}-00"),
    ]


def bounded(handler: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A handler that gives up after half a minute."""

    async def call(**arguments: Any) -> Any:
        async with asyncio.timeout(_SECONDS):
            return await handler(**arguments)

    return call


async def main() -> None:
    """Obeys until nobody asks any more."""
    peer = Peer(AsyncExitStack())
    offered = (
        *(peer.echo, peer.calls, peer.cache, peer.lookups),
        *(peer.library, peer.follow, peer.heard, peer.upstream, peer.read, peer.turns),
    )
    await answer({handler.__name__: bounded(handler) for handler in offered})
    os._exit(0)  # nobody is served any more, so nothing is drained


if __name__ == "__main__":
    uvloop.run(main())
