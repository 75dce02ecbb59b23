"""A marked-up document as a row of paragraphs and headings, and that row as text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SCENE_BREAK = "* * *"
_MOST_LINKED_RUN = 3
"""So many paragraphs in a row that are nothing but links are a table of contents."""
_CONTENTS = re.compile(r"(?:table of )?contents|list of illustrations|illustrations|차례|목차", re.IGNORECASE)
_MARK = re.compile(r"^#{1,6}(?=\s)")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or a heading.

    Attributes:
        text: white space collapsed; a line feed where the document breaks the line.
        level: of a heading 1 to 6; 0: a paragraph.
        anchors: the ids that links to this place name.
        linked: whether it is nothing but links within the same book.
    """

    text: str
    level: int = 0
    anchors: tuple[str, ...] = ()
    linked: bool = False


def rendered(blocks: Iterable[Block]) -> str:
    """The text, headings as Markdown has them."""
    return "\n\n".join(_line(block) for block in blocks if block.text)


def without_contents(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without tables of contents: runs of links, with the heading above them."""
    kept: list[Block] = []
    run: list[Block] = []
    for block in [*blocks, Block("")]:
        if block.linked:
            run.append(block)
            continue
        if len(run) < _MOST_LINKED_RUN:
            kept += run
        elif kept and _CONTENTS.fullmatch(kept[-1].text.strip(" .:")):
            kept.pop()
        run = []
        kept.append(block)
    return kept[:-1]


def folded(text: str) -> str:
    """A text as headings are compared: letters and digits alone, in lower case."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _line(block: Block) -> str:
    if block.level:
        return f"{'#' * block.level} {' '.join(block.text.split())}"
    return _MARK.sub("", block.text).strip() if block.text.startswith("#") else block.text
