"""What comes of a file, and how much of it may come."""

from dataclasses import dataclass

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024
"""Bytes of the text in UTF-8, as everywhere."""
SMALL_WORDS = frozenset(
    {"a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
)
"""Words that titles write small."""


@dataclass(frozen=True, slots=True)
class Book:
    """A novel that was read from a file.

    Attributes:
        text: paragraphs with an empty line between them, and headings as Markdown has them where the file marks them.
        title: empty: the file does not say.
        author: several are joined with commas; empty: the file does not say.
        language: a BCP 47 tag; empty: the file does not say.
    """

    text: str
    title: str = ""
    author: str = ""
    language: str = ""


class UnreadableError(ValueError):
    """Bytes that are no novel; the message completes "file ..." and names the remedy."""
