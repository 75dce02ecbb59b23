"""The chapters of a novel that has been taken in: its table of contents."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from mesh.errors import Aborted
from services.search.domain.indexes import Indexes
from services.search.domain.searching import novel_not_found
from services.search.models import Listed, Novel
from services.search.ports import NovelStore

_ATTEMPTS = 3


class Placed(Protocol):
    """A passage, as far as a table of contents needs it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def chapter(self) -> int:
        """Its chapter's number."""

    @property
    def chapter_title(self) -> str:
        """That chapter's heading."""


class Tables:
    """Reads tables of contents: from a novel's index where that is in memory, else from the store.

    Args:
        store: where novels are.
        indexes: those in memory.
    """

    def __init__(self, store: NovelStore, indexes: Indexes) -> None:
        self._store = store
        self._indexes = indexes

    async def read(self, novel: Novel, until_chapter: int | None) -> list[Listed]:
        """The chapters that have passages, in the novel's order, none beyond the chapter limit.

        Raises:
            NotFound: reason NOVEL_NOT_FOUND: the novel was removed meanwhile.
            Aborted: reason NOVEL_REPLACED: it is replaced again and again.
            Unavailable: the store does not answer.
        """
        for _ in range(_ATTEMPTS):
            placed = await self._placed(novel)
            if len(placed) == novel.passages:
                return listed(placed, until_chapter)
            # Its generation was replaced between reading its record and this.
            current = await self._store.novel(novel.id)
            if current is None or not current.ready:
                raise novel_not_found(novel.id)
            novel = current
        raise Aborted("the novel is being replaced; try again", reason="NOVEL_REPLACED")

    async def _placed(self, novel: Novel) -> Sequence[Placed]:
        index = self._indexes.kept(novel)
        return await self._store.places(novel) if index is None else index.passages


def listed(placed: Iterable[Placed], until_chapter: int | None) -> list[Listed]:
    """The chapters of passages that come in the novel's order, up to a limit; None: all of them."""
    firsts: dict[int, Placed] = {}
    counts: Counter[int] = Counter()
    for one in placed:
        if until_chapter is None or one.chapter <= until_chapter:
            firsts.setdefault(one.chapter, one)
            counts[one.chapter] += 1
    return [
        Listed(number, firsts[number].chapter_title, firsts[number].id, counts[number]) for number in sorted(firsts)
    ]
