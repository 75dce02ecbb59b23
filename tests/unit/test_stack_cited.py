"""The line that says what a reply is based on."""

from stack.answers import Json
from stack.commands.cited import told


def test_chapters_are_named_once_in_the_novels_order() -> None:
    citations: list[Json] = [
        {"chapter": 12, "chapter_title": "XII. The\x1b[31m Ring\n", "passage_id": "a"},
        {"chapter": 0},
        {"chapter": 3, "chapter_title": ""},
        {"chapter": 12, "chapter_title": "XII. The Ring"},
        {"chapter": 40, "chapter_title": "y" * 60},
    ]
    assert told(citations) == f"the front matter; chapter 3; XII. The[31m Ring; {'y' * 39}…"
    assert told([]) == ""
