"""Reads novels a second time in the background, one after the other, and gives way to whatever somebody waits for."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from cachetools import LRUCache

from mesh.errors import MeshError
from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.search.domain.calm import Calm
from services.search.domain.second_reading import joined, kept_of, sentences_of
from services.search.metrics import FOREIGN_BUILD_SECONDS
from services.search.models import Novel, Passage
from services.search.ports import Embedder, NovelStore, Sentences

EMBEDDER = "use"
MAX_WAITING = 16
"""Novels that are read or wait for it, one at a time; further ones are begun at a later query."""
RETRY_SECONDS = 60.0
"""After a failure, how long no other attempt is made for the novel."""
PASSAGES, MANY_PASSAGES = 3, 64
"""Read in one go: a twentieth of a second of a processor, or, where somebody waits, as much as keeps them all busy."""
_MOST_KNOWN = 10_000

Passages = Callable[[], Awaitable[Sequence[Passage]]]
T = TypeVar("T")

log = get_logger(__name__)


class Making:
    """Second readings that are being made. What is made is in the store before anybody is told.

    Args:
        store: where they go.
        reader: reads sentences.
        calm: says when nobody waits for anything else.
        clock: seconds from any beginning.
    """

    def __init__(
        self, store: NovelStore, reader: Embedder, calm: Calm, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._reader = reader
        self._calm = calm
        self._clock = clock
        self._tasks: dict[tuple[str, int], asyncio.Task[bool]] = {}
        self._hurried: set[tuple[str, int]] = set()
        self._haste = asyncio.Event()
        self._failed: LRUCache[tuple[str, int], float] = LRUCache(_MOST_KNOWN)
        self._stored: LRUCache[str, int] = LRUCache(_MOST_KNOWN)
        self._turns = asyncio.Semaphore(1)

    def __len__(self) -> int:
        """How many novels are read or wait for it."""
        return len(self._tasks)

    def begin(self, novel: Novel, passages: Passages, *, hurry: bool = False) -> asyncio.Task[bool] | None:
        """Has a novel read, unless it is being read already.

        Args:
            novel: its record.
            passages: gives all of its generation's, in order.
            hurry: whether somebody waits: then neither this one nor one before it gives way to anything.

        Returns:
            Whether it has become stored; to be waited for, not to be cancelled. None: it is not begun.
        """
        key = novel.id, novel.generation
        task = self._tasks.get(key)
        if task is None:
            if len(self._tasks) >= MAX_WAITING or self._clock() < self._failed.get(key, 0.0):
                return None
            task = self._tasks[key] = alone(self._made(novel, passages))
            task.add_done_callback(lambda _: self._over(key))
        if hurry:
            self._hurried.add(key)
            self._haste.set()
        return task

    def has_made(self, novel: Novel) -> bool:
        """Whether the reading of a novel's generation was stored here."""
        return self._stored.get(novel.id) == novel.generation

    def unsay(self, novel_id: str) -> None:
        """Nothing of a novel counts as stored here any more."""
        self._stored.pop(novel_id, None)

    def forget(self, novel_id: str) -> None:
        """Ends what is being made of a novel."""
        self.unsay(novel_id)
        for key, task in self._tasks.items():
            if key[0] == novel_id:
                task.cancel()

    async def close(self) -> None:
        """Ends what is being made."""
        await ended(*self._tasks.values())

    def _over(self, key: tuple[str, int]) -> None:
        self._tasks.pop(key, None)
        self._hurried.discard(key)
        if not self._hurried:
            self._haste.clear()

    async def _made(self, novel: Novel, passages: Passages) -> bool:
        try:
            async with self._turns:
                if await self._store.has_sentences(novel):  # another replica was faster
                    stored = True
                else:
                    with FOREIGN_BUILD_SECONDS.time():
                        stored = await self._put(novel, await self._read(novel, await passages()))
        except MeshError as error:
            log.warning("a novel was not read a second time", extra={"novel_id": novel.id, "error": error.message})
        except Exception:  # nobody else would say it, and the search goes on without
            log.exception("a novel was not read a second time", extra={"novel_id": novel.id})
        else:
            if stored:
                self._stored[novel.id] = novel.generation
            return stored
        self._failed[novel.id, novel.generation] = self._clock() + RETRY_SECONDS
        return False

    async def _read(self, novel: Novel, passages: Sequence[Passage]) -> Sentences:
        parts: list[Sentences] = []
        at = 0
        while at < len(passages):
            await self._calm_or_haste()
            some = passages[at : at + (MANY_PASSAGES if self._haste.is_set() else PASSAGES)]
            at += len(some)
            texts = [sentences_of(passage.content) for passage in some]
            reading = await self._reader.read(EMBEDDER, [text for part in texts for text in part], _nobody)
            parts.append(kept_of(texts, reading.vectors))
        return joined(parts)

    async def _calm_or_haste(self) -> None:
        if self._haste.is_set():
            return
        waiting = [asyncio.create_task(self._calm.come()), asyncio.create_task(self._wait_for_haste())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(*waiting)

    async def _wait_for_haste(self) -> None:
        await self._haste.wait()

    async def _put(self, novel: Novel, sentences: Sentences) -> bool:
        """Stores a reading unless its novel was replaced or deleted meanwhile."""
        if not await self._current(novel):
            return False
        await self._store.add_sentences(novel.id, novel.generation, sentences)
        if await self._current(novel):
            return True
        await self._store.drop_generation(novel.id, novel.generation)
        return False

    async def _current(self, novel: Novel) -> bool:
        current = await self._store.novel(novel.id)
        return current is not None and current.generation == novel.generation


def _nobody(done: int) -> None:
    """Nobody is told how far a reading has come."""


def alone(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task without the deadline, identity, permit and trace of the call that begins it, which it outlives."""
    return asyncio.create_task(work, context=contextvars.Context())
