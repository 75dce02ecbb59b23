"""Reads a file of any known kind."""

import re
from dataclasses import replace
from pathlib import PurePosixPath

from markdown_it import MarkdownIt

from services.library.intake.blocks import rendered, without_contents
from services.library.intake.book import MAX_FILE_BYTES, MAX_TEXT_BYTES, SMALL_WORDS, Book, UnreadableError
from services.library.intake.encodings import decode
from services.library.intake.epub import read_epub
from services.library.intake.gutenberg import cleaned, titled
from services.library.intake.kinds import Kind, kind_of
from services.library.intake.markup import read_document

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""")
_LINE_ENDS = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# Soft hyphens, zero-width spaces and word joiners, which typesetters put between the letters that readers look for.
_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))
_MATTER = re.compile(r"\A---\n(.{0,4000}?)\n(?:---|\.\.\.)\n", re.DOTALL)
_MATTER_LINE = re.compile(r"^(title|author|lang|language):[ \t]*(\S[^\n]{0,300})$", re.MULTILINE | re.IGNORECASE)
_SITE_TITLE = re.compile(
    r"^(?:the project gutenberg e-?book of\s+)?(?P<title>.+?)(?:,\s+by\s+(?P<author>[^,|]+))?\.?"
    r"(?:\s+[|\u2014\u2013-]\s+project gutenberg)?$",
    re.IGNORECASE,
)


def read_book(data: bytes, file_name: str) -> Book:
    """The novel in a file.

    Args:
        data: the file.
        file_name: its name; decides where the bytes do not, and is the title where nothing else is. May be empty.

    Raises:
        UnreadableError: there is no novel in it that can be read; the message completes "file ...".
    """
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
        raise UnreadableError("is empty; give a novel as EPUB, HTML, Markdown or plain text")
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableError(f"has {len(data):,} bytes; give at most {MAX_FILE_BYTES:,}")
    match kind_of(data, file_name):
        case Kind.EPUB:
            book = read_epub(data)
        case Kind.HTML:
            book = _html(data)
        case Kind.MARKDOWN:
            book = _markdown(decode(data))
        case Kind.PLAIN:
            book = Book(decode(data))
    book = cleaned(replace(book, text=_LINE_ENDS.sub("\n", book.text).translate(_UNSEEN)))
    if not book.text.strip():
        raise UnreadableError("holds no text; give a novel as EPUB, HTML, Markdown or plain text")
    encoded = book.text.encode(errors="replace")  # a lone surrogate is no character
    if len(encoded) > MAX_TEXT_BYTES:
        raise UnreadableError(f"has {len(encoded):,} bytes of text; give at most {MAX_TEXT_BYTES:,}, e.g. in volumes")
    return replace(book, text=encoded.decode(), title=book.title or title_of(file_name))


def title_of(file_name: str) -> str:
    """A title made of a file's name: ``pride-and-prejudice.txt`` is "Pride and Prejudice"."""
    stem = PurePosixPath(file_name.replace("\\", "/")).name.rpartition(".")
    words = list(filter(None, re.split(r"[\s_-]+", stem[0] or stem[2])))
    return " ".join(w if at and w in SMALL_WORDS else w[:1].upper() + w[1:] for at, w in enumerate(words))


def _html(data: bytes) -> Book:
    declared = _CHARSET.search(data[:2048])
    document = read_document(decode(data, declared[1].decode() if declared else ""))
    named = _SITE_TITLE.match(document.title)
    title = titled(named["title"] if named else document.title)
    author = document.author or (named["author"] if named else None) or ""
    author = re.sub(r"(?<=[a-z]{3})\.$", "", author)  # initials and "Jr." keep theirs
    return Book(rendered(without_contents(document.blocks)), title, author, document.language)


def _markdown(text: str) -> Book:
    text = _LINE_ENDS.sub("\n", text)
    said: dict[str, str] = {}
    if matter := _MATTER.match(text):
        said = {name.lower(): value.strip(" \"'") for name, value in _MATTER_LINE.findall(matter[1])}
        text = text[matter.end() :]
    document = read_document(MarkdownIt("commonmark").render(text))
    return Book(
        rendered(document.blocks),
        said.get("title", ""),
        said.get("author", ""),
        said.get("lang") or said.get("language", ""),
    )
