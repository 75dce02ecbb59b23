"""Has second readings of novels (`second_reading`) at hand for searches.

A novel in a language in which that has been shown to help is read again after its ingestion, in the background
(`second_making`); any novel when a query in another language comes, since its embedding is chosen for its own language,
and words do not match across languages. What is made is stored, so that it is made once for all replicas and restarts.
Until it is there, searches answer from what there is.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar

from cachetools import LRUCache

from mesh import deadlines
from mesh.errors import MeshError
from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.search.domain.languages import of_query, primary
from services.search.domain.lexicon import words
from services.search.domain.second_making import EMBEDDER, Making, Passages, alone
from services.search.domain.second_reading import Asked, SecondReading
from services.search.metrics import FOREIGN_BYTES, FOREIGN_SEARCHES, SENTENCE_SEARCHES
from services.search.models import Novel, Passage
from services.search.ports import Embedder, NovelStore

LANGUAGES = words("ar de en es fr it ja ko nl pl pt ru th tr zh")
"""What that model was taught."""
OWN_LANGUAGES = words("en")
"""Languages in which the second reading helps queries in the novel's own: those in which it was measured."""
ALL_LANGUAGES = words("gemini")
"""Embedders whose own vectors find more across languages than that model's."""
LOOK_SECONDS = 10.0
"""How often the store is asked for a reading that another replica may be making."""
RETRY_SECONDS = 60.0
"""How long a reading, or the model, that could not be used is done without."""
INGESTED_SECONDS = 600.0
"""For so long after an ingestion the reading is left to the replica that has taken the novel in."""
_MOST_KNOWN = 10_000

Concern = Literal["none", "own", "foreign"]
Key = tuple[str, int]
T = TypeVar("T")

log = get_logger(__name__)


class UnreadError(Exception):
    """A second reading that was there cannot be used now."""


class SecondReadings:
    """The second readings of the novels that are searched.

    Args:
        store: where they are kept.
        embedder: reads queries.
        making: makes those that are missing.
        own: whether queries in the novel's own language look at them too; else only those in another one do.
        max_bytes: memory for them; a single one may take more. 0: there are none.
        patience: how long a query in another language waits for one that is being made, in seconds.
        clock: seconds from any beginning.
        now: seconds since 1970.
    """

    def __init__(
        self,
        store: NovelStore,
        embedder: Embedder,
        making: Making,
        *,
        own: bool,
        max_bytes: int,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._making = making
        self._own = own
        self._max_bytes = max_bytes
        self._patience = patience
        self._clock = clock
        self._now = now
        self._kept: OrderedDict[str, tuple[int, SecondReading]] = OrderedDict()
        self._stored: LRUCache[str, int] = LRUCache(_MOST_KNOWN)
        self._absent: LRUCache[Key, float] = LRUCache(_MOST_KNOWN)
        self._looking: dict[Key, asyncio.Task[bool]] = {}
        self._loading: dict[Key, asyncio.Task[SecondReading]] = {}
        self._model: asyncio.Task[bool] | None = None
        self._model_again_at = 0.0

    def concern(self, novel: Novel, query: str) -> Concern:
        """Whether a query should look at a novel's second reading, and as what."""
        if not self._max_bytes or novel.embedder in ALL_LANGUAGES:
            return "none"
        language, own = primary(of_query(query, novel.language)), primary(novel.language)
        if language == own:
            return "own" if self._helps(novel) else "none"
        return "foreign" if {language, own} <= LANGUAGES else "none"

    async def there(self, novel: Novel) -> bool:
        """Whether the reading of a novel's generation is stored, and the model at hand that reads queries.

        What a query finds depends on it, so cache keys do. Never an error, and the store is asked seldom.
        """
        if self._making.has_made(novel):
            self._stored[novel.id] = novel.generation
        if self._stored.get(novel.id) != novel.generation:
            if self._clock() < self._absent.get((novel.id, novel.generation), 0.0):
                return False
            if not await _shared(self._looking, novel, lambda: self._looked(novel)):
                return False
        return self._model_loaded()

    async def asked(self, novel: Novel, query: str) -> Asked:
        """A query of a reading that is there.

        Raises:
            UnreadError: it cannot be used now.
        """
        foreign = self.concern(novel, query) == "foreign"
        try:
            reading = await self._reading(novel)
            question = await self._embedder.ask(EMBEDDER, query)
        except UnreadError:
            raise
        except Exception as error:  # it is an extra: whatever is wrong with it, searches do without
            log.warning("a second reading cannot be used", extra={"novel_id": novel.id, "error": repr(error)})
            self._missing(novel, RETRY_SECONDS)
            raise UnreadError from error
        (FOREIGN_SEARCHES if foreign else SENTENCE_SEARCHES).labels("found").inc()
        return Asked(reading, question.vector, foreign=foreign)

    async def missed(self, novel: Novel, passages: Sequence[Passage], query: str) -> Asked | None:
        """A query whose novel has no reading that is there; never an error.

        In another language than the novel's it waits a while for one to be made. In the novel's own it does without,
        and has one made once whoever has ingested the novel has had the time to.

        Args:
            novel: the novel.
            passages: all of its generation's, in order.
            query: what is looked for.

        Returns:
            None: the query needs none, or there is none in time.
        """

        async def given() -> Sequence[Passage]:
            return passages

        concern = self.concern(novel, query)
        if concern == "own":
            SENTENCE_SEARCHES.labels("missing").inc()
            if self._now() - novel.generation / 1e6 > INGESTED_SECONDS:
                self.begin(novel, given)
        if concern != "foreign":
            return None
        left = deadlines.remaining()
        try:
            async with asyncio.timeout(self._patience if left is None else min(self._patience, left / 2)):
                if await self._made(novel, given):
                    return await self.asked(novel, query)
        except (TimeoutError, UnreadError):
            pass
        FOREIGN_SEARCHES.labels("missing").inc()
        log.info("a query in another language than the novel's had no index", extra={"novel_id": novel.id})
        return None

    def begin(self, novel: Novel, passages: Passages) -> None:
        """Has a novel read again in the background, if queries in its own language gain by it.

        Args:
            novel: its record.
            passages: gives all of its generation's, in order.
        """
        if self._max_bytes and novel.embedder not in ALL_LANGUAGES and self._helps(novel):
            self._making.begin(novel, passages)

    def forget(self, novel_id: str) -> None:
        """Drops what is known of a novel, and ends what is being made of it."""
        self._kept.pop(novel_id, None)
        self._stored.pop(novel_id, None)
        self._making.forget(novel_id)
        FOREIGN_BYTES.set(self._bytes())

    async def close(self) -> None:
        """Ends what is being made and loaded."""
        await self._making.close()
        model = [] if self._model is None else [self._model]
        await ended(*self._looking.values(), *self._loading.values(), *model)

    def _helps(self, novel: Novel) -> bool:
        return self._own and primary(novel.language) in OWN_LANGUAGES

    async def _made(self, novel: Novel, passages: Passages) -> bool:
        """Waits until a reading is there; False: it cannot be."""
        if self._stored.get(novel.id) != novel.generation:
            task = self._making.begin(novel, passages, hurry=True)
            if task is None:
                return False
            await asyncio.wait({task})  # its novel may be deleted: that ends it, and nobody who waits
            if task.cancelled() or not task.result():
                return False
            self._stored[novel.id] = novel.generation
        if self._model_loaded():
            return True
        return self._model is not None and await asyncio.shield(self._model)

    def _missing(self, novel: Novel, seconds: float) -> None:
        self._stored.pop(novel.id, None)
        self._making.unsay(novel.id)
        self._absent[novel.id, novel.generation] = self._clock() + seconds

    async def _looked(self, novel: Novel) -> bool:
        try:
            found = await self._store.has_sentences(novel)
        except MeshError:  # the search itself says it, where it needs the store
            found = False
        if found:
            self._stored[novel.id] = novel.generation
        else:
            self._missing(novel, LOOK_SECONDS)
        return found

    def _model_loaded(self) -> bool:
        """Whether the model is at hand; else it is being loaded, and searches do not wait for it."""
        if self._model is None and self._clock() >= self._model_again_at:
            self._model = alone(self._load())
        if self._model is None or not self._model.done():
            return False
        if self._model.result():
            return True
        self._model, self._model_again_at = None, self._clock() + RETRY_SECONDS
        return False

    async def _load(self) -> bool:
        try:
            await self._embedder.ask(EMBEDDER, "")
        except Exception:  # likewise
            log.exception("the model of second readings cannot be used")
            return False
        return True

    async def _reading(self, novel: Novel) -> SecondReading:
        kept = self._kept.get(novel.id)
        if kept is not None and kept[0] == novel.generation:
            self._kept.move_to_end(novel.id)
            return kept[1]
        return await _shared(self._loading, novel, lambda: self._fetched(novel))

    async def _fetched(self, novel: Novel) -> SecondReading:
        sentences = await self._store.sentences(novel)
        if sentences is None or len(sentences.counts) != novel.passages:
            self._missing(novel, LOOK_SECONDS)
            raise UnreadError
        reading = await asyncio.to_thread(SecondReading, sentences)
        kept = self._kept.get(novel.id)
        if kept is None or kept[0] < novel.generation:
            self._kept[novel.id] = novel.generation, reading
            self._kept.move_to_end(novel.id)
        while len(self._kept) > 1 and self._bytes() > self._max_bytes:
            self._kept.popitem(last=False)
        FOREIGN_BYTES.set(self._bytes())
        return reading

    def _bytes(self) -> int:
        return sum(reading.nbytes for _, reading in self._kept.values())


async def _shared(tasks: dict[Key, asyncio.Task[T]], novel: Novel, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What a task returns that all share who ask for the same of a novel; who leaves does not end it."""
    key = novel.id, novel.generation
    task = tasks.get(key)
    if task is None:
        task = tasks[key] = alone(work())

        def over(done: asyncio.Task[T]) -> None:
            del tasks[key]
            if not done.cancelled():
                done.exception()  # those who wait are told; where all have left it is no news

        task.add_done_callback(over)
    return await asyncio.shield(task)
