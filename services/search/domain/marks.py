"""Headings that a text marks, as Markdown does (``## Chapter 1``): which of their levels is that of chapters."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from services.search.domain.headings import BARE, CHAPTER, NUMBERED, PART, Heading, heading_of, read_heading

OTHER, MATTER = "other", "matter"
"""Kinds of headings: one that no words betray, and one above what is no part of the story."""
LEAST = 2
"""Chapters at least, for the marks to divide a text."""
_PART_WORDS = 40
"""Words directly below a heading that is a part, and has its chapters below it, in the middle."""

_MARK = re.compile(r"(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*")
_MATTER = re.compile(
    r"(?:table of )?contents|(?:list of )?illustrations|cover|title\s?page|copyright(?: page)?|imprint|colophon"
    r"|dedication|acknowledge?ments?|about the (?:author|publisher)|also by .{1,60}|books by .{1,60}|foot\s?notes?"
    r"|end\s?notes|notes|index|bibliography|glossary|transcriber[\u2019']?s[\u2019']? notes?|praise for .{1,60}"
    r"|the full project gutenberg.{0,60}|credits|advertisements?|차례|목차|판권|표지|저작권|작가 소개|지은이|주석|미주",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Mark:
    at: int
    level: int
    title: str
    kind: str
    match: "re.Match[str] | None"
    words: int = 0  # directly below it


def unmarked(lines: Sequence[str]) -> tuple[list[str], list[Heading]]:
    """The lines without marks and with single spaces, and the headings that divide the text; none: none do."""
    plain = [" ".join(line.split()) for line in lines]  # verse may be indented; passages are not
    marks: list[_Mark] = []
    for at, line in enumerate(lines):
        found = _MARK.fullmatch(line) if line.startswith("#") else None
        if found is None:
            continue
        plain[at] = title = " ".join(found[2].split())
        kind, match = read_heading(title) or (OTHER, None)
        if kind == OTHER and _MATTER.fullmatch(title.strip(" .:")):
            kind = MATTER
        marks.append(_Mark(at, len(found[1]), title, kind, match))
    for mark, end in zip(marks, [*(mark.at for mark in marks[1:]), len(plain)], strict=False):
        mark.words = sum(len(line.split()) for line in plain[mark.at + 1 : end])
    return plain, _chapters(marks)


def _chapters(marks: list[_Mark]) -> list[Heading]:
    worded = next(
        (some for kinds in ((CHAPTER,), (NUMBERED, BARE)) if len(some := _of(marks, kinds)) >= LEAST), list[_Mark]()
    )
    level = Counter(mark.level for mark in worded).most_common(1)[0][0] if worded else _dividing(marks)
    if level is None:
        return []
    first = next((mark.at for mark in worded if mark.level == level), -1)
    chapters = [mark for mark in marks if mark.level == level and mark.kind not in {MATTER, PART} and mark.at >= first]
    if len(chapters) < LEAST:
        return []
    begin = chapters[0].at
    higher = [mark for mark in marks if mark.level < level and mark.kind != MATTER]
    # One name above all chapters is the book's; parts begin among the chapters as well.
    among = bool(higher) and higher[-1].at > begin
    parts = [mark for mark in higher if among or mark.kind == PART]
    parts += [mark for mark in marks if mark.level >= level and mark.kind == PART]
    matter = [mark for mark in marks if mark.kind == MATTER and mark.level <= level]
    rows = sorted({mark.at: mark for mark in (*chapters, *parts, *matter)}.values(), key=lambda mark: mark.at)
    part_places = {mark.at for mark in parts}
    following = {mark.at: after for mark, after in pairwise(marks)}
    return [_heading(mark, following.get(mark.at), PART if mark.at in part_places else "") for mark in rows]


def _of(marks: list[_Mark], kinds: tuple[str, ...]) -> list[_Mark]:
    return [mark for mark in marks if mark.kind in kinds]


def _dividing(marks: list[_Mark]) -> int | None:
    """The outermost level that divides a text whose headings say nothing of chapters."""
    levels = sorted({mark.level for mark in marks})
    for level in levels:
        own = [mark.words for mark in marks if mark.level == level and mark.kind == OTHER]
        deeper = sum(mark.level > level for mark in marks)
        if len(own) >= LEAST and (median(own) >= _PART_WORDS or deeper < LEAST):
            return level
    return None


def _heading(mark: _Mark, after: _Mark | None, kind: str) -> Heading:
    title, last = mark.title, mark.at + 1
    # "CHAPTER I" and, a level deeper and with nothing between, its title.
    below = after is not None and after.level > mark.level and after.kind == OTHER
    if mark.kind == CHAPTER and not mark.words and after is not None and below:
        title, last = f"{title.rstrip('.:')}. {after.title}", after.at + 1
    if mark.match is not None:
        return heading_of(kind or mark.kind, mark.match, title, mark.at, last)
    return Heading(kind or mark.kind, "", 0, "", titled=False, title=title, first=mark.at, last=last)
