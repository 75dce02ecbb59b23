"""What the analyzers of all languages share."""

import unicodedata

_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\uff07": "'", "\u00ad": None})


def folded(text: str) -> str:
    """Lower case, one kind of apostrophe, compatibility forms replaced, composed, soft hyphens gone."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold())


def pairs(word: str) -> list[str]:
    """The overlapping pairs of a word's characters; a single character stands for itself."""
    return [word[at : at + 2] for at in range(len(word) - 1)] or [word]
