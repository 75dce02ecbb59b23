"""The ways to passages that are compared, each as a function of a query."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any
from uuid import uuid4

import grpc
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from benchmarks.rooms import room
from benchmarks.search.peer import OWN, SHARED, open_peer
from benchmarks.search.queries import Reworded, queries_of
from mesh.client import open_channel
from mesh.config import MeshSettings
from services.search.config import SearchSettings
from services.search.domain.indexes import Indexes
from services.search.domain.searching import Searching
from services.search.models import Novel
from services.search.providers import PROVIDERS
from services.search.providers.pool import open_embedder
from services.search.stores.chroma import open_chroma
from stack.embedded.valkey import open_valkey

SEARCH = pb.DESCRIPTOR.services_by_name["SearchService"]
RESULTS = 10
UNCACHED, REMOTE, NEAR = "asked by nobody before", "cached", "kept near"
PEER_SHARED, PEER_OWN = f"Chroma, {SHARED}", f"Chroma, {OWN}"
INDEX, INSIDE, PEER_INSIDE = "Gaji: three views", "Gaji, with the model", "Chroma, with the model"
_SECONDS = 900.0

Way = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared.

    Attributes:
        queries: that each way is asked.
        given: ways that are given the vector of a query.
        read: ways that have the model read the query first.
        served: ways through the service.
        pids: the processes that a way takes time of, by the names of ``served``; this one for the others.
        passages: of the novel that is searched, and of all.
    """

    queries: Sequence[str]
    given: Mapping[str, Way]
    read: Mapping[str, Way]
    served: Mapping[str, Way]
    pids: Mapping[str, Sequence[int]]
    passages: tuple[int, int]


@asynccontextmanager
async def compared(folder: Path, texts: Sequence[str], queries: int) -> AsyncIterator[Compared]:
    """Ingests novels through the service; then everybody has a copy of the store, and the first novel is searched."""
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(open_valkey(folder / "valkey"))
        cache, cache_pid = await stack.enter_async_context(room("cache", folder, GAJI_REDIS_URL=valkey.url))
        ids = await _ingested(folder / "first", cache, texts)
        for name in ("near", "far", "inside"):
            copytree(folder / "first", folder / name)
        store = await stack.enter_async_context(open_chroma(_settings(folder / "inside")))
        novels = [await store.novel(novel_id) for novel_id in ids]
        contents = {novel.id: await store.contents(novel) for novel in novels if novel is not None}
        novel = novels[0]
        assert novel is not None
        asked = queries_of(contents[novel.id].passages, queries)
        embedder = await stack.enter_async_context(open_embedder(_settings(folder / "inside"), PROVIDERS))
        indexes = Indexes(store, 1 << 30)
        stack.push_async_callback(indexes.close)
        questions = {query: await embedder.ask(novel.embedder, query) for query in asked}
        peer = await stack.enter_async_context(open_peer(folder / "peer", contents))
        searching = Searching(store, embedder, indexes)
        index = await indexes.get(novel)

        async def indexed(query: str) -> object:
            return await indexes.run(lambda: index.search(query, questions[query], RESULTS, None))

        async def read_by_peer(query: str) -> object:
            question = await embedder.ask(novel.embedder, query)
            return await peer.search(novel.id, question.vector, RESULTS, OWN)

        async def inside(query: str) -> object:
            return await searching.search(novel, query, RESULTS, None)

        served, pids = dict[str, Way](), dict[str, Sequence[int]]()
        reworded = Reworded()
        for name, near in (("near", 32 << 20), ("far", 0)):
            where = {"GAJI_CHROMA_PATH": str(folder / name), "GAJI_CACHE_TARGET": cache}
            address, pid = await stack.enter_async_context(
                room("search", folder / name, GAJI_NEAR_CACHE_BYTES=str(near), **where)
            )
            channel = await stack.enter_async_context(open_channel(address, MeshSettings(), [SEARCH]))
            search = _search(channel, novel)
            if near:
                served |= {UNCACHED: lambda query, search=search: search(reworded.form(query))}  # type: ignore[misc]  # mypy infers no default
            served[NEAR if near else REMOTE] = search
            everybody = (os.getpid(), pid, cache_pid)
            pids |= dict.fromkeys((UNCACHED, NEAR) if near else (REMOTE,), everybody)
        yield Compared(
            queries=asked,
            given={
                PEER_SHARED: lambda query: peer.search(novel.id, questions[query].vector, RESULTS, SHARED),
                PEER_OWN: lambda query: peer.search(novel.id, questions[query].vector, RESULTS, OWN),
                INDEX: indexed,
            },
            read={PEER_INSIDE: read_by_peer, INSIDE: inside},
            served=served,
            pids=pids,
            passages=(len(index), sum(len(one.passages) for one in contents.values())),
        )


async def _ingested(chroma: Path, cache: str, texts: Sequence[str]) -> list[str]:
    """The ids of the novels, when the room that has taken them in is gone again."""
    ids = [str(uuid4()) for _ in texts]
    async with (
        room("search", chroma.parent, GAJI_CHROMA_PATH=str(chroma), GAJI_CACHE_TARGET=cache) as (address, _),
        open_channel(address, MeshSettings(), [SEARCH]) as channel,
    ):
        stub = rpc.SearchServiceStub(channel)
        for novel_id, text in zip(ids, texts, strict=True):
            request = pb.IngestNovelRequest(novel_id=novel_id, owner_id=str(uuid4()), public=True, title="A", text=text)
            async for _ in stub.IngestNovel(request, timeout=_SECONDS):
                pass
    return ids


def _search(channel: grpc.aio.Channel, novel: Novel) -> Way:
    stub: Any = rpc.SearchServiceStub(channel)

    async def search(query: str) -> object:
        request = pb.SearchPassagesRequest(novel_id=novel.id, query=query, top_k=RESULTS)
        answer = await stub.SearchPassages(request, timeout=_SECONDS)
        assert len(answer.passages) == RESULTS
        return answer

    return search


def _settings(chroma: Path) -> SearchSettings:
    return SearchSettings(chroma_path=chroma, listen="127.0.0.1:0", admin_listen="127.0.0.1:0")
