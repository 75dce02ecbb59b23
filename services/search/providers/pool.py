"""Runs embedding providers off the event loop, queries beside passages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from functools import partial
from typing import TypeVar

import numpy as np

from mesh import memory
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans.models import embeddings
from services.search.config import SearchSettings
from services.search.domain.languages import primary
from services.search.metrics import EMBEDDING_SECONDS
from services.search.ports import (
    EmbeddingProvider,
    Question,
    Reading,
    RestingProvider,
    TokenProvider,
    Tokens,
    Vectors,
)

log = get_logger(__name__)
QUERY_THREADS = 2
REST_SECONDS = 10.0
"""After so long without passages, memory that reading them took is given back."""
_RESTING_SECONDS = 10.0

T = TypeVar("T")


class EmbeddingPool:
    """An `Embedder` with two lanes.

    Passages take turns in as many threads as a model may use, in small batches, so that novels ingested together
    advance together. Queries have threads of their own and never wait for passages.

    A call that is cancelled before its turn is not made; the result of one that is under way is dropped.
    """

    def __init__(
        self, settings: SearchSettings, providers: Mapping[str, Callable[[SearchSettings], EmbeddingProvider]]
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._loading: dict[str, asyncio.Task[EmbeddingProvider]] = {}
        # Their queues: an ingestion has as many batches in turn as its model has lanes, a query waits within its call.
        self._passages = ThreadPoolExecutor(settings.embed_threads, "embed-passages")
        self._queries = ThreadPoolExecutor(QUERY_THREADS, "embed-query")
        self._reads = 0
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._closed = False

    def choose(self, language: str) -> str:
        """The provider that the setting names; unset: ``minilm`` for English, ``e5`` for anything else."""
        if self._settings.embedder is not None:
            return self._settings.embedder
        return "minilm" if primary(language) == "en" else "e5"

    async def passages(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Vectors:
        """Vectors of passages, of shape (texts, dimension)."""
        return (await self.read(embedder, texts, progress)).vectors

    async def query(self, embedder: str, text: str) -> Vectors:
        """The vector of a query, of shape (dimension,)."""
        return (await self.ask(embedder, text)).vector

    async def read(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Reading:
        """Passages as a model reads them."""
        with self._reading():
            return await self._read(embedder, texts, progress)

    async def _read(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Reading:
        provider = await self._loaded(embedder)
        batches = iter(batches_of(texts, provider.batch_size))
        vectors: Vectors = np.empty((len(texts), provider.dimension), dtype=np.float32)
        tokens: dict[int, Tokens] = {}
        done = 0

        async def work() -> None:
            nonlocal done
            for batch in batches:
                chosen = [texts[at] for at in batch]
                if isinstance(provider, TokenProvider):
                    call = partial(provider.read_passages, chosen)
                    vectors[batch], told = await self._run(self._passages, embedder, "passages", call)
                    tokens.update(zip(batch, told, strict=True))
                else:
                    vectors[batch] = await self._run(
                        self._passages, embedder, "passages", partial(provider.embed_passages, chosen)
                    )
                done += len(batch)
                progress(done)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(provider.parallel):
                    workers.create_task(work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return Reading(vectors, [tokens[at] for at in range(len(texts))] if tokens else None)

    async def ask(self, embedder: str, text: str) -> Question:
        """A query as a model reads it."""
        provider = await self._loaded(embedder)
        if isinstance(provider, TokenProvider):
            return Question(*await self._run(self._queries, embedder, "query", partial(provider.read_query, text)))
        return Question(await self._run(self._queries, embedder, "query", partial(provider.embed_query, text)))

    async def sizes(self, embedder: str) -> tuple[int, int]:
        """How many passages a call of a model gets, and how many numbers a vector has.

        Raises:
            MeshError: the provider cannot be used.
        """
        provider = await self._loaded(embedder)
        return provider.batch_size, provider.dimension

    def warm_up(self) -> None:
        """Loads the model of English novels, or the one that the setting names, so that the first reader need not wait.

        A failure shows when the provider is used.
        """
        self._load(self.choose("en"))

    async def close(self) -> None:
        """Waits for the calls under way and frees the models."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._resting is not None:
            await asyncio.wait({self._resting}, timeout=_RESTING_SECONDS)
        for executor in (self._passages, self._queries):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)
        for loading in self._loading.values():
            await asyncio.wait({loading})
            if loading.exception() is None:
                await asyncio.to_thread(loading.result().close)

    async def _run(self, executor: ThreadPoolExecutor, embedder: str, kind: str, call: Callable[[], T]) -> T:
        def timed() -> T:
            with EMBEDDING_SECONDS.labels(embedder, kind).time():
                return call()

        with embeddings(embedder, kind):
            return await asyncio.get_running_loop().run_in_executor(executor, timed)

    async def _loaded(self, embedder: str) -> EmbeddingProvider:
        """The provider, loaded once; a failure is not remembered. A caller that leaves does not stop the loading."""
        return await asyncio.shield(self._load(embedder))

    def _load(self, embedder: str) -> asyncio.Task[EmbeddingProvider]:
        loading = self._loading.get(embedder)
        if loading is None or (loading.done() and loading.exception() is not None):
            work = asyncio.to_thread(self._providers[embedder], self._settings)
            loading = self._loading[embedder] = asyncio.create_task(work)
            loading.add_done_callback(lambda _: self._rest_later())
        return loading

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._reads += 1
        try:
            yield
        finally:
            self._reads -= 1
            self._rest_later()

    def _rest_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._rest)

    def _rest(self) -> None:
        if not self._reads:  # who reads comes here again
            loaded = [one.result() for one in self._loading.values() if one.done() and one.exception() is None]
            work = asyncio.to_thread(_rest, loaded)
            self._resting = asyncio.create_task(work, name="memory", context=Context())
            self._resting.add_done_callback(_rested)


def _rest(providers: Sequence[EmbeddingProvider]) -> None:
    """Has models give back what they keep between calls, and what their loading left; blocks."""
    for provider in providers:
        if isinstance(provider, RestingProvider):
            provider.rest()
    memory.give_back()


def _rested(resting: "asyncio.Task[None]") -> None:
    if not resting.cancelled() and (error := resting.exception()) is not None:
        log.error("memory is not given back", exc_info=error)


def batches_of(texts: Sequence[str], size: int) -> list[list[int]]:
    """The positions of texts by batch, each of so many but the last.

    Texts of like length share a batch, so that little of it is padding; the longest come last, when what is left to do
    is known best. Texts that are in that order already keep it.
    """
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    return [order[at : at + size] for at in range(0, len(order), size)]


@asynccontextmanager
async def open_embedder(
    settings: SearchSettings,
    providers: Mapping[str, Callable[[SearchSettings], EmbeddingProvider]],
    *,
    warm: bool = True,
) -> AsyncIterator[EmbeddingPool]:
    """A pool of providers that is closed on leaving; whether it begins at once with what `warm_up` does."""
    pool = EmbeddingPool(settings, providers)
    if warm:
        pool.warm_up()
    try:
        yield pool
    finally:
        await pool.close()
