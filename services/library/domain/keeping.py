"""Passages kept beside scenarios and novels, from which replies are written where search does not answer, and people.

A scenario's are kept when it is made, a novel's when its ingestion is complete. What was made by a release that kept
none, or while search was away, is fetched when its first reply begins, in the background and on the reader's behalf;
a novel's characters also when a scenario is made of it, since a conversation is what comes next.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from mesh import deadlines, priority
from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.library.domain.kept import OF_NOVEL, OF_SCENARIO, PEOPLE, bounded, people
from services.library.domain.replies import Context
from services.library.models import Novel, Scenario
from services.library.ports import CharacterStore, PassageStore, Search

log = get_logger(__name__)

_AT_ONCE = 4
_AGAIN_SECONDS = 60.0
_KNOWN_SECONDS = 3600.0
_REMEMBERED = 1_000


class Keeping:
    """Fetches what is not kept yet.

    Args:
        store: where passages are kept.
        characters: where characters are.
        search: who has both.
        clock: seconds from any moment on.
    """

    def __init__(
        self,
        store: PassageStore,
        characters: CharacterStore,
        search: Search,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._characters = characters
        self._search = search
        self._clock = clock
        self._tried: OrderedDict[tuple[str, UUID], float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def look_after(self, context: Context) -> None:
        """Begins to fetch what a reply's context lacks; returns at once."""
        novel, scenario = context.novel, context.scenario
        if context.kept.novel is None and novel.searchable:
            self._begin(("novel", novel.novel_id), lambda: self._of_novel(novel.novel_id, novel.title))
        if context.kept.scenario is None and scenario.passage_ids:
            self._begin(("scenario", scenario.scenario_id), lambda: self._of_scenario(scenario))
        self.look_after_characters(novel)

    def look_after_characters(self, novel: Novel) -> None:
        """Begins to fetch a novel's characters, where they are not kept; returns at once."""
        if novel.searchable and novel.characters:
            self._begin(("characters", novel.novel_id), lambda: self._of_characters(novel))

    async def stop(self) -> None:
        """Ends what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, of: tuple[str, UUID], fetch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        now = self._clock()
        if len(self._tasks) >= _AT_ONCE or now < self._tried.get(of, now):
            return
        self._note(of, now + _AGAIN_SECONDS)
        with deadlines.scope(None):  # it outlives the call that it comes from, whose reader's token it bears
            task = asyncio.create_task(self._guarded(of, fetch()), name=f"keeping of {of}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, of: tuple[str, UUID], again: float) -> None:
        self._tried[of] = again
        self._tried.move_to_end(of)
        while len(self._tried) > _REMEMBERED:
            self._tried.popitem(last=False)

    async def _guarded(self, of: tuple[str, UUID], fetch: Coroutine[Any, Any, None]) -> None:
        priority.enter(priority.BATCH)  # nobody waits for it
        try:
            await fetch
        except MeshError as error:
            log.info("something is kept later", extra={"what": of[0], "of": str(of[1]), "reason": error.reason})

    async def _of_novel(self, novel_id: UUID, title: str) -> None:
        found = await self._search.default_passages(novel_id, title, OF_NOVEL)
        await self._store.keep_of_novel(novel_id, bounded(found, OF_NOVEL))

    async def _of_scenario(self, scenario: Scenario) -> None:
        found = await self._search.known_passages(scenario.novel_id, scenario.passage_ids, None)
        await self._store.keep_of_scenario(scenario.scenario_id, bounded(found, OF_SCENARIO))

    async def _of_characters(self, novel: Novel) -> None:
        if await self._characters.count(novel.novel_id) < min(novel.characters, PEOPLE):
            found = await self._search.characters(novel.novel_id, PEOPLE)
            await self._characters.keep(novel.novel_id, people(found))
        # They change no more: that they are there need not be looked up for each reply.
        self._note(("characters", novel.novel_id), self._clock() + _KNOWN_SECONDS)
