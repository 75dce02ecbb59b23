"""From a text to the terms that it is found by, by language."""

import re
import threading
import unicodedata
from functools import cache
from typing import Protocol

from mesh.telemetry.logs import get_logger
from services.search.domain.languages import primary
from services.search.domain.lexical import korean
from services.search.domain.lexical.stop_words import ENGLISH
from services.search.domain.lexical.terms import folded, pairs

log = get_logger(__name__)

# Snowball's algorithms by language.
_SNOWBALL = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
# Written without spaces: Thai and Lao, Burmese, Khmer, Kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HANGUL = "\uac00-\ud7a3"  # "Darcy\uac00" is a name and a particle
_RUN = re.compile(rf"[{_UNSPACED}]+|[{_HANGUL}]+|[^\W_{_UNSPACED}{_HANGUL}]+(?:'[^\W_{_UNSPACED}{_HANGUL}]+)*")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_LOADING = threading.Lock()


class Analyzer(Protocol):
    """Turns a text into its terms. A query needs the analyzer of the texts that it searches in.

    Attributes:
        name: what it does; analyzers of one name make the same terms of a text.
    """

    name: str

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, in its order. Several threads may call it at once."""
        ...


class Words:
    """Words or, where Snowball has the language, their stems; pairs of characters where words are not set apart.

    English loses its stop words and its accents: "Bronte" finds "Brontë". Elsewhere what all passages have in common
    weighs next to nothing by itself.

    Args:
        language: a primary tag, e.g. "en".
    """

    def __init__(self, language: str) -> None:
        self._algorithm = _SNOWBALL.get(language) if _has_snowball() else None
        self._english = language == "en"
        self._stop = ENGLISH if self._english else frozenset()
        self._threads = threading.local()  # Snowball's stemmers are each for one thread
        self.name = self._algorithm or ("english-words" if self._english else "words")

    def __call__(self, text: str) -> list[str]:
        """The terms of a text."""
        text = folded(text)
        if self._english and not text.isascii():
            text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))
        words = [word for word in _RUN.findall(text) if word not in self._stop]
        if self._algorithm is not None:
            words = self._stems(words)
        if text.isascii() or not _IS_UNSPACED.search(text):
            return words
        return [term for word in words for term in (pairs(word) if _IS_UNSPACED.match(word) else (word,))]

    def _stems(self, words: list[str]) -> list[str]:
        stemmer = getattr(self._threads, "stemmer", None)
        if stemmer is None:
            import Stemmer  # noqa: PLC0415 - `_has_snowball` has seen that it is there

            stemmer = self._threads.stemmer = Stemmer.Stemmer(self._algorithm)
        stems: list[str] = stemmer.stemWords(words)
        return stems


def analyzer(language: str) -> Analyzer:
    """The analyzer of a language, made once in a process.

    The first one for Korean loads a model, which takes a second: ask for it in a thread.

    Args:
        language: a BCP 47 tag.
    """
    with _LOADING:
        return _analyzer(primary(language))


@cache
def _analyzer(language: str) -> Analyzer:
    if language != "ko":
        return Words(language)
    try:
        return korean.Morphemes(korean.kiwi())
    except ImportError:
        log.warning("Korean is searched by pairs of syllables: kiwipiepy is not installed; install gaji[korean]")
        return korean.Syllables()


@cache
def _has_snowball() -> bool:
    try:
        import Stemmer  # noqa: F401, PLC0415 - this asks whether it is there
    except ImportError:
        log.warning("words are not stemmed: PyStemmer is not installed; install gaji[search]")
        return False
    return True
