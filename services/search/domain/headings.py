"""Which lines of a plain text are headings, by their words, their numbers and the lines around them."""

import re
from dataclasses import dataclass

MAX_HEADING = 100
"""Characters of a heading at most; a longer line is prose."""

_ROMAN = r"(?=[IVXLC])(?:C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_WORDS = (
    _ONES + " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety first second third fourth fifth"
    " sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth"
    " eighteenth nineteenth twentieth thirtieth last premier première"
).split()
_WORD_NUMBER = rf"(?:the\s+)?(?:{'|'.join(_WORDS)})(?:[-\s](?:{'|'.join(_WORDS)}))?"
_NUMBER = rf"(?P<number>\d{{1,4}}|{_ROMAN}|(?i:{_WORD_NUMBER}))"
# A title follows a mark (": Title", "--CONCLUSION") or begins with a capital ("Chapter 1 The Boy").
_TITLE = r"(?P<title>\s*(?:[.:)\u2013\u2014\u2015]|-{1,2})\s*\S.*|\s+(?=[A-Z\u00c0-\u00de\"'\u2018\u201c(\[]).+)?"
_END = r"\s*[.:]?\s*"
_CHAPTER_WORDS = (
    "chapter|letter|adventure|chap\\.|stave|canto|scene|chapitre|lettre|kapitel|cap[ií]tulo|capitolo|hoofdstuk|глава"
)
_HANJA = "一二三四五六七八九十"

_CHAPTER = re.compile(rf"(?P<word>(?i:{_CHAPTER_WORDS})){_END}\s{_NUMBER}{_TITLE}{_END}")
_PART = re.compile(rf"(?P<word>(?i:book|part|volume|vol\.|livre|partie|teil|parte)){_END}\s{_NUMBER}{_TITLE}{_END}")
_EPILOGUE = re.compile(r"(?P<word>EPILOGUE|Epilogue|에필로그|외전)(?P<number>)(?P<title>)[.:]?")
_KOREAN_CHAPTER = re.compile(
    rf"(?P<word>[제第]\s*)?(?P<number>(?(word)[\d일이삼사오육칠팔구십백{_HANJA}百〇零]{{1,6}}|\d{{1,4}}))\s*[장화회章回話话]"
    r"(?P<title>\s*[.:\u2013\u2014-]\s*\S.*|\s+\S.*)?"
)
_KOREAN_PART = re.compile(
    rf"(?P<word>[제第]\s*)?(?P<number>(?(word)[\d일이삼사오육칠팔구십{_HANJA}]{{1,4}}|\d{{1,3}}))\s*[부권편部卷]"
    r"(?P<title>\s*[.:\u2013\u2014-]\s*\S.*|\s+\S.*)?"
)
_NUMBERED = re.compile(rf"(?P<word>)(?P<number>\d{{1,3}}|{_ROMAN})\.?\s+(?P<title>\S.*)")
_BARE = re.compile(rf"(?P<word>)(?P<number>\d{{1,3}}|{_ROMAN}|[{_HANJA}]{{1,3}})(?P<title>)\.?")
_SENTENCE_END = re.compile(r"[.!?\u2026:;\u3002\"'\u2019\u201d)\]*_-]$")

CHAPTER, PART, NUMBERED, BARE = "chapter", "part", "numbered", "bare"
_PATTERNS = (
    (CHAPTER, _CHAPTER),
    (CHAPTER, _KOREAN_CHAPTER),
    (CHAPTER, _EPILOGUE),
    (PART, _PART),
    (PART, _KOREAN_PART),
    (BARE, _BARE),
    (NUMBERED, _NUMBERED),
)


@dataclass(slots=True)
class Heading:
    """A heading.

    Attributes:
        kind: CHAPTER, PART, NUMBERED or BARE by its words; another for one that says nothing of the kind.
        word: what it calls itself, in lower case; empty: it is a number.
        number: its number; 0: in words, or it has none.
        said: its number as it is written, in lower case.
        titled: whether it has a title in the same line.
        title: all of it in one line.
        first: its line.
        last: the line after it.
    """

    kind: str
    word: str
    number: int
    said: str
    titled: bool
    title: str
    first: int
    last: int


def read_heading(line: str) -> "tuple[str, re.Match[str]] | None":
    """What kind of heading a line's words make it, with the groups word, number and title; None: none."""
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(line)
        if match is not None:
            return kind, match
    return None


def candidates(lines: list[str]) -> list[Heading]:
    """The lines that look like headings and stand apart from what is around them."""
    found: list[Heading] = []
    for at, raw in enumerate(lines):
        line = raw.strip()
        if not line or len(line) > MAX_HEADING:
            continue
        read = read_heading(line)
        if read is None:
            continue
        kind, match = read
        titled = bool(match["title"])
        if not _stands_apart(lines, at, titled=titled, after_heading=bool(found) and found[-1].last == at):
            continue
        end, title = _with_title_below(lines, at) if not titled and kind != BARE else (at + 1, "")
        spoken = " ".join(line.split())
        whole = f"{spoken.rstrip('.:')}. {title}" if title else spoken
        found.append(heading_of(kind, match, whole, at, end))
    return found


def heading_of(kind: str, match: "re.Match[str]", title: str, first: int, last: int) -> Heading:
    """A heading from what `read_heading` found."""
    word = (match["word"] or "").lower().strip()
    said = (match["number"] or "").lower()
    return Heading(kind, word, _value(match["number"] or ""), said, bool(match["title"]), title, first, last)


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


def _value(number: str) -> int:
    """The value of digits, a Roman or a Chinese number; 0 for words, which no sequence needs."""
    if number.isdecimal():
        return int(number)
    if number and set(number) <= set("IVXLC"):
        values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in number]
        return sum(-v if any(v < after for after in values[i + 1 : i + 2]) else v for i, v in enumerate(values))
    if number and set(number) <= set(_HANJA):
        tens, ten, ones = number.rpartition("十")
        return (10 * (_HANJA.index(tens) + 1 if len(tens) == 1 else 1) if ten else 0) + (
            _HANJA.index(ones) + 1 if len(ones) == 1 else 0
        )
    return 0
