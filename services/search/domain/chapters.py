"""Finds the chapters of a plain-text novel by their headings.

A heading is a line of its own such as ``Chapter 1``, ``CHAPTER I. Down the Rabbit-Hole``, ``Letter 4``,
``ADVENTURE II. THE RED-HEADED LEAGUE`` or ``제1장``. Beside those:

- numbers with a title may go on with a sequence that a word began (``ADVENTURE VI. ...``, then ``VII. THE ...``);
- bare numbers (``I.``, ``2``) count only in a text that has no other headings; elsewhere they divide a chapter;
- ``BOOK``, ``PART`` and ``VOLUME`` name the chapters below them, and are chapters themselves where there are none;
- headings with nothing below them are a table of contents.
"""

import re
from dataclasses import dataclass

from services.search.models import Chapter

MAX_HEADING = 100
"""Characters of a heading at most; a longer line is prose."""
MIN_FRONT_WORDS = 40
"""Words before the first heading that make it a chapter 0; fewer are title and author."""
MIN_PART_WORDS = 200
"""Words directly under a part that has chapters elsewhere that make it a chapter of its own."""

_ROMAN = r"(?=[IVXLC])(?:C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_WORDS = (
    _ONES + " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety first second third fourth fifth"
    " sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth"
    " eighteenth nineteenth twentieth thirtieth last"
).split()
_WORD_NUMBER = rf"(?:the\s+)?(?:{'|'.join(_WORDS)})(?:[-\s](?:{'|'.join(_WORDS)}))?"
_NUMBER = rf"(?P<number>\d{{1,4}}|{_ROMAN}|(?i:{_WORD_NUMBER}))"
# A title follows a mark (": Title", "--CONCLUSION") or begins with a capital ("Chapter 1 The Boy").
_TITLE = r"(?P<title>\s*(?:[.:)\u2013\u2014\u2015]|-{1,2})\s*\S.*|\s+(?=[A-Z\u00c0-\u00de\"'\u2018\u201c(\[]).+)?"
_END = r"\s*[.:]?\s*"

_CHAPTER = re.compile(
    rf"(?P<word>(?i:chapter|letter|adventure|chap\.|stave|canto|scene)){_END}\s{_NUMBER}{_TITLE}{_END}"
)
_PART = re.compile(rf"(?P<word>(?i:book|part|volume|vol\.)){_END}\s{_NUMBER}{_TITLE}{_END}")
_EPILOGUE = re.compile(r"(?P<word>EPILOGUE|Epilogue|에필로그)(?P<number>)(?P<title>)[.:]?")
_KOREAN_CHAPTER = re.compile(
    r"(?P<word>제\s*)?(?P<number>(?(word)[\d일이삼사오육칠팔구십백]{1,6}|\d{1,4}))\s*[장화회]"
    r"(?P<title>\s*[.:\u2013\u2014-]\s*\S.*|\s+\S.*)?"
)
_KOREAN_PART = re.compile(
    r"(?P<word>제\s*)?(?P<number>(?(word)[\d일이삼사오육칠팔구십]{1,4}|\d{1,3}))\s*[부권편]"
    r"(?P<title>\s*[.:\u2013\u2014-]\s*\S.*|\s+\S.*)?"
)
_NUMBERED = re.compile(rf"(?P<word>)(?P<number>\d{{1,3}}|{_ROMAN})\.?\s+(?P<title>\S.*)")
_BARE = re.compile(rf"(?P<word>)(?P<number>\d{{1,3}}|{_ROMAN})(?P<title>)\.?")
_SENTENCE_END = re.compile(r"[.!?\u2026:;\u3002\"'\u2019\u201d)\]*_-]$")

_CHAPTER_KIND, _PART_KIND, _NUMBERED_KIND, _BARE_KIND = "chapter", "part", "numbered", "bare"
_PATTERNS = (
    (_CHAPTER_KIND, _CHAPTER),
    (_CHAPTER_KIND, _KOREAN_CHAPTER),
    (_CHAPTER_KIND, _EPILOGUE),
    (_PART_KIND, _PART),
    (_PART_KIND, _KOREAN_PART),
    (_BARE_KIND, _BARE),
    (_NUMBERED_KIND, _NUMBERED),
)


@dataclass(slots=True)
class _Heading:
    kind: str
    word: str
    number: int
    titled: bool
    title: str
    first: int  # its line
    last: int  # the line after it


def split_chapters(text: str) -> list[Chapter]:
    """The chapters of a novel in the order of its text.

    Chapter 0 is there when the text before the first heading is more than title and author. A text without headings is
    one chapter. Numbers count from 1 whatever the headings say, because books of several parts begin anew in each.
    """
    lines = text.split("\n")
    headings = _without_contents(_chosen(_candidates(lines)), lines)
    if not headings:
        return [Chapter(1, "", text)]
    chapters: list[Chapter] = []
    front = "\n".join(lines[: headings[0].first])
    if len(front.split()) >= MIN_FRONT_WORDS:
        chapters.append(Chapter(0, "", front))
    has_chapters = any(heading.kind != _PART_KIND for heading in headings)
    part, carried, number = "", "", 0
    for index, heading in enumerate(headings):
        end = headings[index + 1].first if index + 1 < len(headings) else len(lines)
        body = "\n".join(lines[heading.last : end])
        title = heading.title
        if heading.kind == _PART_KIND and has_chapters:
            part = heading.title
            last = index + 1 == len(headings) or headings[index + 1].kind == _PART_KIND
            if not last and len(body.split()) < MIN_PART_WORDS:
                carried += body + "\n\n"  # an epigraph goes with the chapter below it
                continue
        elif part:
            title = f"{part}, {title}"
        number += 1
        chapters.append(Chapter(number, title, carried + body))
        carried = ""
    return chapters


def _candidates(lines: list[str]) -> list[_Heading]:
    found: list[_Heading] = []
    for at, raw in enumerate(lines):
        line = raw.strip()
        if not line or len(line) > MAX_HEADING:
            continue
        for kind, pattern in _PATTERNS:
            match = pattern.fullmatch(line)
            if match is None:
                continue
            titled = bool(match["title"])
            if not _stands_apart(lines, at, titled=titled, after_heading=bool(found) and found[-1].last == at):
                break
            end, title = _with_title_below(lines, at) if not titled and kind != _BARE_KIND else (at + 1, "")
            spoken = " ".join(line.split())
            whole = f"{spoken.rstrip('.:')}. {title}" if title else spoken
            word = (match["word"] or "").lower().strip()
            found.append(_Heading(kind, word, _value(match["number"]), titled, whole, at, end))
            break
    return found


def _stands_apart(lines: list[str], at: int, *, titled: bool, after_heading: bool) -> bool:
    """Whether the line is a paragraph of its own, or nearly: prose can begin with the same words."""
    before = lines[at - 1].strip() if at else ""
    if before and not after_heading and (titled or not _SENTENCE_END.search(before)):
        return False
    if not titled:
        return True
    # Two more lines may be a long title; a whole paragraph is prose, unless the heading shouts.
    below = next((n for n in range(3) if at + 1 + n >= len(lines) or not lines[at + 1 + n].strip()), 3)
    if lines[at].strip().isupper() or below == 0:
        return True
    return below < 3 and not _SENTENCE_END.search(lines[at + below].strip())


def _with_title_below(lines: list[str], at: int) -> tuple[int, str]:
    """A title on the lines directly below a heading, and the line after it."""
    end = at + 1
    while end < len(lines) and lines[end].strip() and end - at <= 3:
        end += 1
    title = " ".join(line.strip() for line in lines[at + 1 : end])
    goes_on = end < len(lines) and lines[end].strip()
    is_title = (title.istitle() or title.isupper()) and not re.search(r"[.!?,;\"\u201d]$", title)
    if goes_on or not is_title or len(title) > MAX_HEADING:
        return at + 1, ""
    return end, title


def _chosen(candidates: list[_Heading]) -> list[_Heading]:
    worded = [heading for heading in candidates if heading.kind in (_CHAPTER_KIND, _PART_KIND)]
    if not any(heading.kind == _CHAPTER_KIND for heading in worded):
        return sorted(worded + _counted(candidates, _BARE_KIND), key=lambda heading: heading.first) or _counted(
            candidates, _NUMBERED_KIND
        )
    chosen: list[_Heading] = []
    sequence: _Heading | None = None  # the titled, worded sequence that a number may go on with
    for heading in candidates:
        if heading.kind in (_CHAPTER_KIND, _PART_KIND):
            sequence = heading if heading.titled and heading.kind == _CHAPTER_KIND else None
            chosen.append(heading)
        elif heading.kind == _NUMBERED_KIND and sequence is not None and heading.number == sequence.number + 1:
            sequence = heading
            chosen.append(heading)
    return chosen


def _counted(candidates: list[_Heading], kind: str) -> list[_Heading]:
    """The numbers of one kind if they count 1, 2, ... (anew in each part); otherwise none."""
    counted: list[_Heading] = []
    expected = 1
    for heading in candidates:
        if heading.kind == _PART_KIND:
            expected = 1
        elif heading.kind == kind:
            if heading.number not in {expected, counted[-1].number + 1 if counted else 1}:
                return []
            counted.append(heading)
            expected = heading.number + 1
    return counted if len(counted) > 1 else []


def _without_contents(headings: list[_Heading], lines: list[str]) -> list[_Heading]:
    """Drops headings with nothing below them; a part may have its first chapter there."""
    kept: list[_Heading] = []
    for index, heading in enumerate(headings):
        after = headings[index + 1] if index + 1 < len(headings) else None
        end = after.first if after else len(lines)
        empty = not any(line.strip() for line in lines[heading.last : end])
        above = heading.kind == _PART_KIND and after is not None and after.kind != _PART_KIND
        if not empty or above:
            kept.append(heading)
    while kept and kept[-1].kind == _PART_KIND and not any(line.strip() for line in lines[kept[-1].last :]):
        kept.pop()
    return kept


def _value(number: str) -> int:
    """The value of digits or a Roman number; 0 for words, which no sequence needs."""
    if number.isdecimal():
        return int(number)
    if not number or not set(number) <= set("IVXLC"):
        return 0
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in number]
    return sum(-v if any(v < after for after in values[i + 1 : i + 2]) else v for i, v in enumerate(values))
