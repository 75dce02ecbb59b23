"""Cuts chapters into passages of about 140 words at the ends of sentences, 150 at most."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from uuid import UUID, uuid5

from services.search.domain.sentences import Piece, pieces
from services.search.models import Chapter, Passage

TARGET_WORDS = 146
MAX_WORDS = 150
"""Words of a passage at most, unless its first sentence has more."""
STRAY_WORDS = 35
"""How far from an even share a cut may be."""
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
    """The last atom of each passage: passages of even weight, cut rather after a paragraph; no scrap is left over.

    What is left of the chapter is shared out anew after each cut, so that all others make up for an uneven passage.
    """
    ends = list(accumulate(atom.weight for atom in atoms))
    first, done = 0, 0.0
    while first < len(atoms):
        rest = ends[-1] - done
        count = max(round(rest / TARGET_WORDS), math.ceil(rest / MAX_WORDS))
        if count <= 1:
            yield len(atoms) - 1
            return
        ideal = done + rest / count
        longest = max(bisect_right(ends, done + MAX_WORDS, first) - 1, first)
        near = bisect_right(ends, ideal - STRAY_WORDS, first)
        choices = range(min(near, longest), min(longest, len(atoms) - 2) + 1) or (first,)
        last = min(choices, key=lambda at: abs(ends[at] - ideal) - PARAGRAPH_BONUS * atoms[at].ends_paragraph)
        yield last
        first, done = last + 1, ends[last]


def _tidy(text: str) -> str:
    """Lines joined, paragraphs apart."""
    return "\n\n".join(" ".join(part.split()) for part in _PARAGRAPH_BREAK.split(text) if part.strip())
