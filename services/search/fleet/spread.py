"""The embedder of ingestions: passages are read by workers where the settings say so, and here where no worker does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import numpy as np

from services.search.config import SearchSettings
from services.search.ports import Embedder, Question, Reading, Tokens, Vectors
from services.search.providers.pool import EmbeddingPool, batches_of


class Readers(Protocol):
    """Who else may read passages."""

    def serves(self, model: str) -> bool:
        """Whether they may have the model."""
        ...

    async def read(self, model: str, texts: Sequence[str], dimension: int) -> Reading | None:
        """A batch as they read it; None: it is to be read here."""
        ...


class SpreadEmbedder:
    """An `Embedder` that hands out the passages of a novel, a bounded number of batches at a time.

    Each novel has as many batches out as any other, and queues are served in turn: novels that are taken in together
    advance together. The calls of the model are those that `EmbeddingPool.read` would make, text for text: MiniLM
    rounds by what shares a call, so that others would be other bytes.

    Args:
        pool: reads what the others do not.
        readers: the others.
        size: passages of a batch, more or less.
        in_flight: batches of a novel that are out at once.
    """

    def __init__(self, pool: EmbeddingPool, readers: Readers, size: int, in_flight: int) -> None:
        self._pool = pool
        self._readers = readers
        self._size = size
        self._in_flight = in_flight

    def choose(self, language: str) -> str:
        """The provider for a new novel in a language (a BCP 47 tag)."""
        return self._pool.choose(language)

    async def ask(self, embedder: str, text: str) -> Question:
        """A query as a model reads it: here, since a reader waits."""
        return await self._pool.ask(embedder, text)

    async def read(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Reading:
        """Passages as a model reads them.

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        if not self._readers.serves(embedder):
            return await self._pool.read(embedder, texts, progress)
        call_size, dimension = await self._pool.sizes(embedder)
        batches = batches_of(texts, max(1, self._size // call_size) * call_size)
        vectors: Vectors = np.empty((len(texts), dimension), dtype=np.float32)
        tokens: dict[int, Tokens] = {}
        done = [0] * len(batches)
        numbers = iter(range(len(batches)))

        async def work() -> None:
            for number in numbers:

                def told(count: int, number: int = number) -> None:
                    done[number] = count
                    progress(sum(done))

                batch = batches[number]
                chosen = [texts[at] for at in batch]
                reading = await self._readers.read(embedder, chosen, dimension)
                if reading is None:  # they are in the order in which the pool sorts them, and cut where it cuts
                    reading = await self._pool.read(embedder, chosen, told)
                vectors[batch] = reading.vectors
                if reading.tokens is not None:
                    tokens.update(zip(batch, reading.tokens, strict=True))
                told(len(batch))

        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self._in_flight, len(batches))):
                    lanes.create_task(work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return Reading(vectors, [tokens[at] for at in range(len(texts))] if tokens else None)


@asynccontextmanager
async def open_reader(settings: SearchSettings, pool: EmbeddingPool) -> AsyncIterator[Embedder]:
    """Who reads the passages of new novels, as the settings say.

    Raises:
        ValueError: workers shall, and what is needed for that is not installed.
    """
    if settings.embedding == "local":
        yield pool
        return
    try:
        from services.search.fleet.fleet import open_fleet  # noqa: PLC0415 - needs Celery, which few searches have
    except ImportError as error:
        raise ValueError(f"GAJI_EMBEDDING=workers needs gaji[embedding-workers] ({error})") from error
    async with open_fleet(settings) as fleet:
        yield SpreadEmbedder(pool, fleet, settings.embedding_batch, settings.embedding_in_flight)
