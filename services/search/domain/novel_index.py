"""One generation of a novel, in memory, ready to be searched exactly."""

from collections.abc import Sequence

import numpy as np

from services.search.domain import ranking
from services.search.domain.late_interaction import LateInteraction
from services.search.domain.lexical import Bm25, analyzer
from services.search.domain.ranking import Scores
from services.search.domain.second_reading import Asked
from services.search.models import Found, Passage
from services.search.ports import Contents, Question

_PER_PASSAGE = 1_500
"""Bytes of a passage's text and objects, roughly."""
MAX_DISTANCE = 2.0


class NovelIndex:
    """An index of a novel's passages. It takes a tenth of a second to build and changes no more.

    A chapter limit is applied before anything is looked at: what lies beyond it has no part in any score.

    Args:
        contents: the passages, and how a model read them.
        language: the novel's, a BCP 47 tag.

    Attributes:
        passages: in the order of the novel.
    """

    def __init__(self, contents: Contents, language: str) -> None:
        self.passages: Sequence[Passage] = contents.passages
        self._vectors = np.ascontiguousarray(contents.reading.vectors, dtype=np.float32)
        self._chapters = np.asarray([passage.chapter for passage in contents.passages], dtype=np.int32)
        self._analyzer = analyzer(language)
        self._words = Bm25([self._analyzer(passage.content) for passage in contents.passages])
        tokens = contents.reading.tokens
        self._detail = None if tokens is None else LateInteraction(tokens)

    def __len__(self) -> int:
        """How many passages there are."""
        return len(self.passages)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, roughly."""
        detail = 0 if self._detail is None else self._detail.nbytes
        return self._vectors.nbytes + self._words.nbytes + detail + _PER_PASSAGE * len(self)

    def search(
        self,
        query: str,
        question: Question,
        top_k: int,
        until_chapter: int | None,
        second: Asked | None = None,
    ) -> list[Found]:
        """The passages that fit best, best first; equally good ones in the order of the novel.

        Args:
            query: what is looked for.
            question: the same as the model of the novel's passages reads it.
            top_k: how many at most.
            until_chapter: the last chapter that may be seen; None: no limit.
            second: the same of the novel's second reading; None: without. In another language than the novel's it
                stands in for what reads the novel's language alone.
        """
        first = self.visible(until_chapter)
        if not first:
            return []
        views = self.views(query, question, first, second)
        likeness = views["foreign passage" if second is not None and second.foreign else "meaning"]
        fit = ranking.fused(views, self._chapters[:first])
        best = np.argsort(-fit, kind="stable")[:top_k]
        return [
            Found(
                self.passages[at],
                distance=min(max(1.0 - float(likeness[at]), 0.0), MAX_DISTANCE),
                score=ranking.score(float(fit[at])),
            )
            for at in best
        ]

    def views(self, query: str, question: Question, first: int, second: Asked | None = None) -> dict[str, Scores]:
        """How well each of the first passages fits by each of the ways there are, as if there were no others."""
        views = {"words": self._words.scores(self._analyzer(query), first)}
        if second is not None:
            views |= second.views(first)
            if second.foreign:
                return views
        views["meaning"] = self._vectors[:first] @ question.vector
        if self._detail is not None and question.tokens is not None:
            views["detail"] = self._detail.scores(question.tokens, first)
        return views

    def visible(self, until_chapter: int | None) -> int:
        """How many passages from the beginning may be seen: none from the first on that lies beyond the limit."""
        if until_chapter is None:
            return len(self)
        beyond = np.flatnonzero(self._chapters > until_chapter)
        return int(beyond[0]) if len(beyond) else len(self)
