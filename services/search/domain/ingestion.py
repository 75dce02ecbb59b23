"""Taking a novel in: cut, understood, embedded, stored; replacing what was there in one step or not at all."""

import asyncio
import time
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mesh import deadlines
from mesh.errors import Aborted, InvalidArgument, MeshError
from mesh.process import settle
from mesh.telemetry.logs import get_logger
from services.search.domain.calm import Calm
from services.search.domain.chapters import split_chapters
from services.search.domain.characters import find_characters
from services.search.domain.defaults import default_passages
from services.search.domain.indexes import Indexes
from services.search.domain.languages import detect
from services.search.domain.pace import Pace, Rest
from services.search.domain.passages import split_passages
from services.search.domain.people import People
from services.search.domain.second_readings import SecondReadings
from services.search.models import Character, Ingested, Manuscript, Novel, Passage, Progress
from services.search.ports import AnswerCache, Embedder, NovelStore, Reading, Vectors

HEARTBEAT_SECONDS = 0.5
_PROGRESS = 64  # events that a slow reader has not seen yet; the oldest go first
SETTLE_SECONDS = 60.0
STORE_BATCH = 500
EMBEDDING_FROM, EMBEDDING_TO = 10, 90  # percent

log = get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """A running ingestion and what it has reported."""

    rest: Rest
    events: deque[Progress] = field(default_factory=lambda: deque(maxlen=_PROGRESS))
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Ingested] | None = None

    def report(self, percent: int, stage: str, message: str) -> None:
        self.events.append(Progress(percent, stage, message, self.rest.seconds()))
        self.changed.set()


class Ingestions:
    """Ingests and deletes novels, at most one change of a novel at a time.

    Args:
        store: where novels go.
        embedder: turns passages into vectors.
        cache: told of every change.
        indexes: likewise.
        people: finds characters with a language model's help; None: the rules alone do.
        second: reads novels again afterwards; None: nobody does.
        calm: is told of ingestions.
    """

    def __init__(
        self,
        store: NovelStore,
        embedder: Embedder,
        cache: AnswerCache,
        indexes: Indexes,
        people: People | None = None,
        *,
        second: SecondReadings | None = None,
        calm: Calm | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._cache = cache
        self._indexes = indexes
        self._people = people
        self._second = second
        self._calm = calm or Calm()
        self._running: dict[str, _Run] = {}
        self._pace = Pace()

    async def ingest(self, manuscript: Manuscript) -> AsyncGenerator[Progress | Ingested, None]:
        """Ingests a novel; yields progress about twice a second or more, and what was ingested at the end.

        Leaving early, or a failure, undoes the work: what was stored under the novel before stays as it was.

        Raises:
            Aborted: reason INGESTION_RUNNING: the novel is being ingested already; or NOVEL_DELETED: it was deleted
                meanwhile; or NOVEL_REPLACED: a later ingestion, by another process, was faster.
            InvalidArgument: the text holds no words.
            Unavailable: the embedding provider or the store does not answer.
        """
        if manuscript.novel_id in self._running:
            raise Aborted("the novel is being read in already; wait for its end", reason="INGESTION_RUNNING")
        run = self._running[manuscript.novel_id] = _Run(self._pace.unknown())
        run.task = task = asyncio.create_task(self._ingested(manuscript, run))
        task.add_done_callback(lambda _: run.changed.set())
        last = Progress(0, "chapters", "Looking for chapters")
        try:
            while not task.done() or run.events:
                if not run.events:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(run.changed.wait(), HEARTBEAT_SECONDS)
                run.changed.clear()
                if run.events:
                    last = run.events.popleft()
                elif task.done():
                    break
                yield last
            if task.cancelled():
                raise Aborted("the novel was deleted while it was being read in", reason="NOVEL_DELETED")
            yield task.result()
        finally:
            await _ended(task)
            del self._running[manuscript.novel_id]

    async def delete(self, novel_id: str) -> None:
        """Removes a novel and aborts its ingestion. Does nothing when there is none."""
        run = self._running.get(novel_id)
        if run is not None and run.task is not None:
            await _ended(run.task)
        await settle(self._deleted(novel_id), SETTLE_SECONDS)

    async def close(self) -> None:
        """Ends what runs and waits until it is undone."""
        for run in list(self._running.values()):
            if run.task is not None:
                await _ended(run.task)

    async def _deleted(self, novel_id: str) -> None:
        novel = await self._store.novel(novel_id)
        characters = [] if novel is None else await self._character_ids(novel)
        await self._store.remove_novel(novel_id)
        await self._forget(novel_id, characters)
        await self._store.drop_rows(novel_id)

    async def _ingested(self, manuscript: Manuscript, run: _Run) -> Ingested:
        with self._calm.ingesting():
            novel, passages, characters = await self._taken_in(manuscript, run)
        if self._second is not None:
            self._second.begin(novel, partial(_given, passages))
        return Ingested(novel, default_passages(passages, characters), characters)

    async def _taken_in(self, manuscript: Manuscript, run: _Run) -> tuple[Novel, list[Passage], list[Character]]:
        generation = time.time_ns() // 1000
        before = await self._store.novel(manuscript.novel_id)
        first = before is None or not before.ready
        draft = Novel(manuscript.novel_id, manuscript.owner_id, manuscript.public)
        switched = False
        try:
            if first:
                await self._store.put_novel(draft)
            novel, passages, characters = await self._understood(draft, manuscript, run)
            novel = replace(novel, generation=generation)
            reading = await self._read(novel, passages, run)
            await self._stored(novel, passages, characters, reading, run)

            async def switch() -> None:
                nonlocal switched
                await self._check_current(novel)
                await self._store.put_novel(novel)
                switched = True
                stale = [] if before is None else await self._character_ids(before)
                await self._forget(novel.id, [*stale, *(character.id for character in characters)])
                await self._store.drop_before(novel.id, generation)

            await settle(switch(), SETTLE_SECONDS)
        except BaseException:
            if not switched:
                await self._undone(manuscript.novel_id, generation, first=first)
            raise
        return novel, passages, characters

    async def _undone(self, novel_id: str, generation: int, *, first: bool) -> None:
        async def undo() -> None:
            current = await self._store.novel(novel_id)
            if first and current is not None and not current.ready:
                await self._store.remove_novel(novel_id)
            await self._store.drop_generation(novel_id, generation)

        try:
            await settle(undo(), SETTLE_SECONDS)
        except (MeshError, TimeoutError) as error:
            # What is left is never read, and the novel's next ingestion or its deletion removes it.
            log.warning("an ingestion was not undone", extra={"novel_id": novel_id, "error": str(error)})

    async def _check_current(self, novel: Novel) -> None:
        """Other processes may work on the same store: the latest ingestion wins, and a deletion over all."""
        current = await self._store.novel(novel.id)
        if current is None:
            raise Aborted("the novel was deleted while it was being read in", reason="NOVEL_DELETED")
        if current.generation > novel.generation:
            raise Aborted("a later version of the novel was read in meanwhile", reason="NOVEL_REPLACED")

    async def _understood(
        self, draft: Novel, manuscript: Manuscript, run: _Run
    ) -> tuple[Novel, list[Passage], list[Character]]:
        run.report(1, "chapters", "Looking for chapters")
        text = await asyncio.to_thread(_cleaned, manuscript.text)
        language = manuscript.language or await asyncio.to_thread(detect, text)
        chapters = await asyncio.to_thread(split_chapters, text)
        count = sum(chapter.number > 0 for chapter in chapters)
        run.report(3, "passages", f"Cutting {count:,} {'chapter' if count == 1 else 'chapters'} into passages")
        passages = await asyncio.to_thread(split_passages, draft.id, chapters)
        if not passages:
            raise InvalidArgument("the text holds no words", reason="INVALID_FIELD", fields={"text": "holds no words"})
        run.report(6, "characters", f"Looking for characters in {len(passages):,} passages")
        characters = await self._characters(draft.id, language, passages)
        novel = replace(
            draft,
            language=language,
            embedder=self._embedder.choose(language),
            words=await asyncio.to_thread(_words, text),
            chapters=count,
            passages=len(passages),
            characters=len(characters),
        )
        return novel, passages, characters

    async def _characters(self, novel_id: str, language: str, passages: Sequence[Passage]) -> list[Character]:
        if self._people is not None:
            return await self._people.find(novel_id, language, passages)
        return await asyncio.to_thread(find_characters, novel_id, language, passages)

    async def _read(self, novel: Novel, passages: Sequence[Passage], run: _Run) -> Reading:
        total = len(passages)
        shown = EMBEDDING_FROM
        run.rest = rest = self._pace.of(novel.embedder, "storing", passages=total)
        run.report(shown, "embedding", f"Reading {total:,} passages")

        def progress(done: int) -> None:
            nonlocal shown
            rest.done(done)
            percent = EMBEDDING_FROM + (EMBEDDING_TO - EMBEDDING_FROM) * done // total
            if percent > shown:
                shown = percent
                run.report(percent, "embedding", f"Read {done:,} of {total:,} passages")

        return await self._embedder.read(novel.embedder, [passage.content for passage in passages], progress)

    async def _stored(
        self, novel: Novel, passages: Sequence[Passage], characters: Sequence[Character], reading: Reading, run: _Run
    ) -> None:
        rest = run.rest
        rest.next()  # all passages are read
        for start in range(0, len(passages), STORE_BATCH):
            percent = EMBEDDING_TO + (99 - EMBEDDING_TO) * start // len(passages)
            rest.done(start)
            run.report(percent, "storing", f"Stored {start:,} of {len(passages):,} passages")
            part = slice(start, start + STORE_BATCH)
            some = Reading(reading.vectors[part], None if reading.tokens is None else reading.tokens[part])
            await self._store.add_passages(novel.id, novel.generation, passages[part], some)
        if characters:
            shown = _character_vectors(passages, characters, reading.vectors)
            await self._store.add_characters(novel.id, novel.generation, characters, shown)
        rest.next()
        run.report(99, "storing", "Finishing")

    async def _character_ids(self, novel: Novel) -> list[str]:
        if not novel.ready:
            return []
        return [character.id for character in await self._store.characters(novel, 0, novel.characters)]

    async def _forget(self, novel_id: str, character_ids: Sequence[str]) -> None:
        self._indexes.forget(novel_id)
        if self._second is not None:
            self._second.forget(novel_id)
        with deadlines.scope(None):  # the change is made: the caller's deadline no longer matters
            await self._cache.forget(novel_id, list(dict.fromkeys(character_ids)))


async def _given(passages: Sequence[Passage]) -> Sequence[Passage]:
    return passages


async def _ended(task: asyncio.Task[Ingested]) -> None:
    """Cancels a task and waits until it has cleaned up."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=SETTLE_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()  # the one who waited for the task's result has left: that it failed is not news


def _cleaned(text: str) -> str:
    """Composed characters (NFC), LF line ends, no byte order mark."""
    return unicodedata.normalize("NFC", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _words(text: str) -> int:
    return len(text.split())


def _character_vectors(passages: Sequence[Passage], characters: Sequence[Character], vectors: Vectors) -> Vectors:
    """A character lies in the middle of the passages that show it."""
    at = {passage.id: position for position, passage in enumerate(passages)}
    rows = np.stack([vectors[[at[passage] for passage in one.passage_ids]].mean(axis=0) for one in characters])
    middle: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return middle
