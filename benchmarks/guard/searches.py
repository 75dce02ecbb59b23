"""A search that no cache knows, but for what its embedding model does."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.guard.paths import Round, Site
from services.search.domain.indexes import Indexes
from services.search.domain.searching import Searching
from services.search.models import Novel, Passage
from services.search.ports import Contents, Question, Reading, Tokens

PASSAGES, WORDS, CHAPTERS, VOCABULARY = 400, 140, 20, 6_000
_DIMENSION, _TOKENS, _STATE = 384, 60, 128
_NOVEL = str(UUID(int=1, version=4))
_QUERIES = 10


class Book:
    """A novel that nobody wrote: words drawn by Zipf's law, vectors at random, the same each time."""

    def __init__(self) -> None:
        self._draw = random.Random(1)  # noqa: S311 - no secret
        self._numbers = np.random.default_rng(1)
        letters = "etaoinshrdlucmfwyp"
        self._words = ["".join(self._draw.choices(letters, k=self._draw.randint(3, 10))) for _ in range(VOCABULARY)]
        self._shares = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
        self.novel = Novel(
            _NOVEL, "", public=True, generation=1, language="en", embedder="fixed", dimension=_DIMENSION,
            words=PASSAGES * WORDS, chapters=CHAPTERS, passages=PASSAGES,
        )  # fmt: skip
        passages = [
            Passage(str(UUID(int=number + 2)), self.text(WORDS), 1 + number * CHAPTERS // PASSAGES, "", number)
            for number in range(PASSAGES)
        ]
        vectors = np.stack([self.vector() for _ in passages])
        self._contents = Contents(passages, Reading(vectors, [self.tokens(_TOKENS) for _ in passages]))
        self._questions = {self.text(8): Question(self.vector(), self.tokens(6)) for _ in range(_QUERIES)}

    def text(self, count: int) -> str:
        """So many words."""
        return " ".join(self._draw.choices(self._words, cum_weights=self._shares, k=count))

    def vector(self) -> Any:
        """A unit vector."""
        drawn = self._numbers.normal(size=_DIMENSION).astype(np.float32)
        return drawn / np.linalg.norm(drawn)

    def tokens(self, count: int) -> Tokens:
        """Of a text of about so many."""
        ids = self._numbers.integers(0, 30_000, count, dtype=np.uint16)
        return Tokens(ids, self._numbers.integers(-20, 21, (count, _STATE), dtype=np.int8))

    @property
    def queries(self) -> Sequence[str]:
        """What it is searched for."""
        return list(self._questions)

    # What search needs of its store and its models:

    async def contents(self, novel: Novel) -> Contents:
        """All of it."""
        return self._contents

    async def ask(self, embedder: str, text: str) -> Question:
        """A query as a model would have read it."""
        return self._questions[text]


@asynccontextmanager
async def ranked(site: Site) -> AsyncIterator[Round]:
    """From the query's words to the passages that fit best."""
    book = Book()
    parts: Any = book  # of the two protocols, what a search asks of them
    searching = Searching(parts, parts, Indexes(parts, 1_000_000_000))

    async def run() -> int:
        for query in book.queries:
            found = await searching.search(book.novel, query, 10, None)
            assert len(found) == 10
        return len(book.queries)

    yield run
