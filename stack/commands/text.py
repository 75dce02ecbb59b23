"""Text of others on a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Text without control characters, so that nobody's novel moves the reader's cursor; line breaks and tabs stay."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
