"""Stretch around a passage: those before and after it, as they follow each other in the novel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.errors import NotFound
from services.search.models import Novel, Passage
from services.search.ports import NovelStore

MOST_AROUND = 10
"""Passages on each side at most."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A passage and those around it.

    Attributes:
        passages: in the novel's order; the last one's next_id is empty where the limit ends the reading.
        index: the place of the one asked for among them.
        more_before: whether there are passages before these.
        more_after: whether there are passages after these, within the limit.
        until_chapter: the last chapter that may be shown.
    """

    passages: Sequence[Passage]
    index: int
    more_before: bool
    more_after: bool
    until_chapter: int


class Around:
    """Reads around passages.

    Args:
        store: where they are.
    """

    def __init__(self, store: NovelStore) -> None:
        self._store = store

    async def read(
        self, novel: Novel, passage_id: str, *, before: int, after: int, until_chapter: int | None
    ) -> Stretch:
        """A passage with its neighbours.

        Args:
            novel: its record.
            passage_id: the passage in the middle.
            before: how many neighbours before it at most.
            after: how many after it.
            until_chapter: the last chapter that may be shown; None: the passage's own.

        Raises:
            NotFound: reason PASSAGE_NOT_FOUND: the novel has no such passage, or none within the limit.
            Unavailable: the store does not answer.
        """
        for _ in range(_ATTEMPTS):
            stretch = await self._read(novel, passage_id, before, after, until_chapter)
            if stretch is not None:
                return stretch
            # Its generation may have been replaced between reading the novel's record and this.
            current = await self._store.novel(novel.id)
            if current is None or current.generation == novel.generation:
                break
            novel = current
        raise passage_not_found(passage_id)

    async def _read(
        self, novel: Novel, passage_id: str, before: int, after: int, until_chapter: int | None
    ) -> Stretch | None:
        found = await self._store.passages(novel, [passage_id], until_chapter)
        middle = found.get(passage_id)
        if middle is None:
            return None
        limit = middle.chapter if until_chapter is None else until_chapter
        first = max(0, middle.position - before)
        # One more than is shown tells whether there are more.
        around = await self._store.stretch(novel, first, middle.position + after + 1)
        return within_limit(around, middle, before, after, limit)


def within_limit(around: Sequence[Passage], middle: Passage, before: int, after: int, limit: int) -> Stretch | None:
    """What may be shown of a stretch of a novel; None: its passage in the middle is not there, or beyond the limit.

    Args:
        around: passages in the novel's order, one more on each side than is shown where there are so many.
        middle: the passage that was asked for.
        before: how many neighbours before it at most.
        after: how many after it.
        limit: the last chapter that may be shown.
    """
    allowed = [passage for passage in around if passage.chapter <= limit]
    last = middle.position + after
    shown = [passage for passage in allowed if middle.position - before <= passage.position <= last]
    index = next((at for at, passage in enumerate(shown) if passage.id == middle.id), None)
    if index is None:
        return None
    more_after = any(passage.position > last for passage in allowed)
    if not more_after:
        # What comes next, if anything, is beyond the limit: nobody is led there.
        shown[-1] = replace(shown[-1], next_id="")
    return Stretch(shown, index, shown[0].position > 0, more_after, limit)


def passage_not_found(passage_id: str) -> NotFound:
    """The novel has no such passage, or none within the limit."""
    return NotFound(
        f"there is no passage {passage_id} in the novel within the chapters that may be shown",
        reason="PASSAGE_NOT_FOUND",
        fields={"passage_id": "names no passage of the novel within the chapters that may be shown"},
    )
