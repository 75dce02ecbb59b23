"""Checks of requests: all that is wrong is said at once, field by field, with the remedy."""

import re
from uuid import UUID

from mesh.errors import InvalidArgument

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Violations:
    """Collects what is wrong with a request."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def add(self, field: str, message: str) -> None:
        """Notes a violation; the first of each field is kept."""
        self.fields.setdefault(field, message)

    def uuid(self, field: str, value: str) -> UUID | None:
        """The value is a UUID in its canonical form (RFC 9562: 8-4-4-4-12 lowercase hexadecimal digits); returns it."""
        if not value:
            self.add(field, "is missing; give a UUID")
            return None
        try:
            found = UUID(value)
        except ValueError:
            found = None
        if found is None or str(found) != value:
            self.add(field, "is not a UUID, e.g. 0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64")
            return None
        return found

    def text(self, field: str, value: str, minimum: int, maximum: int) -> None:
        """The value has no NUL, at most ``maximum`` characters, and at least ``minimum`` beside outer white space."""
        length = len(value.strip())
        if "\0" in value:
            self.add(field, "holds a NUL character; remove it")
        elif length < minimum:
            self.add(
                field,
                "is empty; give some text" if length == 0 else f"has {length} characters; give at least {minimum}",
            )
        elif len(value) > maximum:
            self.add(field, f"has {len(value):,} characters; give at most {maximum:,}")

    def range(self, field: str, value: int, minimum: int, maximum: int) -> None:
        """The value is a number from minimum to maximum."""
        if not minimum <= value <= maximum:
            self.add(field, f"is {value}; give a number from {minimum:,} to {maximum:,}")

    def request_id(self, field: str, value: str) -> None:
        """The value is empty or 1 to 128 letters, digits, '-', '_', '.' or ':'."""
        if value and not _REQUEST_ID.fullmatch(value):
            self.add(field, "may only hold 1 to 128 letters, digits, '-', '_', '.' or ':'")

    def raise_if_any(self) -> None:
        """Ends the call if there is a violation.

        Raises:
            InvalidArgument: with every field and its remedy.
        """
        if self.fields:
            message = "; ".join(f"{field} {text}" for field, text in self.fields.items())
            raise InvalidArgument(message, reason="INVALID_FIELD", fields=self.fields)
