"""Cuts chapters into passages of about 120 words at the ends of sentences."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from uuid import UUID, uuid5

from services.search.domain.sentences import Piece, pieces
from services.search.models import Chapter, Passage

TARGET_WORDS = 120
MAX_MEAN_WORDS = 150
"""A chapter whose passages would be longer than this on average gets one more."""
MAX_SENTENCE_WORDS = 90
"""A longer sentence may be cut."""
PARAGRAPH_BONUS = 12.0
"""How many words out of its way a cut goes for the end of a paragraph."""

_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n")


def split_passages(novel_id: str, chapters: Iterable[Chapter]) -> list[Passage]:
    """The passages of a novel in order; each lies in one chapter and knows its neighbours.

    Ids depend on the novel, the position and the text alone.
    """
    novel = UUID(novel_id)
    found: list[Passage] = []
    for chapter in chapters:
        for content in passage_texts(chapter.text):
            position = len(found)
            passage_id = str(uuid5(novel, f"passage:{position}:{content}"))
            found.append(Passage(passage_id, content, chapter.number, chapter.title, position))
    ids = ["", *(passage.id for passage in found), ""]
    return [replace(passage, previous_id=ids[at], next_id=ids[at + 2]) for at, passage in enumerate(found)]


def passage_texts(text: str) -> Iterator[str]:
    """A chapter's passages: all words once and in order, white space apart."""
    atoms = [piece for piece in pieces(text, MAX_SENTENCE_WORDS) if text[piece.start : piece.end].strip()]
    first = 0
    for last in _cuts(atoms):
        yield _tidy(text[atoms[first].start : atoms[last].end])
        first = last + 1


def _cuts(atoms: list[Piece]) -> Iterator[int]:
    """The last atom of each passage: passages of even weight, cut rather after a paragraph; no scrap is left over."""
    if not atoms:
        return
    ends = list(accumulate(atom.weight for atom in atoms))
    total = ends[-1]
    count = max(1, round(total / TARGET_WORDS))
    if total / count > MAX_MEAN_WORDS:
        count += 1
    before = -1
    for number in range(1, count):
        ideal = total * number / count
        low = max(before + 1, bisect_left(ends, ideal - TARGET_WORDS / 4))
        high = bisect_right(ends, ideal + TARGET_WORDS / 4)
        nearest = bisect_left(ends, ideal)
        choices = range(low, min(high, len(atoms) - 1)) or range(max(nearest, before + 1), len(atoms) - 1)
        if not choices:
            break
        before = min(choices, key=lambda at: abs(ends[at] - ideal) - PARAGRAPH_BONUS * atoms[at].ends_paragraph)
        yield before
    yield len(atoms) - 1


def _tidy(text: str) -> str:
    """Lines joined, paragraphs apart."""
    return "\n\n".join(" ".join(part.split()) for part in _PARAGRAPH_BREAK.split(text) if part.strip())
