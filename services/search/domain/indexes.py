"""Keeps the indexes of the novels that are searched most in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mesh.errors import Aborted, Unavailable
from services.search.domain.novel_index import NovelIndex
from services.search.metrics import INDEX_BYTES, INDEX_LOAD_SECONDS, INDEXES
from services.search.models import Novel
from services.search.ports import Contents, NovelStore

THREADS = 2
LOADS = 2
"""Novels that are loaded at once: a rush to many takes turns rather than all memory and time."""

T = TypeVar("T")


class Indexes:
    """Indexes by novel, of one generation each, the least used dropped when they take too much memory.

    A novel that many ask for at once is loaded once; who leaves meanwhile does not stop the loading.

    Args:
        store: where novels are.
        max_bytes: memory for indexes. A single novel may take more, and then is the only one.
    """

    def __init__(self, store: NovelStore, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[int, NovelIndex]] = OrderedDict()
        self._loading: dict[tuple[str, int], asyncio.Task[NovelIndex]] = {}
        self._turns = asyncio.Semaphore(LOADS)
        self._threads = ThreadPoolExecutor(THREADS, "rank")

    async def get(self, novel: Novel) -> NovelIndex:
        """The index of a novel's generation.

        Raises:
            Aborted: reason NOVEL_REPLACED: the generation is no longer stored whole.
            Unavailable: the store does not answer.
        """
        kept = self._kept.get(novel.id)
        if kept is not None and kept[0] == novel.generation:
            self._kept.move_to_end(novel.id)
            return kept[1]
        key = novel.id, novel.generation
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._loaded(novel))
            loading.add_done_callback(lambda task: self._ended(key, task))
        return await asyncio.shield(loading)

    def kept(self, novel: Novel) -> NovelIndex | None:
        """The index of a novel's generation where it is in memory. To look at it is not to use it."""
        kept = self._kept.get(novel.id)
        return kept[1] if kept is not None and kept[0] == novel.generation else None

    async def run(self, call: Callable[[], T]) -> T:
        """What a call returns that computes for a few milliseconds, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def forget(self, novel_id: str) -> None:
        """Drops the index of a novel."""
        self._kept.pop(novel_id, None)
        self._show()

    async def close(self) -> None:
        """Ends what is being loaded and waits for what is being computed."""
        for task in list(self._loading.values()):
            task.cancel()
        if self._loading:
            await asyncio.wait(list(self._loading.values()))
        await asyncio.to_thread(self._threads.shutdown)

    async def _loaded(self, novel: Novel) -> NovelIndex:
        async with self._turns:
            with INDEX_LOAD_SECONDS.time():
                contents = await self._store.contents(novel)
                if len(contents.passages) != novel.passages:
                    raise Aborted("the novel is being replaced; try again", reason="NOVEL_REPLACED")
                index = await self.run(lambda: _built(contents, novel.language))
        kept = self._kept.get(novel.id)
        if kept is None or kept[0] < novel.generation:
            self._kept[novel.id] = novel.generation, index
            self._kept.move_to_end(novel.id)
            self._shrink()
        return index

    def _ended(self, key: tuple[str, int], task: asyncio.Task[NovelIndex]) -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # those who wait are told; where all have left it is no news

    def _shrink(self) -> None:
        while len(self._kept) > 1 and self._bytes() > self._max_bytes:
            self._kept.popitem(last=False)
        self._show()

    def _bytes(self) -> int:
        return sum(index.nbytes for _, index in self._kept.values())

    def _show(self) -> None:
        INDEXES.set(len(self._kept))
        INDEX_BYTES.set(self._bytes())


def _built(contents: Contents, language: str) -> NovelIndex:
    try:
        return NovelIndex(contents, language)
    except ValueError as error:  # rows of several shapes: not written by this code, or damaged
        raise Unavailable("the novel's index cannot be read; ingest it again", reason="INDEX_DAMAGED") from error
