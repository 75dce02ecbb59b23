"""The files inside an EPUB: read one at a time, never unpacked to a disk, and never more of them than a book needs.

What a ZIP archive says of its own sizes is checked first, which costs nothing, and what comes out is counted as well.
"""

import posixpath
import zlib
from io import BytesIO
from urllib.parse import unquote, urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from services.library.intake.book import UnreadableError

MAX_ENTRIES = 10_000
MAX_ENTRY_BYTES = 16 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Bytes of all files that are read; pictures and fonts are not."""
MAX_RATIO = 300
"""Of unpacked to packed size: markup of prose comes to some 3, of repeated lines to 30."""
_RATIO_FROM = 1024 * 1024
_ENCRYPTED = 0x1
# What `zipfile` lets through of a damaged archive; RuntimeError covers its NotImplementedError of unknown features.
_BROKEN = (BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError)


class Archive:
    """An open EPUB.

    Args:
        data: the file.

    Raises:
        UnreadableError: it is no ZIP archive, or one that nobody needs for a book.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = ZipFile(BytesIO(data))
            entries = self._zip.infolist()
        except _BROKEN:
            raise UnreadableError("is a broken ZIP archive; download or export the EPUB anew") from None
        if len(entries) > MAX_ENTRIES:
            raise UnreadableError(f"has {len(entries):,} files inside; an EPUB has at most {MAX_ENTRIES:,}")
        self._entries = {entry.filename: entry for entry in entries}
        self._left = MAX_TOTAL_BYTES

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            UnreadableError: it is missing, encrypted, broken or too large.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise UnreadableError(f"lacks {name[:200]!r}, which an EPUB has; export the EPUB anew")
        if entry.flag_bits & _ENCRYPTED:
            raise UnreadableError("is locked with a password; give a copy without one")
        if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            raise UnreadableError("is packed in a way that EPUB does not know; export the EPUB anew")
        limit = min(MAX_ENTRY_BYTES, self._left)
        large = entry.file_size > _RATIO_FROM
        if entry.file_size > limit or (large and entry.file_size > max(1, entry.compress_size) * MAX_RATIO):
            raise _bomb()
        try:
            with self._zip.open(entry) as file:
                data = file.read(limit + 1)
        except _BROKEN:
            raise UnreadableError(f"is broken at {name[:200]!r}; download or export the EPUB anew") from None
        if len(data) > limit:
            raise _bomb()
        self._left -= len(data)
        return data


def resolved(base: str, href: str) -> tuple[str, str]:
    """The file within the archive that a link names, and the place within it.

    Args:
        base: the file that the link stands in.
        href: the link.

    Returns:
        The file's name, empty where the link leads out of the archive, and the fragment.
    """
    try:
        parts = urlsplit(href)
    except ValueError:
        return "", ""
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return "", ""
    path = unquote(parts.path)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), path)) if path else base
    return ("" if name.startswith("..") or "\0" in name else name), unquote(parts.fragment)


def _bomb() -> UnreadableError:
    return UnreadableError(
        f"unpacks to more than a book needs (at most {MAX_TOTAL_BYTES // 1024**2} MiB of text,"
        f" {MAX_RATIO} times its size); give an ordinary EPUB"
    )
