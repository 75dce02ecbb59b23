"""Divides a text without headings: even sections, cut at breaks between scenes where there are any."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from services.search.domain.sentences import weight

SECTION_WORDS = 4_000
"""Words of a section, about as many as a chapter has."""
MIN_UNDIVIDED_WORDS = 12_000
"""A shorter text without headings stays whole: it is a story."""

_SCENE_BREAK = re.compile(
    r"^[^\S\n]*(?:(?:[*\u2217\uff0a\u203b\u25c6\u25c7\u25cb\u25cf\u25a0\u25a1\u2606\u2605#~\u2022\u00b7=_\u2014\u2013-][^\S\n]*){3,40}"
    r"|[\u2042\u203b\u25c7\u25c6#*])[^\S\n]*$",
    re.MULTILINE,
)
_WIDE_GAP = re.compile(r"\n(?:[^\S\n]*\n){3,}")
_GAP = re.compile(r"\n[^\S\n]*\n")
_LINE = re.compile(r"\n")
_SPACE = re.compile(r"\s")


def sections(text: str) -> list[str]:
    """The text in even parts; one, where it is not long."""
    total = weight(text)
    if total < MIN_UNDIVIDED_WORDS:
        return [text]
    count = round(total / SECTION_WORDS)
    # From the best place to cut to the poorest; each is looked for when the one before offers nothing.
    kinds = [_ends(pattern, text) for pattern in (_SCENE_BREAK, _WIDE_GAP, _GAP, _LINE, _SPACE)]
    cuts = [0, *_cuts(kinds, len(text), count), len(text)]
    return [text[a:b] for a, b in pairwise(cuts) if text[a:b].strip()]


def without_edges(section: str) -> str:
    """A section without the marks of scene breaks at its ends."""
    lines = section.strip("\n").split("\n")
    while lines and (not lines[-1].strip() or _SCENE_BREAK.fullmatch(lines[-1])):
        lines.pop()
    while lines and (not lines[0].strip() or _SCENE_BREAK.fullmatch(lines[0])):
        lines.pop(0)
    return "\n".join(lines)


def _ends(pattern: "re.Pattern[str]", text: str) -> list[int]:
    return [match.end() for match in pattern.finditer(text)]


def _cuts(kinds: Sequence[Sequence[int]], length: int, count: int) -> Iterator[int]:
    width = length / count
    last = 0
    for number in range(1, count):
        ideal = round(width * number)
        cut = next((near for places in kinds if (near := _nearest(places, ideal, width / 3)) is not None), ideal)
        if cut > last:
            yield cut
            last = cut


def _nearest(places: Sequence[int], ideal: int, reach: float) -> int | None:
    at = bisect_left(places, ideal)
    near = min(places[max(0, at - 1) : at + 1], key=lambda place: abs(place - ideal), default=None)
    return near if near is not None and abs(near - ideal) <= reach else None
