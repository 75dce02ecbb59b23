"""What stands before the first chapter: kept where it is the book's own prose, not a title page or a list."""

import re
from collections.abc import Sequence

from services.search.domain.sentences import weight

MIN_FRONT_WORDS = 40
"""Words of prose before the first chapter that make it a chapter 0."""
_PROSE_WORDS = 12
"""Words of a paragraph that is prose and not a line of a title page."""
_IMPRINT_WORDS = 60

_OPENING = re.compile(
    r"(?:author[\u2019']?s )?(?:preface|prologue|introduction|foreword|introductory|note)(?: (?:to|by|of) .{1,80})?"
    r"|to the reader|advertisement|서문|머리말|프롤로그|작가의 말|서장|들어가(?:며|는 말)",
    re.IGNORECASE,
)
_LIST = re.compile(r"(?:table of )?contents|(?:list of )?illustrations|list of .{1,40}|차례|목차|목록", re.IGNORECASE)
_IMPRINT = re.compile(
    r"copyright|\u00a9|all rights reserved|\bISBN\b|\Afirst (?:published|edition)|published by|printed (?:in|by|at)"
    r"|\bpublishers?\b|library of congress|저작권|펴낸|발행|무단",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[^\W\dA-Z_])[.!?\u2026\u3002][\"'\u2019\u201d)\]]*(?:\s|$)")
_ITEM = re.compile(r"\s*(?:(?:[IVXLC]{1,7}|\d{1,3})[.:)]|(?i:chapter|letter|part|book)\s+\w+\b)\s.{0,100}")
_BLANK = re.compile(r"\n[^\S\n]*\n")


def front_of(lines: Sequence[str]) -> tuple[str, str]:
    """The heading and the prose before the first chapter; the prose is empty where there is too little.

    Left out are title pages, tables of contents, lists of illustrations and imprints.
    """
    blocks = [block.strip("\n") for block in _BLANK.split("\n".join(lines)) if block.strip()]
    kept: list[str] = []
    listing = False
    for block in blocks:
        name = block.strip().strip("#*_ .:")
        if _LIST.fullmatch(name.partition("\n")[0].strip(" .:")):
            listing = True
            continue
        prose = _is_prose(block)
        listing = listing and not prose and _OPENING.fullmatch(name) is None
        if listing or (_IMPRINT.search(block) and len(block.split()) < _IMPRINT_WORDS):
            continue
        kept.append(block)
    start = next((at for at, block in enumerate(kept) if _opens(block) or _is_prose(block)), 0)
    title = ""
    if start < len(kept) and _opens(kept[start]):
        title = " ".join(kept[start].split())
        start += 1
    kept = kept[start:]
    if sum(weight(block) for block in kept if _is_prose(block)) < MIN_FRONT_WORDS:
        return "", ""
    return title, "\n\n".join(kept)


def _opens(block: str) -> bool:
    return _OPENING.fullmatch(block.strip(" \n.:")) is not None


def _is_prose(block: str) -> bool:
    lines = block.split("\n")
    items = sum(_ITEM.fullmatch(line) is not None for line in lines)
    return 2 * items <= len(lines) and weight(block) >= _PROSE_WORDS and _SENTENCE.search(block) is not None
