"""Those who watch an ingestion: from its log, or, where there is none, from the novel's row."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias
from uuid import UUID

from mesh.errors import Unavailable
from mesh.streamlog import Cursor, Entry, Lapse
from services.library.domain.errors import not_found
from services.library.domain.novels import Novels
from services.library.domain.progress import ProgressHub
from services.library.models import Failure, IngestionState, Novel, Progress
from services.library.ports import IngestionStore, NovelStore

# A log may be lost, and an end be stored whose event was not: a watcher who hears nothing looks for himself this often.
_LOOK_SECONDS = 1.0
_STOPS = "REPLICA_STOPS"


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are no longer kept, by their sequences."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a watcher is told.

    Attributes:
        sequence: its number in the log; 0: it is none of the log's.
        cursor: the place after it; None: nobody can go on after it.
    """

    event: Progress | Novel | Failure | Gap
    sequence: int = 0
    cursor: Cursor | None = None


class _Silence(Enum):
    """Why a log says nothing: it does not exist or does not answer, or there is nothing new."""

    ABSENT = 1
    QUIET = 2


_Item: TypeAlias = "Entry[Progress] | Lapse | _Silence"


class Watching:
    """Tells how ingestions go.

    Args:
        novels: who sees which novel.
        store: the novels' rows.
        ingestion: how they stand.
        hub: the logs.
    """

    def __init__(self, novels: Novels, store: NovelStore, ingestion: IngestionStore, hub: ProgressHub) -> None:
        self._novels = novels
        self._store = store
        self._ingestion = ingestion
        self._hub = hub

    def end(self) -> None:
        """Lets all watchers go: they know no end, and a server that stops would wait for them."""
        self._hub.end_reading(Unavailable("this replica stops; watch another", reason=_STOPS, retry_after=0.0))

    async def watch(self, user_id: UUID, novel_id: UUID, after: str) -> AsyncGenerator[Told, None]:
        """How the ingestion goes: progress, which never falls, then the novel or why it failed.

        Args:
            user_id: who watches.
            novel_id: the novel.
            after: a cursor; empty: from the start. Nothing comes after one at the end.

        Raises:
            InvalidArgument: the cursor is none of this ingestion's.
            NotFound: the user sees no such novel, or it is deleted meanwhile.
            Unavailable: this replica stops.
        """
        cursor = Cursor.parse(after, novel_id) if after else None
        await self._novels.get(user_id, novel_id)
        state = await self._state(novel_id)
        end = _end(novel_id, state)
        if cursor and state.status.ended and (cursor.epoch, cursor.sequence) >= (end.epoch, end.sequence):
            return
        percent = -1
        async with aclosing(self._items(novel_id, cursor)) as items:
            async for item in items:
                if isinstance(item, Entry):
                    place = Cursor(novel_id, item.epoch, item.sequence)
                    if item.end:
                        yield Told(await self._outcome(novel_id), item.sequence, place)
                        return
                    progress = item.event.no_less_than(percent)
                    percent = progress.percent
                    yield Told(progress, item.sequence, place)
                elif isinstance(item, Lapse):
                    yield Told(Gap(item.first, item.last))
                else:
                    state = await self._state(novel_id)
                    end = _end(novel_id, state)
                    if item is _Silence.ABSENT and cursor and percent < 0:
                        first = cursor.sequence + 1
                        yield Told(Gap(first, max(first, end.sequence - 1 if state.status.ended else 0)))
                    if state.progress.percent > percent:
                        percent = state.progress.percent
                        yield Told(state.progress)
                    if state.status.ended:
                        yield Told(await self._outcome(novel_id), end.sequence, end)
                        return

    async def _items(self, novel_id: UUID, after: Cursor | None) -> AsyncGenerator[_Item, None]:
        """What the log says, and a word whenever it says nothing."""
        while True:
            try:
                async with self._hub.watching(novel_id) as stream:
                    if not stream.exists:
                        yield _Silence.ABSENT
                    elif not stream.entries:
                        yield _Silence.QUIET
                    async with aclosing(_spoken(stream.read(after))) as items:
                        async for item in items:
                            yield item
                    return
            except Unavailable as error:
                if error.reason == _STOPS:
                    raise
            yield _Silence.ABSENT
            await asyncio.sleep(_LOOK_SECONDS)

    async def _state(self, novel_id: UUID) -> IngestionState:
        state = await self._ingestion.state(novel_id)
        if state is None:
            raise not_found("novel_id", novel_id, "novel")
        return state

    async def _outcome(self, novel_id: UUID) -> Novel | Failure:
        novel = await self._store.get(novel_id)
        if novel is None:
            raise not_found("novel_id", novel_id, "novel")
        return novel.failure or novel


async def _spoken(items: "AsyncGenerator[Entry[Progress] | Lapse, None]") -> AsyncGenerator[_Item, None]:
    """The items, and a word whenever none comes for a while."""
    step: asyncio.Task[Entry[Progress] | Lapse | None] | None = None
    try:
        while True:
            step = step or asyncio.create_task(_next(items))
            done, _ = await asyncio.wait({step}, timeout=_LOOK_SECONDS)
            if not done:
                yield _Silence.QUIET
                continue
            item, step = step.result(), None
            if item is None:
                return
            yield item
    finally:
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        await items.aclose()


async def _next(items: "AsyncGenerator[Entry[Progress] | Lapse, None]") -> Entry[Progress] | Lapse | None:
    return await anext(items, None)


def _end(novel_id: UUID, state: IngestionState) -> Cursor:
    """The cursor of an ingestion's end; one that a release without epochs has ended counts as its first."""
    return Cursor(novel_id, max(state.epoch, 1), max(state.last_sequence, 1))
