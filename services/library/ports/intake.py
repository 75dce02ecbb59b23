"""What turns files into text."""

from typing import Protocol

from services.library.intake import Book


class Intake(Protocol):
    """Reads files of novels."""

    async def read(self, data: bytes, file_name: str) -> Book:
        """The novel in a file.

        Args:
            data: the file.
            file_name: its name; may be empty.

        Raises:
            InvalidArgument: there is no novel in it that can be read, or it takes too long; names the field ``file``.
        """
