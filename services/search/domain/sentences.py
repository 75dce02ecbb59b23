"""Finds where a text may be cut: paragraphs, sentences, and pieces of sentences that are too long."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

CHARACTERS_PER_WORD = 2.8
"""Characters of Korean, Chinese or Japanese that say about as much as an English word."""
LONGEST_MEAN_WORD = 12
"""Characters of a word on average, beyond which length is counted instead of words."""
MAX_PIECE_CHARACTERS = 800
"""A run without any place to cut is cut here."""

_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_WORD = re.compile(r"\S+")
_DENSE_SCRIPT = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_SENTENCE_END = re.compile(
    r"""[.!?\u2026]+["'\u2019\u201d\u00bb)\]]*(?=\s)      # a mark, closing quotes, white space
      | [\u3002\uff01\uff1f]+["'\u2019\u201d\u300d\u300f)]*  # a full-width mark needs no white space
    """,
    re.VERBOSE,
)
_NOT_AN_END = re.compile(
    r"(?:^|[\s.(\"'\u2018\u201c\u2014-])(?:Mr|Mrs|Ms|Messrs|Mme|Mlle|Dr|Prof|Rev|Hon|Capt|Col|Gen|Lieut|Lt|Sergt?|Esq|St|Ste|Jr|Sr|No|vol|chap"
    r"|viz|etc|i\.e|e\.g|Jan|Feb|Aug|Sept?|Oct|Nov|Dec|[A-Z])\.$"
)
_CLAUSE_END = re.compile(r"[,;:\u2014]+[\"'\u2019\u201d]*\s|--\s|[\u3001\uff0c\uff1b]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is not cut.

    Attributes:
        start: its first character.
        end: the character after it, white space included, so that pieces follow each other without gaps.
        weight: its length in words, or what says as much in a script that is written more densely.
        ends_paragraph: whether a paragraph ends with it.
    """

    start: int
    end: int
    weight: float
    ends_paragraph: bool


def weight(text: str) -> float:
    """The length of a text in words, or what says as much in a denser script."""
    dense = len(_DENSE_SCRIPT.findall(text))
    if not dense:
        return max(float(len(text.split())), len(text) / LONGEST_MEAN_WORD)
    plain = _DENSE_SCRIPT.sub(" ", text)
    return dense / CHARACTERS_PER_WORD + sum(any(char.isalnum() for char in word) for word in plain.split())


def pieces(text: str, maximum: float) -> Iterator[Piece]:
    """The text as sentences, each of at most so many words: a longer one is cut at clauses, else at words.

    Every character is in exactly one piece, in order, but for white space before the first.
    """
    for start, end in _paragraphs(text):
        last = end
        for first, after in _sentences(text, start, end):
            for a, b in _shortened(text, first, after, maximum):
                yield Piece(a, b, weight(text[a:b]), ends_paragraph=b == last)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the white space around them."""
    return [
        text[first:after].strip() for start, end in _paragraphs(text) for first, after in _sentences(text, start, end)
    ]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = len(text) - len(text.lstrip())
    for gap in _PARAGRAPH_BREAK.finditer(text, start):
        if gap.start() > start:
            yield start, gap.end()
        start = gap.end()
    if start < len(text):
        yield start, len(text)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for match in _SENTENCE_END.finditer(text, start, end):
        after = match.end()
        if _NOT_AN_END.search(text, max(0, after - 12), after):
            continue
        while after < end and text[after].isspace():
            after += 1
        # What goes on in lower case is the same sentence: `"Where?" said Alice.`
        if after < end and not text[after].islower():
            yield first, after
            first = after
    if first < end:
        yield first, end


def _shortened(text: str, start: int, end: int, maximum: float) -> Iterator[tuple[int, int]]:
    if weight(text[start:end]) <= maximum:
        yield start, end
        return
    cuts = [match.end() for match in _CLAUSE_END.finditer(text, start, end)]
    first = start
    for cut, following in zip([*cuts, end], [*cuts[1:], end, end], strict=False):
        if cut == end or weight(text[first:following]) > maximum:
            yield from _words(text, first, cut, maximum)
            first = cut


def _words(text: str, start: int, end: int, maximum: float) -> Iterator[tuple[int, int]]:
    first, total = start, 0.0
    for word in _WORD.finditer(text, start, end):
        for a in range(word.start(), word.end(), MAX_PIECE_CHARACTERS):
            b = min(a + MAX_PIECE_CHARACTERS, word.end())
            heavy = weight(text[a:b])
            if a > first and total + heavy > maximum:
                yield first, a
                first, total = a, 0.0
            total += heavy
    if first < end:
        yield first, end
