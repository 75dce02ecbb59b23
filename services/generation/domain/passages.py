"""Which passages of the book a reply is given. A reply without them is poorer, but it comes."""

import asyncio
from dataclasses import dataclass

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.generation.ports import Passage, ReplyContext, Search

log = get_logger(__name__)
_LONGEST_QUERY = 4_000


@dataclass(frozen=True, slots=True)
class PassageFinder:
    """Finds passages, within its time or not at all.

    Args:
        search: where they are.
        top_k: how many at most.
        seconds: how long a reply waits for them.
    """

    search: Search
    top_k: int = 6
    seconds: float = 5.0

    async def find(self, context: ReplyContext) -> list[Passage]:
        """The passages for the newest message, or for an opening when there is none; best first."""
        found: list[Passage] = []
        newest = context.history[-1].content if context.history and context.history[-1].role == "user" else ""
        try:
            async with asyncio.timeout(self.seconds):
                if not newest:
                    found += await self._of_scenario(context)
                if len(found) < self.top_k:
                    nearest = await self.search.search_passages(
                        context.novel_id,
                        _query(context, newest),
                        top_k=self.top_k,
                        until_chapter=context.until_chapter,
                    )
                    known = {passage.passage_id for passage in found}
                    found += [passage for passage in nearest if passage.passage_id not in known]
        except (MeshError, TimeoutError) as error:
            reason = error.reason if isinstance(error, MeshError) else "TIMEOUT"
            log.warning("going on without the passages of search", extra={"reason": reason, "found": len(found)})
        return found[: self.top_k]

    async def _of_scenario(self, context: ReplyContext) -> list[Passage]:
        ids = context.scenario_passage_ids[: self.top_k]
        if not ids:
            return []
        return await self.search.get_passages(context.novel_id, ids, until_chapter=context.until_chapter)


def _query(context: ReplyContext, newest: str) -> str:
    topic = newest or f"{context.character_name} {context.scenario_description}"
    room = _LONGEST_QUERY - len(context.scenario_title) - 1
    return f"{topic[:room]} {context.scenario_title}".strip()
