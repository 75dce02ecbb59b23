"""A place in a log, as readers carry it: ``<id, 32 hexadecimal digits>.<epoch>.<sequence>``."""

import re
from dataclasses import dataclass
from uuid import UUID

from mesh.errors import InvalidArgument

_CURSOR = re.compile(r"([0-9a-f]{32})\.([1-9][0-9]{0,17})\.([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind an entry. It names its log, so that it can't be used on another one by mistake.

    Attributes:
        stream_id: the log.
        epoch: the entry's.
        sequence: the entry's.
    """

    stream_id: UUID
    epoch: int
    sequence: int

    @classmethod
    def parse(cls, text: str, stream_id: UUID | None = None) -> "Cursor":
        """Reads a cursor.

        Args:
            text: what `str` of a cursor gives.
            stream_id: the log that it must be of; None: any.

        Raises:
            InvalidArgument: it is none (reason INVALID_CURSOR), or of another log (CURSOR_OF_ANOTHER_STREAM); the field
                is ``after``.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise _refused("is no cursor; give the id of an event of this stream, or none to begin", "INVALID_CURSOR")
        cursor = cls(UUID(match[1]), int(match[2]), int(match[3]))
        if stream_id is not None and cursor.stream_id != stream_id:
            raise _refused(
                "is a cursor of another stream; give the id of an event of this one", "CURSOR_OF_ANOTHER_STREAM"
            )
        return cursor

    def __str__(self) -> str:
        return f"{self.stream_id.hex}.{self.epoch}.{self.sequence}"


def _refused(text: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f"after {text}", reason=reason, fields={"after": text})
