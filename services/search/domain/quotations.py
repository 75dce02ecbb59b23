"""Finds what is said aloud: the quotations of a paragraph, in whatever marks the text uses."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# A straight mark opens where nothing that could end a quotation stands before it, since a passage may begin within one.
# A single closing mark is an apostrophe unless it follows what ends a phrase: the books that use it always have that.
_STYLES = {
    "\u201c": re.compile(r"\u201c([^\u201c\u201d]+)\u201d"),
    '"': re.compile(r"(?<![\w.,!?;:\u2026'\-\u2014])\"(?=\S)([^\"]+)\""),
    "\u2018": re.compile(r"\u2018((?:[^\u2018\u2019]|\u2019(?=\w))+?[.,!?;:\u2026\-\u2014])\u2019(?!\w)"),
    "\u300c": re.compile(r"\u300c([^\u300c\u300d]+)\u300d"),
    "\u300e": re.compile(r"\u300e([^\u300e\u300f]+)\u300f"),
}


@dataclass(frozen=True, slots=True)
class Quotation:
    """Words in quotation marks.

    Attributes:
        start, end: in the paragraph, marks included.
        content: the words.
    """

    start: int
    end: int
    content: str


class Quotations:
    """Finds quotations in the marks that a novel uses most.

    Args:
        texts: its passages.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        counts = dict.fromkeys(_STYLES, 0)
        for text in texts:
            for mark in _STYLES:
                counts[mark] += text.count(mark)
        self._mark = max(counts, key=lambda mark: counts[mark])
        self._pattern = _STYLES[self._mark]

    def of(self, paragraph: str) -> list[Quotation]:
        """The quotations of a paragraph, in order."""
        if self._mark not in paragraph:
            return []
        return [Quotation(match.start(), match.end(), match[1].strip()) for match in self._pattern.finditer(paragraph)]
