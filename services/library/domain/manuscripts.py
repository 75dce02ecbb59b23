"""What a reader hands in, made into what is stored: a text, with a title, an author and a language."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from mesh import plain_text
from mesh.validation import Violations
from services.library.intake import Book
from services.library.intake.book import MAX_FILE_BYTES, MAX_TEXT_BYTES
from services.library.intake.gutenberg import cleaned
from services.library.ports import Intake

MAX_TITLE, MAX_AUTHOR, MAX_FILE_NAME = 300, 200, 255
# A BCP 47 tag has subtags of 1 to 8 letters and digits; 35 characters hold any that is in use (RFC 5646, 4.4.1).
_LANGUAGE = 35


@dataclass(frozen=True, slots=True)
class Submission:
    """What is handed in: a text or a file, and what its owner says of it; empty: nothing."""

    title: str = ""
    author: str = ""
    language: str = ""
    text: str = field(default="", repr=False)
    file: bytes = field(default=b"", repr=False)
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Manuscript:
    """What is to be stored.

    Attributes:
        request_hash: tells the same request from another one, whatever is made of it.
    """

    title: str
    author: str
    language: str
    text: str = field(repr=False)
    request_hash: bytes


async def prepared(given: Submission, check: Violations, intake: Intake, *others: str) -> Manuscript:
    """The manuscript in a submission. What its owner says counts before what the text says of itself.

    Args:
        given: the submission.
        check: has found what is wrong with the rest of the request.
        intake: reads files.
        others: what else makes the request what it is.

    Raises:
        InvalidArgument: a field breaks the contract, or the file cannot be read.
    """
    title, author = plain_text.line(given.title), plain_text.line(given.author)
    check.text("title", title, 0, MAX_TITLE)
    check.text("author", author, 0, MAX_AUTHOR)
    check.text("file_name", given.file_name, 0, MAX_FILE_NAME)
    if given.language and not _is_language(given.language):
        check.add("language", "is not a BCP 47 language tag, e.g. en or pt-BR")
    if given.file and given.text:
        check.add("file", "is given beside text; give one of the two")
    if len(given.file) > MAX_FILE_BYTES:
        check.add("file", f"has {len(given.file):,} bytes; give at most {MAX_FILE_BYTES:,}")
    # Of 8 MiB, even looking takes milliseconds.
    problem, book, request_hash = await asyncio.to_thread(_examined, given, [title, author, given.language, *others])
    if problem:
        check.add("text", problem)
    if not (given.file or title or book.title):
        check.add("title", f"is missing, and the text does not tell it; give 1 to {MAX_TITLE} characters")
    check.raise_if_any()
    if given.file:
        book = await intake.read(given.file, given.file_name)
    return Manuscript(
        title or plain_text.line(book.title)[:MAX_TITLE] or "Untitled",
        author or plain_text.line(book.author)[:MAX_AUTHOR],
        given.language or (book.language if _is_language(book.language) else ""),
        book.text.replace("\0", ""),
        request_hash,
    )


def _examined(given: Submission, others: list[str]) -> tuple[str, Book, bytes]:
    """What is wrong with a text, what is in it, and the hash of the request."""
    encoded = given.text.encode()
    digest = hashlib.sha256()
    for part in [*others, *([given.file_name] if given.file else [])]:
        digest.update(part.encode() + b"\0")
    digest.update(given.file or encoded)
    book, problem = Book(given.text), ""
    if given.file:
        pass  # judged where it is read
    elif len(encoded) > MAX_TEXT_BYTES:
        problem = f"has {len(encoded):,} bytes of UTF-8; give at most {MAX_TEXT_BYTES:,}"
    elif not encoded.strip():
        problem = "is empty; give the novel's text, or the novel as a file"
    elif b"\0" in encoded:
        problem = "holds a NUL character; give plain text"
    else:
        book = cleaned(book)
        problem = "" if book.text.strip() else "holds nothing but a header and a licence; give the novel's text"
    return problem, book, digest.digest()


def _is_language(language: str) -> bool:
    subtags = language.split("-")
    fits = all(tag.isascii() and tag.isalnum() and len(tag) <= 8 for tag in subtags) and len(language) <= _LANGUAGE
    return fits and subtags[0].isalpha()
