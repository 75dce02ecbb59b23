"""From a file's bytes to a novel's text: plain text of any common encoding, Markdown, HTML and EPUB.

Pure: bytes and a file's name go in, a `Book` or an `UnreadableError` comes out, whatever the bytes are. What parses
the files of strangers runs in a process of its own (`converter`), which is bounded in time and memory.

Headings come out as lines of Markdown (``## Chapter 1``), by which search divides the novel.
"""

from services.library.intake.book import Book, UnreadableError

# Not `reading.read_book`: what parses is loaded by the process that reads.
__all__ = ["Book", "UnreadableError"]
