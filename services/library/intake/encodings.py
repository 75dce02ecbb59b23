"""From bytes to characters: what the bytes say themselves, then what their writer says, then what is likely.

UTF-8 and text with a byte order mark prove themselves: other text is hardly ever valid by chance. The rest is
`chardet`'s to find (from version 7 on: of the novels of our tests in other encodings it knows all, where
`charset-normalizer` takes English with a few accents or curly quotes for Polish or Baltic).
"""

import codecs
import re

import chardet

from services.library.intake.book import UnreadableError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What is declared, and what is meant (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "iso8859-9": "cp1254",
}
_WIDE_SCRIPTS = frozenset({"cp949", "gb18030", "big5", "big5hkscs", "cp950", "cp932", "euc_jp", "euc_jis_2004"})
_SAMPLE = 256 * 1024
_ERAS = chardet.EncodingEra.MODERN_WEB | chardet.EncodingEra.LEGACY_ISO | chardet.EncodingEra.LEGACY_MAC
"""Not those of DOS and of mainframes, which would make sense of anything."""
_FIRST = 16 * 1024
_MOST_BROKEN = 0.001
"""Of the characters beyond ASCII, those that may be broken."""
_LEAST_TEXT = 0.95
"""Of a text's characters, those that are letters, digits, spaces or punctuation."""
_PAIRS = re.compile(rb"(?:[\x00-\x7f]++|[\xa1-\xfe]{2})*+")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")


def decode(data: bytes, declared: str = "") -> str:
    """The text in some bytes, without a byte order mark.

    Args:
        data: at most some 20 MiB.
        declared: the encoding that the file names, which counts when it fits; empty: none.

    Raises:
        UnreadableError: the bytes are no text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _checked(_strict(data[len(mark) :], encoding))
    if b"\0" in data:
        return _checked(_wide(data))
    try:
        return _checked(data.decode())
    except UnicodeDecodeError:
        pass
    encoding = _known(declared)
    text = _nearly(data, "utf-8") or (encoding and _nearly(data, encoding))
    return _checked(text or data.decode(_likely(data), errors="replace"))


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        raise UnreadableError(f"says that it is {name} and is not at byte {error.start}; save it as UTF-8") from None


def _wide(data: bytes) -> str:
    """Text in UTF-16 or UTF-32 without a byte order mark: of four ways to read it, the one that makes text."""
    best, share = "", 0.0
    for encoding, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        if len(data) % width:
            continue
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        sample = text[:_FIRST]
        # Latin read the wrong way round is Chinese, so the marks that all scripts share must be there.
        found = sum(char.isprintable() or char.isspace() for char in sample) / len(sample)
        plain = sum(char in " \n\r\t.,\u3002\u3001" for char in sample) / len(sample)
        if found > _LEAST_TEXT and plain > share:
            best, share = text, plain
    if not best:
        raise UnreadableError("is not text (it holds NUL bytes); give EPUB, HTML, Markdown or plain text")
    return best


def _nearly(data: bytes, encoding: str) -> str:
    """The text, if next to nothing of it is broken; else nothing."""
    try:
        text = data.decode(encoding, errors="replace")
    except (LookupError, UnicodeError):  # what is declared may be none of text, such as base64
        return ""
    broken = text.count("\ufffd")
    high = len(_HIGH.findall(data))
    return text if broken <= high * _MOST_BROKEN else ""


def _likely(data: bytes) -> str:
    """The encoding that is most likely; one that takes any byte where nothing speaks for another."""
    found = _known(chardet.detect(data[:_SAMPLE], encoding_era=_ERAS)["encoding"] or "")
    if found in _WIDE_SCRIPTS or not _nearly(data, "cp949") or _PAIRS.fullmatch(data) is None:
        return found or "cp1252"
    return "cp949"  # no Latin text has its special letters in pairs alone; this is Latin text of a Korean machine


def _known(declared: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        return ""
    return _MEANT.get(name, name)


def _checked(text: str) -> str:
    text = text.removeprefix("\ufeff")
    controls = len(_CONTROL.findall(text))
    if controls > len(text) * (1 - _LEAST_TEXT) / 10 or "\0" in text:
        raise UnreadableError("is not text (it holds control characters); give EPUB, HTML, Markdown or plain text")
    return text
