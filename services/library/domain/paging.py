"""Pages of lists that are sorted by time, newest first."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from mesh.pages import decode_token, encode_token
from mesh.validation import Violations
from services.library.models import Page
from services.library.ports import Key

T = TypeVar("T")


def read_key(check: Violations, token: str) -> Key | None:
    """The position that a page token names; None: the first page, or a violation is noted."""
    parts = decode_token(check, token, 2)
    if parts is None:
        return None
    try:
        moment, row_id = datetime.fromisoformat(parts[0]), UUID(parts[1])
        if moment.tzinfo is not None:
            return moment.astimezone(UTC), row_id
    except (ValueError, OverflowError):  # the last: a moment that in UTC is before the year 1 or after 9999
        pass
    check.add("page_token", "is not a token of this list; leave it out to begin at the first page")
    return None


def page(found: Sequence[T], size: int, key: Callable[[T], Key]) -> Page[T]:
    """A page of rows of which one more than its size was asked for."""
    if len(found) <= size:
        return Page(found)
    moment, row_id = key(found[size - 1])
    return Page(found[:size], encode_token(moment.isoformat(), str(row_id)))
