"""What is looked for: words of the novel itself, so that any novel will do."""

from collections.abc import Iterator, Sequence
from itertools import count

from services.search.models import Passage

WORDS = 12
"""Words of a query: a sentence's worth, as people write who ask for a scene."""


def queries_of(passages: Sequence[Passage], number: int) -> list[str]:
    """So many queries, or as many as there are passages of enough words, from all over the novel."""
    texts = [passage.content.split() for passage in passages]
    texts = [words for words in texts if len(words) >= WORDS]
    step = max(1, len(texts) // number)
    return [" ".join(words[:WORDS]) for words in texts[::step]][:number]


class Reworded:
    """Gives each query another form whenever it is asked for, so that no cache has it; it finds the same all the same.

    Words stand apart by one blank or two: 2 ** 11 forms of a query of `WORDS` words. Models and stemmers make no
    difference between them, keys of caches do.
    """

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count()

    def form(self, query: str) -> str:
        """One that nobody was given before.

        Raises:
            RuntimeError: there are no more.
        """
        number = next(self._numbers)
        if number >= 1 << (WORDS - 1):
            raise RuntimeError("every form of a query was given; ask for fewer rounds")
        first, *others = query.split()
        return first + "".join(f"{'  ' if number >> at & 1 else ' '}{word}" for at, word in enumerate(others))
