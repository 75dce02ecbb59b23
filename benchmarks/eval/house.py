"""The search room on a socket, with a store of its own, the cache room and Valkey."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from benchmarks.tokens import key_pair
from mesh.client import open_channel
from services.cache.__main__ import serving as serving_cache
from services.cache.config import CacheSettings
from services.search.__main__ import SEARCH, serving
from services.search.config import SearchSettings
from stack.embedded.valkey import open_valkey

DEADLINE = 900.0


@dataclass(frozen=True, slots=True)
class Room:
    """A search room that runs.

    Attributes:
        stub: calls it.
        settings: it was started with.
    """

    stub: Any
    settings: SearchSettings

    async def ingest(self, text: str) -> tuple[str, float]:
        """Ingests a public novel; its id, and the seconds that it took."""
        novel_id, began = str(uuid4()), time.perf_counter()
        request = pb.IngestNovelRequest(novel_id=novel_id, owner_id=str(uuid4()), public=True, title="A", text=text)
        async for _ in self.stub.IngestNovel(request, timeout=DEADLINE):
            pass
        return novel_id, time.perf_counter() - began

    async def search(self, novel_id: str, query: str, top_k: int = 10) -> tuple[list[pb.Passage], float]:
        """Searches; the passages, and the seconds that it took."""
        request = pb.SearchPassagesRequest(novel_id=novel_id, query=query, top_k=top_k)
        began = time.perf_counter()
        answer = await self.stub.SearchPassages(request, timeout=DEADLINE)
        return list(answer.passages), time.perf_counter() - began


@asynccontextmanager
async def search_room(folder: Path) -> AsyncIterator[Room]:
    """A search room and the cache that it uses, on free ports, until the block is left."""
    _, public = key_pair(folder)
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(open_valkey(folder / "valkey"))
        cache = CacheSettings(
            listen="127.0.0.1:0", admin_listen="127.0.0.1:0", redis_url=valkey.url, jwt_public_key_file=public
        )
        server = await stack.enter_async_context(serving_cache(cache))
        settings = SearchSettings(
            listen="127.0.0.1:0",
            admin_listen="127.0.0.1:0",
            cache_target=server.address,
            chroma_path=folder / "chroma",
            search_model=None,  # what it adds is measured apart
            jwt_public_key_file=public,
            drain_seconds=0.5,
        )
        room = await stack.enter_async_context(serving(settings))
        channel = await stack.enter_async_context(open_channel(room.address, settings, [SEARCH]))
        yield Room(rpc.SearchServiceStub(channel), settings)
