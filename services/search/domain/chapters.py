"""Finds the chapters of a novel by their headings.

A heading is a line of its own such as ``Chapter 1``, ``CHAPTER I. Down the Rabbit-Hole``, ``Letter 4``,
``ADVENTURE II. THE RED-HEADED LEAGUE``, ``제1장`` or ``一``. Beside those:

- marked headings (``## The Boy``) divide a text whatever they say, if their level has several of them;
- numbers with a title may go on with a sequence that a word began (``ADVENTURE VI. ...``, then ``VII. THE ...``);
- bare numbers (``I.``, ``2``) count only in a text that has no other headings; elsewhere they divide a chapter;
- ``BOOK``, ``PART`` and ``VOLUME`` name the chapters below them, and are chapters themselves where there are none;
- headings with nothing below them, or that come again later, are a table of contents;
- a long text without headings is cut into even sections, at breaks between scenes where there are any.
"""

import re
from collections import Counter

from services.search.domain import marks
from services.search.domain.front_matter import front_of
from services.search.domain.headings import BARE, CHAPTER, NUMBERED, PART, Heading, candidates
from services.search.domain.sections import sections, without_edges
from services.search.models import Chapter

MIN_PART_WORDS = 200
"""Words directly under a part that has chapters elsewhere that make it a chapter of its own."""
_CONTENTS_WORDS = 60
"""Words below a line of a table of contents, at most."""
_AFTER_CONTENTS_WORDS = 400
"""Words between its last line and the first chapter: a title page, a dedication, a list of illustrations."""

_BEHIND_WORDS = 1_500
"""Words behind "THE END", at most, that are no part of the text."""
_THE_END = re.compile(r"(?:the end|finis|fin|끝|完)[.!]?", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n{3,}")


def split_chapters(text: str) -> list[Chapter]:
    """The chapters of a novel in the order of its text.

    Chapter 0 is there when the text before the first heading holds prose of its own, such as a preface. A text without
    headings is one chapter, or several where it is long. Numbers count from 1 whatever the headings say, because books
    of several parts begin anew in each.
    """
    lines, headings = marks.unmarked(text.split("\n"))
    if not headings:
        headings = _chosen(candidates(lines))
    headings = _without_contents(headings, lines)
    lines = lines[: _end(lines, headings[-1].last if headings else 0)]
    if not any(heading.kind != marks.MATTER for heading in headings):
        parts = [_text(without_edges(part).split("\n")) for part in sections("\n".join(lines))]
        return [Chapter(number, "", part) for number, part in enumerate(parts, 1)]
    return _assembled(headings, lines)


def _assembled(headings: list[Heading], lines: list[str]) -> list[Chapter]:
    chapters: list[Chapter] = []
    title, front = front_of(lines[: headings[0].first])
    if front:
        chapters.append(Chapter(0, title, front))
    has_chapters = any(heading.kind not in {PART, marks.MATTER} for heading in headings)
    part, carried, number = "", "", 0
    for index, heading in enumerate(headings):
        if heading.kind == marks.MATTER:
            continue
        end = headings[index + 1].first if index + 1 < len(headings) else len(lines)
        body = _text(lines[heading.last : end])
        title = heading.title
        if heading.kind == PART and has_chapters:
            part = heading.title
            last = index + 1 == len(headings) or headings[index + 1].kind == PART
            if not last and len(body.split()) < MIN_PART_WORDS:
                carried += f"{body}\n\n"  # an epigraph goes with the chapter below it
                continue
        elif part:
            title = f"{part}, {title}"
        number += 1
        chapters.append(Chapter(number, title, carried + body))
        carried = ""
    return chapters


def _end(lines: list[str], last: int) -> int:
    """The line after a text's end: what comes behind "THE END" of its last chapter is a publisher's or a copyist's."""
    words = 0
    for at in range(len(lines) - 1, last, -1):
        if _THE_END.fullmatch(lines[at]):
            return at + 1
        words += len(lines[at].split())
        if words > _BEHIND_WORDS:
            break
    return len(lines)


def _text(lines: list[str]) -> str:
    """Lines as a text; between paragraphs one empty line, however many there were."""
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _chosen(found: list[Heading]) -> list[Heading]:
    worded = [heading for heading in found if heading.kind in (CHAPTER, PART)]
    if not any(heading.kind == CHAPTER for heading in worded):
        return sorted(worded + _counted(found, BARE), key=lambda heading: heading.first) or _counted(found, NUMBERED)
    chosen: list[Heading] = []
    sequence: Heading | None = None  # the titled, worded sequence that a number may go on with
    for heading in found:
        if heading.kind in (CHAPTER, PART):
            sequence = heading if heading.titled and heading.kind == CHAPTER else None
            chosen.append(heading)
        elif heading.kind == NUMBERED and sequence is not None and heading.number == sequence.number + 1:
            sequence = heading
            chosen.append(heading)
    return chosen


def _counted(found: list[Heading], kind: str) -> list[Heading]:
    """The numbers of one kind if they count 1, 2, ... (anew in each part); otherwise none."""
    counted: list[Heading] = []
    expected = 1
    for heading in found:
        if heading.kind == PART:
            expected = 1
        elif heading.kind == kind:
            if heading.number not in {expected, counted[-1].number + 1 if counted else 1}:
                return []
            counted.append(heading)
            expected = heading.number + 1
    return counted if len(counted) > 1 else []


def _without_contents(headings: list[Heading], lines: list[str]) -> list[Heading]:
    """Drops tables of contents, and headings with nothing below them; a part may have its first chapter there."""
    headings = headings[_contents_lines(headings, lines) :]
    kept: list[Heading] = []
    for index, heading in enumerate(headings):
        after = headings[index + 1] if index + 1 < len(headings) else None
        end = after.first if after else len(lines)
        empty = not any(line.strip() for line in lines[heading.last : end])
        above = heading.kind == PART and after is not None and after.kind != PART
        if not empty or above:
            kept.append(heading)
    while kept and kept[-1].kind == PART and not any(line.strip() for line in lines[kept[-1].last :]):
        kept.pop()
    return kept


def _contents_lines(headings: list[Heading], lines: list[str]) -> int:
    """How many of the first headings are lines of a table of contents: with next to nothing below, and coming again."""
    starts = [*(heading.first for heading in headings), len(lines)]
    names = [(heading.kind, heading.word, heading.said or heading.title) for heading in headings]
    later = Counter(names)
    count = 0
    while count < len(headings):
        later[names[count]] -= 1
        if not later[names[count]]:
            break
        words = sum(len(line.split()) for line in lines[headings[count].last : starts[count + 1]])
        if words >= (_AFTER_CONTENTS_WORDS if count else _CONTENTS_WORDS):
            return count
        count += 1
        if words >= _CONTENTS_WORDS:
            return count  # its last line
    return count if count > 1 else 0
