"""Korean terms: morphemes where Kiwi is installed, pairs of syllables elsewhere.

Particles and endings are written onto the words in Korean, so that words as they stand rarely match. Kiwi
(`kiwipiepy`, Apache-2.0) takes them off. Without it a word's overlapping pairs of syllables are its terms, which found
about as much as words taken apart in Lee and Ahn, "Using n-Grams for Korean Text Retrieval" (SIGIR 1996).
"""

import re
from typing import Any

from services.search.domain.lexical.terms import folded, pairs

_RUN = re.compile(r"[\uac00-\ud7a3]+|[^\W_\uac00-\ud7a3]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
# Kiwi's tags: nouns, numbers, roots, foreign words; verbs and adjectives; adverbs.
_NOUNS = frozenset({"NNG", "NNP", "NR", "XR", "SL", "SH", "SN"})
_VERBS = frozenset({"VV", "VA"})
_ADVERB = "MAG"
# Verbs that say nothing by themselves: to do, to become, to be there, not to be there, to be like.
_EMPTY = frozenset({"하", "되", "있", "없", "같"})
COMPOUND = 3
"""Syllables from which a noun may be made of shorter ones."""


class Morphemes:
    """Nouns, stems of verbs and adjectives, adverbs, numbers and foreign words.

    Verbs and adjectives are named as a dictionary does, with 다. A noun of three syllables and more is followed by its
    pairs: many are made of shorter ones, and how far they are taken apart depends on what stands around them.

    Args:
        kiwi: a `kiwipiepy.Kiwi`, which several threads may use at once.
    """

    name = "kiwi"

    def __init__(self, kiwi: Any) -> None:
        self._kiwi = kiwi

    def __call__(self, text: str) -> list[str]:
        """The terms of a text."""
        terms: list[str] = []
        for token in self._kiwi.tokenize(text):
            kind, form = token.tag.partition("-")[0], token.form
            if kind in _NOUNS:
                word = "".join(char for char in folded(form) if char.isalnum())
                if word:
                    terms.append(word)
                if len(word) >= COMPOUND and _HANGUL.fullmatch(word):
                    terms.extend(pairs(word))
            elif kind in _VERBS and form not in _EMPTY:
                terms.append(form + "다")
            elif kind == _ADVERB:
                terms.append(form)
        return terms


class Syllables:
    """Pairs of syllables within words; a word of two is also found by its first, which may have a particle behind it.

    What is not Hangul is a word of its own.
    """

    name = "syllables"

    def __call__(self, text: str) -> list[str]:
        """The terms of a text."""
        terms: list[str] = []
        for word in _RUN.findall(folded(text)):
            if not _HANGUL.fullmatch(word):
                terms.append(word)
                continue
            terms.extend(pairs(word))
            if len(word) == 2:
                terms.append(word[0])
        return terms


def kiwi() -> Any:
    """Kiwi, loaded; it works in the thread that calls it.

    Raises:
        ImportError: it is not installed.
    """
    from kiwipiepy import Kiwi  # noqa: PLC0415 - an extra, 150 MB on disk, for Korean novels alone

    # Without its lists of names and typing errors it takes 210 MB instead of 490 and loads in a third of the time; the
    # test novels are taken apart alike. One thread of its own is the least that it has; it idles.
    loaded = Kiwi(num_workers=1, load_default_dict=False, load_multi_dict=False, load_typo_dict=False)
    loaded.tokenize("")  # it loads at the first call
    return loaded
