"""Takes what Project Gutenberg puts around a text away from it, and learns from it what the text is.

The header (from the first line to ``*** START OF ...``), the licence behind ``*** END OF ...``, credits, transcribers'
notes, the marks of illustrations and underscores for italics go. The forms are those of its files since 1994
(https://www.gutenberg.org/policy/license.html); other texts are left as they are.
"""

import re
from dataclasses import dataclass, replace

from services.library.intake.book import SMALL_WORDS, Book

_AT_EDGE = 64 * 1024
"""Characters from either end within which header and licence lie."""
_HEAD_BLOCKS = 40
"""Paragraphs behind the header among which credits are looked for."""
_TAIL_BLOCKS = 40
"""Paragraphs before the end among which notes of transcribers begin."""

_NAME = r"(?:the\s+|this\s+)?project\s+gutenberg(?:['\u2019]s)?"
_START = re.compile(
    rf"^[ \t]*(?:\*{{3}}[ \t]*start of {_NAME}[^*]{{0,300}}\*{{3}}|\*end\*?[ \t]*the small print[^\n]{{0,200}})",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(
    rf"^[ \t]*(?:\*{{3}}[ \t]*end of {_NAME}|end of {_NAME}|\*{{3}}[ \t]*start: full license)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(r"^(Title|Author|Language):[ \t]*(\S.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_CREDIT = re.compile(
    r"[\[(*_\s]*(?:produced by|e-?text prepared by|transcribed (?:from|by)|this (?:e-?text|e-?book|file) was"
    r"|html version by|prepared by|credits:|release date:|most recently updated:|updated editions?"
    r"|online distributed proofread|\(?this book was produced|note: (?:project gutenberg|images of)"
    r"|internet archive|proofread(?:ing|ers)|corrected by|revised by|scanned by)",
    re.IGNORECASE,
)
_NOTE = re.compile(r"[\[(*_\s]*transcriber(?:['\u2019]?s|s['\u2019])?(?:['\u2019]s)?\s+notes?\b", re.IGNORECASE)
_ILLUSTRATION = re.compile(r"\[(?:Illustration|Frontispiece|Decoration)(?::[^\[\]]{0,600})?\]", re.IGNORECASE)
_ITALICS = re.compile(r"(?<![\w_])_([^_\n]{1,200}(?:\n[^_\n]{1,200}){0,6})_(?![\w_])")
_BY_LINE = re.compile(r"\s*([^\n]{1,120})\n\s*by\s+([^\n]{2,100})(?:\n|$)", re.IGNORECASE)
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_LANGUAGES = {
    "english": "en",
    "korean": "ko",
    "french": "fr",
    "german": "de",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "russian": "ru",
    "japanese": "ja",
    "chinese": "zh",
    "finnish": "fi",
    "swedish": "sv",
    "danish": "da",
    "norwegian": "no",
    "polish": "pl",
    "hungarian": "hu",
    "greek": "el",
    "latin": "la",
    "czech": "cs",
    "catalan": "ca",
    "esperanto": "eo",
    "tagalog": "tl",
    "welsh": "cy",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a header says of its text; empty: nothing."""

    title: str = ""
    author: str = ""
    language: str = ""


def cleaned(book: Book) -> Book:
    """A book without what is Project Gutenberg's, and with what its text says of title, author and language.

    What the book says already counts.
    """
    text, said = stripped(book.text)
    by = _by_line(text)
    return replace(
        book,
        text=text,
        title=book.title or said.title or by.title,
        author=book.author or said.author or by.author,
        language=book.language or said.language,
    )


def stripped(text: str) -> tuple[str, Said]:
    """A text without what is Project Gutenberg's, and what its header says; other texts come back as they are."""
    if "gutenberg" not in (text[:_AT_EDGE] + text[-_AT_EDGE:]).lower():
        return text, Said()
    start = _START.search(text, 0, _AT_EDGE)
    tail = max(start.end() if start else 0, len(text) - _AT_EDGE)
    end = _END.search(text, tail)
    if start is None and end is None:
        return text, Said()
    said = _said(text[: start.start()]) if start else Said()
    body = text[start.end() if start else 0 : end.start() if end else len(text)]
    body = _ITALICS.sub(r"\1", _ILLUSTRATION.sub("", body))
    return _without_credits(body).strip("\n") + "\n", said


def titled(text: str) -> str:
    """A title in capitals as titles are written: ``THE WAR OF THE WORLDS`` is "The War of the Worlds"."""
    words = text.split()
    if text != text.upper() or text == text.lower():
        return " ".join(words)
    return " ".join(
        word.lower() if at and word.lower() in SMALL_WORDS else word[:1] + word[1:].lower()
        for at, word in enumerate(words)
    )


def _said(header: str) -> Said:
    found = {match[1]: " ".join(match[2].split()) for match in reversed(list(_FIELD.finditer(header)))}
    language = found.get("Language", "").partition(",")[0].strip().lower()
    return Said(found.get("Title", "")[:300], found.get("Author", "")[:200], _LANGUAGES.get(language, ""))


def _by_line(text: str) -> Said:
    """Title and author that a text begins with: a line, and below it one with "by"."""
    lines = [line for line in text[:2000].split("\n") if line.strip()][:2]
    match = _BY_LINE.match("\n".join(lines).lstrip("# "))
    if match is None or match[1].rstrip().endswith((".", ",", ";")):
        return Said()
    return Said(titled(match[1].strip()), titled(match[2].strip()))


def _without_credits(text: str) -> str:
    """Drops credits behind the header, and transcribers' notes at either end."""
    gaps = [(gap.start(), gap.end()) for gap in _BLANK.finditer(text)]
    starts = [0, *(end for _, end in gaps)]
    ends = [*(start for start, _ in gaps), len(text)]
    last = len(starts)
    for at in range(max(last - _TAIL_BLOCKS, _HEAD_BLOCKS), last):
        if _NOTE.match(text, starts[at]):
            last = at
            break
    stop = ends[last - 1] if last else 0
    kept: list[str] = []
    for at in range(min(_HEAD_BLOCKS, last)):
        if _CREDIT.match(text, starts[at]) or _NOTE.match(text, starts[at]):
            continue
        kept.append(text[starts[at] : starts[at + 1] if at + 1 < len(starts) else ends[at]])
    rest = starts[_HEAD_BLOCKS] if last > _HEAD_BLOCKS else stop
    return "".join(kept) + text[rest:stop]
