"""What a file is, by its first bytes: a name may lie, and decides only where the bytes say nothing."""

from enum import Enum
from pathlib import PurePosixPath

from services.library.intake.book import UnreadableError

_HEAD = 1024
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")
_MARKDOWN = frozenset({".md", ".markdown", ".mdown"})
_AS_HTML = frozenset({".html", ".htm", ".xhtml"})
# The beginnings of files that are no text, with what to do about them.
_FOREIGN = (
    (b"%PDF", "is a PDF, which knows no paragraphs; give EPUB, HTML or plain text"),
    (b"{\\rtf", "is RTF; save it as plain text, HTML or EPUB"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Word document; save it as plain text, HTML or EPUB"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"\x7fELF", "is a program; give EPUB, HTML, Markdown or plain text"),
    (b"MZ\x90\x00", "is a program; give EPUB, HTML, Markdown or plain text"),
    (b"\x89PNG", "is a picture; give the text that it shows"),
    (b"\xff\xd8\xff", "is a picture; give the text that it shows"),
    (b"GIF8", "is a picture; give the text that it shows"),
    (b"SQLite format 3", "is a database; give EPUB, HTML, Markdown or plain text"),
)
_MOBI = (b"BOOKMOBI", b"TEXtREAd")  # at byte 60 of a Palm database


class Kind(Enum):
    """What a file can be."""

    EPUB = "epub"
    HTML = "html"
    MARKDOWN = "markdown"
    PLAIN = "plain"


def kind_of(data: bytes, file_name: str) -> Kind:
    """What a file is.

    Raises:
        UnreadableError: it is a kind that holds no novel, or none that is read here.
    """
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Kind.EPUB
    for beginning, problem in _FOREIGN:
        if data.startswith(beginning):
            raise UnreadableError(problem)
    if data[60:68] in _MOBI:
        raise UnreadableError("is a Kindle book; convert it to EPUB")
    suffix = PurePosixPath(file_name.lower().replace("\\", "/")).suffix
    if suffix in _MARKDOWN:
        return Kind.MARKDOWN
    # A text in UTF-16 has a zero in every other byte.
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip().lower()
    if suffix in _AS_HTML or head.startswith(_HTML) or b"<html" in head[:512]:
        return Kind.HTML
    return Kind.PLAIN
