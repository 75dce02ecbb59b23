"""Finds passages for a query in another language than the novel's.

The embedding of a novel is chosen for its own language, and words do not match across languages. So there is a second
reading of the novel, by a model that gives a sentence and its translation like vectors: of each sentence, since that is
what the model was made for, and of each passage as a whole.

It is made in the background when the first query in another language comes, and kept in memory: most novels never need
it, and it takes a fraction of what the ingestion took. Until it is there, such queries are answered from what there is.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mesh import deadlines
from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.search.domain.languages import of_query, primary
from services.search.domain.lexicon import words
from services.search.domain.sentences import sentences
from services.search.metrics import FOREIGN_BUILD_SECONDS, FOREIGN_BYTES, FOREIGN_SEARCHES
from services.search.models import Novel, Passage
from services.search.ports import Embedder, Vectors

EMBEDDER = "use"
LANGUAGES = words("ar de en es fr it ja ko nl pl pt ru th tr zh")
"""What that model was taught."""
ALL_LANGUAGES = words("gemini")
"""Embedders whose own vectors find more across languages than that model's."""
BUILDS = 1
"""Novels that are read at once; others wait for their turn."""
MAX_WAITING = 16
"""Novels that are read or wait for it; further ones are begun at a later query."""
RETRY_SECONDS = 60.0
"""After a failure, how long no other attempt is made for the novel."""

Scores = npt.NDArray[np.float32]
_MOST, _LEAST = 127, 1e-9
_PART = 1_024  # rows that are floats at one time

log = get_logger(__name__)


class ForeignIndex:
    """The second reading of a novel; it changes no more.

    Args:
        vectors: of the sentences, passage by passage, then of the passages; of shape (sentences + passages, dimension).
        counts: how many sentences each passage has, at least one.
    """

    def __init__(self, vectors: Vectors, counts: Sequence[int]) -> None:
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        # Bytes instead of floats: a quarter of the memory, and as fast.
        scale = np.abs(vectors).max(axis=1, keepdims=True) / _MOST
        self._rows: npt.NDArray[np.int8] = np.rint(vectors / np.maximum(scale, _LEAST)).astype(np.int8)
        self._scale: Scores = scale[:, 0].astype(np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._rows.nbytes + self._scale.nbytes + self._starts.nbytes

    def views(self, query: Vectors) -> Mapping[str, Scores]:
        """How much passages are like a query: their likest sentences, and they as a whole.

        Args:
            query: its unit vector.

        Returns:
            Cosines by view, each of shape (passages,). A passage's depend on itself alone.
        """
        cosines: Scores = np.empty(len(self._rows), dtype=np.float32)
        for start in range(0, len(cosines), _PART):
            part = slice(start, start + _PART)
            cosines[part] = self._rows[part].astype(np.float32) @ query
        cosines *= self._scale
        wholes = len(cosines) - len(self._starts)
        likest: Scores = np.maximum.reduceat(cosines[:wholes], self._starts)
        return {"foreign sentence": likest, "foreign passage": cosines[wholes:]}


class Foreign:
    """The foreign indexes of the novels that were asked in another language last, made when one is missed.

    Args:
        embedder: reads novels and queries.
        max_bytes: memory for the indexes; a single one may take more. 0: none is made.
        patience: how long a query waits for an index that is being made, in seconds.
        clock: seconds from any beginning.
    """

    def __init__(
        self, embedder: Embedder, max_bytes: int, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._embedder = embedder
        self._max_bytes = max_bytes
        self._patience = patience
        self._clock = clock
        self._kept: OrderedDict[str, tuple[int, ForeignIndex]] = OrderedDict()
        self._building: dict[tuple[str, int], asyncio.Task[ForeignIndex | None]] = {}
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._turns = asyncio.Semaphore(BUILDS)

    def concerns(self, novel: Novel, query: str) -> bool:
        """Whether a query is in another language than a novel's, and both are known here."""
        if not self._max_bytes or novel.embedder in ALL_LANGUAGES:
            return False
        language = primary(of_query(query, novel.language))
        own = primary(novel.language)
        return language != own and {language, own} <= LANGUAGES

    def has(self, novel: Novel) -> bool:
        """Whether the index of a novel's generation is there: what a query finds depends on it, so cache keys do."""
        kept = self._kept.get(novel.id)
        return kept is not None and kept[0] == novel.generation

    async def views(self, novel: Novel, passages: Sequence[Passage], query: str) -> Mapping[str, Scores] | None:
        """How much passages are like a query in another language; never an error.

        Args:
            novel: the novel.
            passages: all of its generation's, in order.
            query: what is looked for.

        Returns:
            The views of `ForeignIndex.views`, or None: the index is not there yet, or cannot be made.
        """
        index = await self._index(novel, passages)
        if index is not None:
            try:
                views = await asyncio.to_thread(index.views, (await self._embedder.ask(EMBEDDER, query)).vector)
            except MeshError as error:
                log.warning("a query was not read for another language", extra={"error": error.message})
            else:
                FOREIGN_SEARCHES.labels("found").inc()
                return views
        FOREIGN_SEARCHES.labels("missing").inc()
        log.info("a query in another language than the novel's had no index", extra={"novel_id": novel.id})
        return None

    async def close(self) -> None:
        """Ends what is being made."""
        building = list(self._building.values())
        for task in building:
            task.cancel()
        if building:
            await asyncio.wait(building)

    async def _index(self, novel: Novel, passages: Sequence[Passage]) -> ForeignIndex | None:
        if self.has(novel):
            self._kept.move_to_end(novel.id)
            return self._kept[novel.id][1]
        key = novel.id, novel.generation
        task = self._building.get(key)
        if task is None:
            if len(self._building) >= MAX_WAITING or self._clock() < self._failed.get(novel.id, 0.0):
                return None
            with deadlines.scope(None):  # the index is for later queries too
                task = self._building[key] = asyncio.create_task(self._made(novel, passages))
            task.add_done_callback(lambda _: self._building.pop(key, None))
        left = deadlines.remaining()
        patience = self._patience if left is None else min(self._patience, left / 2)
        done, _ = await asyncio.wait({task}, timeout=patience)
        return None if not done or task.cancelled() else task.result()

    async def _made(self, novel: Novel, passages: Sequence[Passage]) -> ForeignIndex | None:
        try:
            async with self._turns:
                with FOREIGN_BUILD_SECONDS.time():
                    parts = await asyncio.to_thread(_sentences_of, passages)
                    texts = [sentence for part in parts for sentence in part]
                    texts.extend(passage.content for passage in passages)
                    vectors = (await self._embedder.read(EMBEDDER, texts, lambda _: None)).vectors
                    index = await asyncio.to_thread(ForeignIndex, vectors, [len(part) for part in parts])
        except MeshError as error:
            log.warning(
                "a novel was not read for other languages", extra={"novel_id": novel.id, "error": error.message}
            )
            self._failed[novel.id] = self._clock() + RETRY_SECONDS
            while len(self._failed) > MAX_WAITING:
                self._failed.popitem(last=False)
            return None
        kept = self._kept.get(novel.id)
        if kept is None or kept[0] < novel.generation:
            self._kept[novel.id] = novel.generation, index
            self._kept.move_to_end(novel.id)
        while len(self._kept) > 1 and self._bytes() > self._max_bytes:
            self._kept.popitem(last=False)
        FOREIGN_BYTES.set(self._bytes())
        return index

    def _bytes(self) -> int:
        return sum(index.nbytes for _, index in self._kept.values())


def _sentences_of(passages: Sequence[Passage]) -> list[list[str]]:
    return [sentences(passage.content) or [passage.content] for passage in passages]
