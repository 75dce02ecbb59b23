"""What a reply is based on, in one line."""

from collections.abc import Sequence

from stack.answers import Json
from stack.commands.text import one_line

_TITLE = 40


def told(citations: Sequence[Json]) -> str:
    """The chapters of a reply's citations, each once, in the novel's order; empty: there are none."""
    chapters: dict[int, str] = {}
    for one in citations:
        title = one_line(str(one.get("chapter_title", "")))
        chapters.setdefault(int(one.get("chapter", 0)), title if len(title) <= _TITLE else title[: _TITLE - 1] + "…")
    return "; ".join(
        chapters[number] or (f"chapter {number}" if number else "the front matter") for number in sorted(chapters)
    )
