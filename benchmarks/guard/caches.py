"""Cache hits: out of this process, and over gRPC at each of the two ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from gaji.cache.v1 import cache_service_pb2 as pb

from benchmarks.guard.calls import handled
from benchmarks.guard.paths import Round, Site
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.near import NearCache
from mesh.read_through import ReadThrough, always
from services.cache.__main__ import serving
from services.cache.config import CacheSettings
from services.search.clients import Answers, open_answers

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
VALUE = b"It is a truth universally acknowledged, " * 200
"""8 KB, as ten passages are."""


def new_key() -> str:
    """A key of passages."""
    return f"passages:{uuid4()}:{uuid4().hex}:10"


def cache_settings(redis_url: str, public_key: Path) -> CacheSettings:
    """Those of a cache service, on free ports."""
    return CacheSettings(
        listen="127.0.0.1:0", admin_listen="127.0.0.1:0", redis_url=redis_url, jwt_public_key_file=public_key
    )


@asynccontextmanager
async def near(site: Site) -> AsyncIterator[Round]:
    """The process has the value."""
    kept, key, count = NearCache(1_000_000), new_key(), site.some(2_000, 100)
    kept.covered(time.monotonic() + 3600)
    ticket = kept.begin(key)
    kept.keep(ticket, VALUE, 3600)
    kept.end(ticket)
    nobody: Any = None  # whoever has the value asks nobody
    through = ReadThrough(nobody, near=kept)

    async def run() -> int:
        for _ in range(count):
            await through.get(key, _unwanted, always)
        return count

    yield run


@asynccontextmanager
async def reader(site: Site) -> AsyncIterator[Round]:
    """The reader's end of a hit in the cache service."""
    address = await site.peer.ask("cache", redis_url=site.redis_url, public_key=str(site.public_key))
    key, count = new_key(), site.some(20, 4)
    async with open_channel(address, MeshSettings(), [CACHE]) as channel, open_answers(channel, 5, 0) as through:
        while not await _there(through, key):  # noqa: ASYNC110 - the service is only about to serve, of which none tells
            await asyncio.sleep(0.05)

        async def work() -> None:
            for _ in range(count):
                await through.get(key, _unwanted)

        async def run() -> int:
            await handled(site, work)
            return count

        yield run


@asynccontextmanager
async def service(site: Site) -> AsyncIterator[Round]:
    """The service's end of it, with its store."""
    settings = cache_settings(site.redis_url, site.public_key)
    key, count = new_key(), site.some(20, 4)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(settings))
        channel = await stack.enter_async_context(open_channel(server.address, MeshSettings(), [CACHE]))
        through = await stack.enter_async_context(open_answers(channel, 5, 0))
        while not await _there(through, key):  # noqa: ASYNC110 - the service is only about to serve, of which none tells
            await asyncio.sleep(0.05)

        async def run() -> int:
            return int(await site.peer.ask("lookups", address=server.address, token=site.token, key=key, count=count))

        yield run


async def _there(through: Answers, key: str) -> bool:
    """Whether the cache had the value; if not, it has it now unless it is only about to serve."""
    computed = False

    async def compute() -> bytes:
        nonlocal computed
        computed = True
        return VALUE

    await through.get(key, compute)
    return not computed


async def _unwanted() -> bytes:
    raise AssertionError("the value is there")
