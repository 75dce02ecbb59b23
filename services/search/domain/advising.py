"""Searches with the advice of a language model.

The plain ranking finds nearly everything among its first fifty passages; what lacks is their order. Where a model is
configured, it says what the novel tells where a question supposes something else (`rewriting`), while the plain search
runs, and puts the first passages into order (`reranking`). Without its answer within the time that there is, a search
is what it would be without a model.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mesh import deadlines
from mesh.errors import MeshError
from mesh.process import ended
from services.search.domain import rewriting
from services.search.domain.asking import Asking
from services.search.domain.reranking import Reranker
from services.search.domain.searching import Searching
from services.search.models import Found, Novel

RESERVE_SECONDS = 0.3
"""Kept back of the caller's time for the plain ranking, should there be no advice."""
LEAST_SECONDS = 0.5
"""In less than that no model puts forty passages into order: the search goes without."""
_REWRITING_SHARE = 0.4
"""The part of the time that rewriting may take; the rest is for what brings more."""
_STATEMENT_DEPTH = 100
"""Passages that a statement tells apart."""

Rewrites = Literal["never", "what-ifs", "all"]


class UnadvisedError(Exception):
    """The model is not asked, or has not answered well and in time: the plain ranking holds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What advice may take.

    Attributes:
        seconds: that a search waits for it at most.
        candidates: passages that are put into order.
        context: tokens of the model's context window.
        rewrites: which queries are rewritten.
    """

    seconds: float = 2.5
    candidates: int = 40
    context: int = 32_768
    rewrites: Rewrites = "what-ifs"


class Advising:
    """Answers searches with a model's advice.

    Args:
        searching: the plain search.
        asking: the model.
        bounds: what it may take.
        clock: seconds, never stepping.

    Attributes:
        name: the model's.
        bounds: what it may take.
    """

    def __init__(
        self, searching: Searching, asking: Asking, bounds: Bounds, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._searching = searching
        self._asking = asking
        self.bounds = bounds
        self._clock = clock
        self._reranker = Reranker(asking, bounds.candidates, bounds.context)
        self.name = asking.name

    def key(self, plain: str) -> str:
        """The cache key of a search with advice, by that of the same search without."""
        start, _, top_k = plain.rpartition(":")
        novel, _, _ = start.rpartition(":")
        said = (plain, self.name, str(self.bounds.candidates), self.bounds.rewrites)
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()
        return f"{novel}:{digest[:32]}:{top_k}"

    def seconds(self) -> float:
        """How long a search may wait for advice, by its caller's deadline."""
        left = deadlines.remaining()
        return self.bounds.seconds if left is None else min(self.bounds.seconds, left - RESERVE_SECONDS)

    async def search(
        self, novel: Novel, query: str, top_k: int, until_chapter: int | None, *, by_sentences: bool | None = None
    ) -> list[Found]:
        """The passages of a novel that fit a query best, best first, none beyond the chapter limit.

        The model is shown passages within that limit alone.

        Raises:
            UnadvisedError: there is no advice.
            MeshError: as `Searching.search`.
            UnreadError: likewise.
        """
        seconds = self.seconds()
        if seconds < LEAST_SECONDS or not self._asking.ready():
            raise UnadvisedError
        until = self._clock() + seconds
        rewrites = self.bounds.rewrites
        rewriting_it = rewrites == "all" or (rewrites == "what-ifs" and rewriting.is_what_if(query))
        # A statement may lift a passage from anywhere; else those to be put into order are enough.
        depth = novel.passages if rewriting_it else max(self.bounds.candidates, top_k)
        statements = asyncio.create_task(
            self._statements(novel, query, until_chapter, seconds * _REWRITING_SHARE) if rewriting_it else _nothing()
        )
        try:
            depth = max(depth, top_k)
            found = await self._searching.search(novel, query, depth, until_chapter, by_sentences=by_sentences)
            if others := await statements:
                found = await asyncio.to_thread(rewriting.fused, found, others)
        finally:
            await ended(statements)
        reranked = await self._reranker.reranked(query, found, top_k, until, self._clock)
        if reranked is None:
            raise UnadvisedError
        return reranked[:top_k]

    async def _statements(
        self, novel: Novel, query: str, until_chapter: int | None, seconds: float
    ) -> Sequence[Sequence[Found]]:
        """What each statement of the model finds; nothing: there are none."""
        asked = rewriting.inquiry(query, novel.language)
        statements = await self._asking.ask("rewrite", asked, rewriting.read_statements, seconds)
        try:
            return await asyncio.gather(
                *(
                    self._searching.search(novel, statement, _STATEMENT_DEPTH, until_chapter)
                    for statement in statements or ()
                )
            )
        except MeshError:
            return ()  # the query's own search says it, or has done better


async def _nothing() -> Sequence[Sequence[Found]]:
    return ()
