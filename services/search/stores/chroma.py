"""Novels in ChromaDB: the only module that imports it.

Four collections: ``novel_passages`` and ``characters`` hold rows with vectors, ``novels`` one record a novel, and
``character_edits`` what a novel's owner has changed, whatever its generation. All novels share them. A collection per
novel would answer faster (1.6 ms against 10 ms without a spoiler limit, 8 ms against 10 to 23 ms with one, 30,000
passages stored), but costs files and memory for each novel.
Within the shared collection one condition on one key is twice as fast as two joined by ``$and``; so rows carry their
novel, generation and chapter together in ``place``, and a spoiler limit is a list of places.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from itertools import repeat
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
from chromadb.api.client import Client
from chromadb.config import Settings
from chromadb.errors import ChromaError

from mesh.errors import Unavailable
from mesh.telemetry.db_metrics import timed
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans.stores import CHROMA, asked
from services.search.config import SearchSettings
from services.search.models import Character, Edits, Novel, Passage, Place
from services.search.ports import Contents, Reading, Vectors
from services.search.stores import rows
from services.search.stores.records import Records

PASSAGES, CHARACTERS, NOVELS, EDITS = "novel_passages", "characters", "novels", "character_edits"
READERS = 4
MAX_BATCH = 5_000
"""Rows in one call; Chroma takes 5,461."""
SERVER_SECONDS = 30.0
"""The longest wait for a Chroma server."""

_NO_VECTOR = np.ones(1, dtype=np.float32)  # Chroma has no rows without a vector

T = TypeVar("T")
Where = Mapping[str, Any]

log = get_logger(__name__)


class ChromaStore:
    """A `NovelStore`. Calls run in threads: reads in a few, writes in one, so that they happen in the order asked."""

    def __init__(self, client: Client, *, alone: bool = False) -> None:
        """As the only process that writes there, if ``alone``."""
        self._client = client
        self._records = Records() if alone else None
        self._sessions = _sessions(client)
        for session in self._sessions:
            session.timeout = httpx.Timeout(SERVER_SECONDS)
        self._passages = _collection(client, PASSAGES)
        self._characters = _collection(client, CHARACTERS)
        self._novels = _collection(client, NOVELS)
        self._edits = _collection(client, EDITS)
        self._readers = ThreadPoolExecutor(READERS, "chroma-read")
        self._writer = ThreadPoolExecutor(1, "chroma-write")

    def close(self) -> None:
        """Waits for the calls under way, drops those not yet begun, and closes files and connections."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self._client.close()
        for session in self._sessions:
            session.close()

    async def novel(self, novel_id: str) -> Novel | None:
        """The record of a novel."""

        async def read() -> Novel | None:
            return await self._read("novel", lambda: self._novel(novel_id))

        return await (read() if self._records is None else self._records.get(novel_id, read))

    async def put_novel(self, novel: Novel) -> None:
        """Writes or replaces the record of a novel."""

        def put() -> None:
            with self._writing(novel.id):
                self._novels.upsert(ids=[novel.id], embeddings=[_NO_VECTOR], metadatas=[rows.novel_row(novel)])

        await self._write("put_novel", put)

    async def remove_novel(self, novel_id: str) -> None:
        """Removes a novel's record."""

        def remove() -> None:
            with self._writing(novel_id):
                _delete(self._novels, [novel_id])
            _delete(self._edits, [novel_id])

        await self._write("remove_novel", remove)

    async def add_passages(self, novel_id: str, generation: int, passages: Sequence[Passage], reading: Reading) -> None:
        """Adds passages to a generation, at most `MAX_BATCH` at once."""
        await self._write(
            "add_passages",
            lambda: self._passages.add(
                ids=[rows.row_id(generation, passage.id) for passage in passages],
                embeddings=reading.vectors,
                documents=[passage.content for passage in passages],
                metadatas=[
                    rows.passage_row(novel_id, generation, passage, tokens)
                    for passage, tokens in zip(passages, reading.tokens or repeat(None), strict=False)
                ],
            ),
        )

    async def add_characters(
        self, novel_id: str, generation: int, characters: Sequence[Character], vectors: Vectors
    ) -> None:
        """Adds characters to a generation, at most `MAX_BATCH` at once, most important first."""
        await self._write(
            "add_characters",
            lambda: self._characters.add(
                ids=[rows.row_id(generation, character.id) for character in characters],
                embeddings=vectors,
                documents=[character.description for character in characters],
                metadatas=[
                    rows.character_row(novel_id, generation, rank, character)
                    for rank, character in enumerate(characters)
                ],
            ),
        )

    async def drop_generation(self, novel_id: str, generation: int) -> None:
        """Removes the rows of a generation."""
        await self._drop({"index": rows.index_of(novel_id, generation)})

    async def drop_before(self, novel_id: str, generation: int) -> None:
        """Removes the rows of all earlier generations."""
        await self._drop({"$and": [{"novel_id": novel_id}, {"generation": {"$lt": generation}}]})

    async def drop_rows(self, novel_id: str) -> None:
        """Removes the rows of all generations."""
        await self._drop({"novel_id": novel_id})

    async def contents(self, novel: Novel) -> Contents:
        """All passages of a novel's generation, in the order of the novel."""

        def get() -> Contents:
            result = self._passages.get(
                where={"index": rows.index_of(novel.id, novel.generation)},
                include=["documents", "metadatas", "embeddings"],
            )
            return rows.contents_of(result["documents"], result["metadatas"], result["embeddings"])

        return await self._read("contents", get)

    async def passages(self, novel: Novel, ids: Sequence[str], until_chapter: int | None) -> dict[str, Passage]:
        """Passages by id, among the chapters up to a limit."""

        def get() -> dict[str, Passage]:
            result = self._passages.get(
                ids=[rows.row_id(novel.generation, passage_id) for passage_id in ids],
                where=_up_to(novel, until_chapter),
                include=["documents", "metadatas"],
            )
            found = map(rows.passage_of, result["documents"], result["metadatas"])
            return {passage.id: passage for passage in found}

        return await self._read("passages", get)

    async def stretch(self, novel: Novel, first: int, last: int) -> list[Passage]:
        """The passages from one position to another, both included, in the novel's order."""
        here = {"index": rows.index_of(novel.id, novel.generation)}
        return await self._in_order({"$and": [here, {"position": {"$gte": first}}, {"position": {"$lte": last}}]})

    async def passages_up_to(self, novel: Novel, until_chapter: int) -> list[Passage]:
        """All passages of the chapters up to a limit, in the novel's order."""
        return await self._in_order(_up_to(novel, until_chapter))

    async def places(self, novel: Novel) -> list[Place]:
        """Where the passages of a novel's generation stand, in its order, without their texts and vectors."""

        def get() -> list[Place]:
            result = self._passages.get(
                where={"index": rows.index_of(novel.id, novel.generation)}, include=["metadatas"]
            )
            return sorted(map(rows.place, result["metadatas"]), key=lambda place: place.position)

        return await self._read("places", get)

    async def characters(self, novel: Novel, start: int, count: int) -> list[Character]:
        """Characters from a rank on, most important first."""

        def get() -> list[Character]:
            ranked = {"rank": {"$gte": start}}, {"rank": {"$lt": start + count}}
            where = {"$and": [{"index": rows.index_of(novel.id, novel.generation)}, *ranked]}
            result = self._characters.get(where=where, include=["documents", "metadatas"])
            found = sorted(zip(result["metadatas"], result["documents"], strict=True), key=lambda one: one[0]["rank"])
            return [rows.character_of(document, row) for row, document in found]

        return await self._read("characters", get)

    async def character(self, character_id: str) -> tuple[Novel, Character] | None:
        """A character of a novel's current generation."""

        def get() -> tuple[Novel, Character] | None:
            result = self._characters.get(where={"character_id": character_id}, include=["documents", "metadatas"])
            for row, document in zip(result["metadatas"], result["documents"], strict=True):
                novel = self._novel(row["novel_id"])
                if novel is not None and novel.generation == row["generation"]:
                    return novel, rows.character_of(document, row)
            return None

        return await self._read("character", get)

    async def edits(self, novel_id: str) -> Edits:
        """What a novel's owner has changed about its characters."""

        def get() -> Edits:
            found = self._edits.get(ids=[novel_id], include=["documents", "metadatas"])
            return rows.edits_of(found["documents"][0], found["metadatas"][0]) if found["ids"] else Edits()

        return await self._read("edits", get)

    async def put_edits(self, novel_id: str, edits: Edits) -> None:
        """Replaces that, unless what is there is as new."""

        def put() -> None:
            found = self._edits.get(ids=[novel_id], include=["metadatas"])["metadatas"]
            if not found or found[0]["revision"] < edits.revision:
                self._edits.upsert(
                    ids=[novel_id],
                    embeddings=[_NO_VECTOR],
                    documents=[rows.edits_document(edits)],
                    metadatas=[{"revision": edits.revision}],
                )

        await self._write("put_edits", put)

    async def count(self, novel_id: str) -> int:
        """Rows of a novel in all generations: more than its record says is what a killed process left behind."""

        def get() -> int:
            where = {"novel_id": novel_id}
            return sum(len(kept.get(where=where, include=[])["ids"]) for kept in (self._passages, self._characters))

        return await self._read("count", get)

    async def _in_order(self, where: Where) -> list[Passage]:
        def get() -> list[Passage]:
            result = self._passages.get(where=where, include=["documents", "metadatas"])
            found = map(rows.passage_of, result["documents"], result["metadatas"])
            return sorted(found, key=lambda passage: passage.position)

        return await self._read("passages", get)

    def _writing(self, novel_id: str) -> AbstractContextManager[None]:
        return nullcontext() if self._records is None else self._records.writing(novel_id)

    def _novel(self, novel_id: str) -> Novel | None:
        found = self._novels.get(ids=[novel_id], include=["metadatas"])["metadatas"]
        return rows.novel_of(novel_id, found[0]) if found else None

    async def _drop(self, where: Where) -> None:
        def drop() -> None:
            for collection in (self._passages, self._characters):
                while ids := collection.get(where=where, limit=MAX_BATCH, include=[])["ids"]:
                    collection.delete(ids=ids)

        await self._write("drop", drop)

    async def _read(self, operation: str, call: Callable[[], T]) -> T:
        with asked(CHROMA, operation):
            return await asyncio.get_running_loop().run_in_executor(self._readers, _guarded, operation, call)

    async def _write(self, operation: str, call: Callable[[], T]) -> T:
        with asked(CHROMA, operation):
            return await asyncio.get_running_loop().run_in_executor(self._writer, _guarded, operation, call)


def _up_to(novel: Novel, until_chapter: int | None) -> Where:
    """The condition that lets through the novel's chapters up to a limit, and nothing else."""
    if until_chapter is None or until_chapter >= novel.chapters:
        return {"index": rows.index_of(novel.id, novel.generation)}
    places = [rows.place_of(novel.id, novel.generation, chapter) for chapter in range(until_chapter + 1)]
    return {"place": {"$in": places}}


def _sessions(client: Client) -> list[httpx.Client]:
    """The HTTP connections of a client of a server, which Chroma itself neither limits in time nor closes."""
    admin: Any = client._admin_client
    servers = (client._server, admin._server)
    return [server._session for server in servers if hasattr(server, "_session")]


def _collection(client: Client, name: str) -> Any:
    """A collection for vectors of our own; of type Any because Chroma types all that it takes and gives as unions."""
    configuration: Any = {"hnsw": {"space": "cosine"}}
    return client.get_or_create_collection(name, embedding_function=None, configuration=configuration)


def _delete(collection: Any, ids: list[str]) -> None:
    """Deletes what there is of the rows: the store warns of ids that it does not know."""
    found = collection.get(ids=ids, include=[])["ids"]
    if found:
        collection.delete(ids=found)


def _guarded(operation: str, call: Callable[[], T]) -> T:
    with _translated(operation), timed("chroma", operation):
        return call()


@contextmanager
def _translated(operation: str) -> Iterator[None]:
    try:
        yield
    except (ChromaError, httpx.HTTPError, OSError) as error:
        log.warning("the vector store failed", extra={"operation": operation, "error": repr(error)})
        raise Unavailable("the vector store does not answer; try again", reason="STORE_UNAVAILABLE") from error


@asynccontextmanager
async def open_chroma(settings: SearchSettings) -> AsyncIterator[ChromaStore]:
    """The store of the settings: a Chroma server, or a folder of this machine.

    A folder is for one process alone; replicas need a server.

    Raises:
        OSError: the server does not answer, or the folder cannot be used.
    """
    store = await asyncio.to_thread(_opened, settings)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


def _opened(settings: SearchSettings) -> ChromaStore:
    quiet = Settings(anonymized_telemetry=False)
    try:
        if not settings.chroma_url:
            settings.chroma_path.mkdir(parents=True, exist_ok=True)
            client = chromadb.PersistentClient(settings.chroma_path, settings=quiet)
            return ChromaStore(cast(Client, client), alone=True)
        url = urlsplit(settings.chroma_url)
        ssl = url.scheme == "https"
        port = url.port or (443 if ssl else 8000)
        return ChromaStore(cast(Client, chromadb.HttpClient(url.hostname or "", port, ssl=ssl, settings=quiet)))
    except (ChromaError, ValueError, httpx.HTTPError) as error:
        where = settings.chroma_url or settings.chroma_path
        raise OSError(f"cannot open the vector store at {where}: {error}") from error
