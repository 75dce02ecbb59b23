"""Finds the language of a text, well enough to choose an embedding model and the rules for names."""

import re

SAMPLE = 20_000
"""Characters looked at."""
MARGIN = 2
"""Common words that a query must have more of another language than of its novel's."""

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_SCRIPTS = {
    "ko": re.compile(r"[\uac00-\ud7a3\u1100-\u11ff]"),
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
# Languages of the same script, which the script alone does not tell apart.
_ALIKE = {"ar": ("fa", "ur"), "he": ("yi",), "hi": ("mr", "ne"), "ru": ("be", "bg", "mk", "sr", "uk"), "zh": ("ja",)}
# The commonest words that the languages do not share.
_COMMON_WORDS = {
    tag: frozenset(words.split())
    for tag, words in {
        "en": "the and of to was that with his her he she it had but which said",
        "fr": "le les et des du une qui dans pour pas vous elle il était au ce",
        "de": "der die und das den nicht ein ich sie zu mit ist war auf sich dem",
        "es": "el los y las una con por del para su lo como más pero había él",
        "it": "il che di la non una per era con gli della più sono ma nel lo",
        "pt": "o os e não uma com para do da em um mais ele era ao foi",
        "nl": "de het een en van niet ik dat zijn op te hij met voor maar was",
    }.items()
}
_LANGUAGES_OF = {
    word: tuple(tag for tag, common in _COMMON_WORDS.items() if word in common)
    for word in frozenset().union(*_COMMON_WORDS.values())
}
_WORD = re.compile(r"\w+")


def is_tag(value: str) -> bool:
    """Whether a value has the form of a BCP 47 tag, e.g. ``"en-GB"``."""
    return _TAG.fullmatch(value) is not None


def primary(tag: str) -> str:
    """The language of a tag without region or script: ``"en"`` of ``"en-GB"``."""
    return tag.partition("-")[0].lower()


def detect(text: str) -> str:
    """The language of a text as a BCP 47 tag; ``"en"`` when nothing speaks for another.

    A script decides when a fifth of the letters are of it, else the commonest words of seven languages.
    """
    sample = text[:SAMPLE]
    hits = _hits(sample)
    return _script(sample) or max(hits, key=lambda tag: (hits[tag], tag == "en"))


def of_query(query: str, language: str) -> str:
    """The language of a query about a novel: the novel's unless the query says otherwise.

    Few words say little: "De Lacey" is no Dutch, "die hard" no German. So another script decides, but among those who
    share one only common words that are more than the novel's own by `MARGIN`.

    Args:
        query: a few words, or more.
        language: the novel's BCP 47 tag.

    Returns:
        The novel's tag, or another language's.
    """
    sample = query[:SAMPLE]
    own, written = primary(language), _script(sample)
    if written is not None:
        return language if own in {written, *_ALIKE.get(written, ())} else written
    hits = _hits(sample)
    found = max(hits, key=lambda tag: (hits[tag], tag == "en"))
    if own in _SCRIPTS or any(own in alike for alike in _ALIKE.values()):
        return found if any(map(str.isalpha, sample)) else language
    return found if hits[found] >= hits.get(own, 0) + MARGIN else language


def _script(text: str) -> str | None:
    """The language whose script a fifth of the letters are of."""
    if text.isascii():
        return None
    letters = sum(map(str.isalpha, text))
    for tag, script in _SCRIPTS.items():
        if letters and len(script.findall(text)) >= letters / 5:
            return tag
    return None


def _hits(text: str) -> dict[str, int]:
    """How often the common words of each language stand in a text."""
    hits = dict.fromkeys(_COMMON_WORDS, 0)
    for word in _WORD.findall(text.lower()):
        for tag in _LANGUAGES_OF.get(word, ()):
            hits[tag] += 1
    return hits
