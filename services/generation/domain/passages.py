"""Which passages of the book a reply is given. A reply without those of search is poorer, but it comes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mesh import deadlines
from mesh.errors import MeshError
from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.generation import metrics
from services.generation.domain.sources import within
from services.generation.domain.stand_ins import stand_ins
from services.generation.ports import Passage, ReplyContext, Search

log = get_logger(__name__)
_LONGEST_QUERY = 4_000
_GRACE = 0.5
Answer = tuple[Sequence[Passage], str]
"""Of search: passages, best first, and what may be told of the character."""


@dataclass(frozen=True, slots=True)
class Found:
    """Passages for a reply.

    Attributes:
        passages: best first.
        searched: whether search has answered; else they are those that library keeps, if it keeps any.
        description: what the chapters within the spoiler limit show of the character; empty: there is no limit, or
            nothing is known.
    """

    passages: Sequence[Passage]
    searched: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that says what search answers: which passages and, under a spoiler limit, what it tells of the character."""

    novel_id: str
    query: str
    until_chapter: int | None
    character_id: str


@dataclass(frozen=True, slots=True)
class Early:
    """A search that has begun before it was known whether it is the one that is needed."""

    asked: Asked
    answer: "asyncio.Task[Answer]"

    def serves(self, asked: Asked) -> bool:
        """Whether it is this very search, and has not failed: asked now, it may well be answered."""
        answer = self.answer
        return self.asked == asked and not (answer.done() and (answer.cancelled() or answer.exception() is not None))

    def leave(self) -> None:
        """Nobody needs it any more; without effect when it has ended."""
        self.answer.cancel()


@dataclass(frozen=True, slots=True)
class PassageFinder:
    """Finds passages: by search within its time, else among those that came with the reply's context.

    Args:
        search: where they are.
        top_k: how many at most.
        seconds: how long a reply waits for search.
    """

    search: Search
    top_k: int = 6
    seconds: float = 2.0

    def begin(self, asked: Asked) -> Early:
        """Begins a search as the running call's reader; `leave` it, or it takes its time in vain."""
        with deadlines.scope(self.seconds):
            answer = asyncio.create_task(self._early(asked))
        answer.add_done_callback(_looked_at)
        return Early(asked, answer)

    async def find(self, context: ReplyContext, early: Early | None = None) -> Found:
        """The passages for the newest message, or for an opening when there is none; none beyond the spoiler limit.

        Args:
            context: of the reply.
            early: a search that is under way; it counts if it is the very one that is needed.
        """
        found: list[Passage] = []
        newest = context.history[-1].content if context.history and context.history[-1].role == "user" else ""
        query = query_of(newest or f"{context.character_name} {context.scenario_description}", context.scenario_title)
        asked = Asked(context.novel_id, query, context.until_chapter, context.character_id)
        if early is not None and not early.serves(asked):
            early.leave()
            early = None
        left = deadlines.remaining()
        seconds = self.seconds if left is None else min(self.seconds, left)
        try:
            # Calls end by their own deadline, which search's circuit counts: to it, one cut off by the timer, which is
            # there for all else, has been left by its reader.
            with deadlines.scope(seconds):
                async with asyncio.timeout(seconds + _GRACE):
                    opening = None if newest else context
                    nearest, description = await (self._ask(asked, opening, found) if early is None else early.answer)
                    found = _joined(found, within(nearest, context.until_chapter))
        except (MeshError, TimeoutError) as error:
            reason = error.reason if isinstance(error, MeshError) else "TIMEOUT"
            found = _joined(found, stand_ins(context, query, self.top_k))[: self.top_k]
            metrics.DEGRADED.labels("SEARCH_UNAVAILABLE").inc()
            log.warning("going on without search", extra={"reason": reason, "passages": len(found)})
            return Found(found, searched=False)
        return Found(found[: self.top_k], description=description)

    async def _early(self, asked: Asked) -> Answer:
        await asyncio.sleep(0)  # what library is asked goes out first: it takes longer
        return await self._ask(asked)

    async def _ask(
        self, asked: Asked, opening: ReplyContext | None = None, found: list[Passage] | None = None
    ) -> Answer:
        """Asks for passages and, beside them, for the character.

        Args:
            asked: what search is asked.
            opening: the context of an opening, which has its scenario's passages first.
            found: those of the scenario are added here, so that they are there whatever happens then.
        """
        limit = asked.until_chapter if asked.character_id else None  # without either, library tells
        describing = None if limit is None else asyncio.create_task(self._description(asked.character_id, limit))
        try:
            nearest: list[Passage] = []
            found = [] if found is None else found
            if opening is not None:
                found += within(await self._of_scenario(opening), opening.until_chapter)
            if len(found) < self.top_k:
                nearest = await self.search.search_passages(
                    asked.novel_id, asked.query, top_k=self.top_k, until_chapter=asked.until_chapter
                )
            return nearest, "" if describing is None else await describing
        finally:
            if describing is not None:
                await ended(describing)

    async def _of_scenario(self, context: ReplyContext) -> list[Passage]:
        ids = context.scenario_passage_ids[: self.top_k]
        if not ids:
            return []
        return await self.search.get_passages(context.novel_id, ids, until_chapter=context.until_chapter)

    async def _description(self, character_id: str, until_chapter: int) -> str:
        """What library has of the character tells of the whole novel: under a limit search is asked."""
        try:
            return await self.search.describe_character(character_id, until_chapter=until_chapter)
        except MeshError as error:  # a reply does without: whether search is away, the passages tell
            log.info("a character is not described", extra={"reason": error.reason})
            return ""


def _joined(first: Sequence[Passage], more: Sequence[Passage]) -> list[Passage]:
    known = {passage.passage_id for passage in first}
    return [*first, *(passage for passage in more if passage.passage_id not in known)]


def _looked_at(answer: "asyncio.Task[Answer]") -> None:
    if not answer.cancelled():
        answer.exception()  # maybe nobody needs it


def query_of(topic: str, scenario_title: str) -> str:
    """What passages about a topic are searched by."""
    room = _LONGEST_QUERY - len(scenario_title) - 1
    return f"{topic[:room]} {scenario_title}".strip()
