"""Reads an EPUB: its documents in reading order, divided where its table of contents says."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from services.library.intake.archive import Archive
from services.library.intake.blocks import Block, folded, rendered, without_contents
from services.library.intake.book import MAX_TEXT_BYTES, Book, UnreadableError
from services.library.intake.markup import read_document
from services.library.intake.package import Point, document_text, read_package

LEAST_POINTS = 2
"""A table of contents with fewer places in the text says nothing of its chapters."""
_FINER = 3
"""How many more headings of one level than places make the headings count instead."""
_MOST_HEADING_BLOCKS = 4
_MOST_PAGE_WORDS = 300
_PAGE_NAME = re.compile(
    r"(?:^|[/_.-])(cover|title_?page|half_?title|copyright|imprint|colophon|toc|contents|nav|backcover|wrap\d*)"
    r"[^/]{0,12}$",
    re.IGNORECASE,
)


def read_epub(data: bytes) -> Book:
    """The novel in an EPUB.

    Raises:
        UnreadableError: there is none that can be read.
    """
    archive = Archive(data)
    package = read_package(archive)
    documents: list[tuple[str, list[Block]]] = []
    size = 0
    for name in package.documents:
        if name not in archive:
            continue  # a page that somebody took out: the others are there
        blocks = without_contents(read_document(document_text(archive, name)).blocks)
        size += sum(len(block.text) for block in blocks)
        if size > MAX_TEXT_BYTES:
            raise UnreadableError(f"has more than {MAX_TEXT_BYTES:,} characters of text; split it into volumes")
        if not _is_page(name, blocks):
            documents.append((name, blocks))
    known = {name for name, _ in documents}
    points = [point for point in package.points if point.file in known]
    places = len({(point.file, point.fragment) for point in points})
    levels = Counter(block.level for _, blocks in documents for block in blocks if block.level)
    # Some name no more than the parts; then the headings say more.
    if places >= LEAST_POINTS and places * _FINER > max(levels.values(), default=0):
        documents = [(name, divided(blocks, [p for p in points if p.file == name])) for name, blocks in documents]
    text = rendered(block for _, blocks in documents for block in blocks)
    return Book(text, package.title, package.author, package.language)


def divided(blocks: Sequence[Block], points: Sequence[Point]) -> list[Block]:
    """A document with a heading wherever the table of contents leads to, and without other headings.

    Args:
        blocks: the document.
        points: those that lead into it.
    """
    places = {anchor: at for at, block in reversed(list(enumerate(blocks))) for anchor in block.anchors}
    at_block: dict[int, Point] = {}
    for point in points:
        at = places.get(point.fragment, 0) if point.fragment else 0
        at_block.setdefault(at, point)
    found: list[Block] = []
    at = 0
    while at < len(blocks) or at in at_block:
        if at not in at_block:
            found.append(replace(blocks[at], level=0))
            at += 1
            continue
        point = at_block.pop(at)
        title, end = _heading(blocks, at, point.title, next((n for n in sorted(at_block) if n > at), len(blocks)))
        found.append(Block(title, min(point.depth, 6)))
        at = end
    return found


def _heading(blocks: Sequence[Block], at: int, title: str, stop: int) -> tuple[str, int]:
    """A heading, and the block after those that repeat it: a document says it again, in one block or in several."""
    rest, end = folded(title), at
    while end < min(stop, at + _MOST_HEADING_BLOCKS):
        said = folded(blocks[end].text)
        if not said or not rest.startswith(said):
            break
        rest, end = rest[len(said) :], end + 1
    if end > at:
        return title, end
    if at < stop and blocks[at].level:
        # It says more than the table of contents: "Chapter 1. The Boy" and not "1".
        return " ".join(blocks[at].text.split()), at + 1
    return title, at


def _is_page(name: str, blocks: Sequence[Block]) -> bool:
    """Whether a document is a page before or behind the text, by its name; a long one is text all the same."""
    words = sum(len(block.text.split()) for block in blocks)
    return not words or (words < _MOST_PAGE_WORDS and _PAGE_NAME.search(name.rpartition(".")[0]) is not None)
