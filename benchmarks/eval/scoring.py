"""Whether a passage answers a query, and what a ranking is worth."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DEPTH = 10
"""Passages that count."""
MAX_WORDS = 150
"""Words of a passage that count."""
_SHARE = 0.6
"""Words of a quote in a row that make a hit."""
_APOSTROPHES = re.compile("['\u2019\u2018`_]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and what would answer it.

    Attributes:
        id: its name in the file.
        novel: the novel's file without its ending.
        text: the query.
        kind: what-if, event, paraphrase, ...
        answers: quotes; a passage with one of them is right.
    """

    id: str
    novel: str
    text: str
    kind: str
    answers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Score:
    """Means over queries: how many are answered within ten passages, and the reciprocal rank of the first answer."""

    recall: float
    mrr: float
    queries: int


def rank(passages: Iterable[str], answers: Sequence[str]) -> int:
    """The rank of the first passage that answers, from 1; 0: none of them does."""
    quotes = [(" ".join(answer.split()), _words(answer)) for answer in answers]
    for number, passage in enumerate(passages, 1):
        shown = " ".join(passage.split()[:MAX_WORDS])
        words = _words(shown)
        for flat, quote in quotes:
            if flat in shown or (quote and _longest_run(quote, words) >= math.ceil(_SHARE * len(quote))):
                return number
    return 0


def scored(ranks: Sequence[int]) -> Score:
    """What rankings are worth whose first answers have these ranks; 0: none."""
    good = [one for one in ranks if 0 < one <= DEPTH]
    count = max(len(ranks), 1)
    return Score(len(good) / count, sum(1 / one for one in good) / count, len(ranks))


def _words(text: str) -> list[str]:
    return _WORD.findall(_APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold()))


def _longest_run(quote: Sequence[str], passage: Sequence[str]) -> int:
    """The longest run of a quote's words that also stands in a passage, in words."""
    where: dict[str, list[int]] = {}
    for at, word in enumerate(passage):
        where.setdefault(word, []).append(at)
    best, before = 0, dict[int, int]()
    for word in quote:
        before = {at: before.get(at - 1, 0) + 1 for at in where.get(word, ())}
        best = max(best, *before.values()) if before else best
    return best
