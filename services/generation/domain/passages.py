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

    async def find(self, context: ReplyContext) -> Found:
        """The passages for the newest message, or for an opening when there is none; none beyond the spoiler limit."""
        found: list[Passage] = []
        newest = context.history[-1].content if context.history and context.history[-1].role == "user" else ""
        query = _query(context, newest)
        left = deadlines.remaining()
        seconds = self.seconds if left is None else min(self.seconds, left)
        try:
            # Calls end by their own deadline, which search's circuit counts: to it, one cut off by the timer, which is
            # there for all else, has been left by its reader.
            with deadlines.scope(seconds):
                async with asyncio.timeout(seconds + _GRACE):
                    describing = self._describing(context)
                    try:
                        if not newest:
                            found += within(await self._of_scenario(context), context.until_chapter)
                        if len(found) < self.top_k:
                            nearest = await self.search.search_passages(
                                context.novel_id, query, top_k=self.top_k, until_chapter=context.until_chapter
                            )
                            found = _joined(found, within(nearest, context.until_chapter))
                        description = await describing if describing else ""
                    finally:
                        if describing:
                            await ended(describing)
        except (MeshError, TimeoutError) as error:
            reason = error.reason if isinstance(error, MeshError) else "TIMEOUT"
            found = _joined(found, stand_ins(context, query, self.top_k))[: self.top_k]
            metrics.DEGRADED.labels("SEARCH_UNAVAILABLE").inc()
            log.warning("going on without search", extra={"reason": reason, "passages": len(found)})
            return Found(found, searched=False)
        return Found(found[: self.top_k], description=description)

    async def _of_scenario(self, context: ReplyContext) -> list[Passage]:
        ids = context.scenario_passage_ids[: self.top_k]
        if not ids:
            return []
        return await self.search.get_passages(context.novel_id, ids, until_chapter=context.until_chapter)

    def _describing(self, context: ReplyContext) -> "asyncio.Task[str] | None":
        """What library has of the character tells of the whole novel: under a limit, and only then, search is asked."""
        if context.until_chapter is None or not context.character_id:
            return None
        return asyncio.create_task(self._description(context.character_id, context.until_chapter))

    async def _description(self, character_id: str, until_chapter: int) -> str:
        try:
            return await self.search.describe_character(character_id, until_chapter=until_chapter)
        except MeshError as error:  # a reply does without: whether search is away, the passages tell
            log.info("a character is not described", extra={"reason": error.reason})
            return ""


def _joined(first: Sequence[Passage], more: Sequence[Passage]) -> list[Passage]:
    known = {passage.passage_id for passage in first}
    return [*first, *(passage for passage in more if passage.passage_id not in known)]


def _query(context: ReplyContext, newest: str) -> str:
    topic = newest or f"{context.character_name} {context.scenario_description}"
    room = _LONGEST_QUERY - len(context.scenario_title) - 1
    return f"{topic[:room]} {context.scenario_title}".strip()
