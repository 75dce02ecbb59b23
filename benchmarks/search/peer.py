"""Chroma as one would use it without us: the same passages, the same vectors, two ways of laying them out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from services.search.ports import Contents, Vectors

SHARED, OWN = "all novels in one collection", "a collection for each novel"
_THREADS = 4
_BATCH = 1_000


class Peer:
    """Collections with the passages of novels. Calls run in threads, in which Chroma lets go of the interpreter."""

    def __init__(self, folder: Path) -> None:
        self._client: Any = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
        self._threads = ThreadPoolExecutor(_THREADS, "peer")
        self._own: dict[str, Any] = {}
        self._shared = self._collection("passages")

    def add(self, novels: Mapping[str, Contents]) -> None:
        """Adds novels, by id: texts, vectors, and where each passage stands."""
        for novel_id, contents in novels.items():
            self._own[novel_id] = self._collection(f"novel-{novel_id}")
            rows: dict[str, Any] = {
                "ids": [passage.id for passage in contents.passages],
                "embeddings": contents.reading.vectors,
                "documents": [passage.content for passage in contents.passages],
                "metadatas": [
                    {"novel": novel_id, "chapter": one.chapter, "title": one.chapter_title, "position": one.position}
                    for one in contents.passages
                ],
            }
            for collection in (self._shared, self._own[novel_id]):
                for start in range(0, len(contents.passages), _BATCH):
                    collection.add(**{name: column[start : start + _BATCH] for name, column in rows.items()})

    async def search(self, novel_id: str, vector: Vectors, count: int, layout: str) -> Any:
        """The passages of a novel whose vectors are nearest to one, with texts, places and distances."""
        if layout == SHARED:
            asked = partial(self._shared.query, where={"novel": novel_id})
        else:
            asked = self._own[novel_id].query
        include = ["documents", "metadatas", "distances"]
        query = partial(asked, query_embeddings=[vector], n_results=count, include=include)
        return await asyncio.get_running_loop().run_in_executor(self._threads, query)

    def close(self) -> None:
        """Closes its files."""
        self._threads.shutdown()
        self._client.close()

    def _collection(self, name: str) -> Any:
        configuration: Any = {"hnsw": {"space": "cosine"}}
        return self._client.get_or_create_collection(name, embedding_function=None, configuration=configuration)


@asynccontextmanager
async def open_peer(folder: Path, novels: Mapping[str, Contents]) -> AsyncIterator[Peer]:
    """A Chroma in a folder of its own with these novels."""
    peer = await asyncio.to_thread(Peer, folder)
    try:
        await asyncio.to_thread(peer.add, novels)
        yield peer
    finally:
        await asyncio.to_thread(peer.close)
