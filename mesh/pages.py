"""Page tokens (https://google.aip.dev/158): opaque to callers, a position in the list to us."""

import base64
import binascii
import json

from mesh.validation import Violations

DEFAULT_SIZE = 50
MAX_SIZE = 100


def page_size(check: Violations, value: int) -> int:
    """The size to use: 0 means 50; anything else must be 1 to 100."""
    if value == 0:
        return DEFAULT_SIZE
    check.range("page_size", value, 1, MAX_SIZE)
    return value


def encode_token(*parts: str) -> str:
    """A token for the position that the parts describe."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_token(check: Violations, token: str, length: int) -> tuple[str, ...] | None:
    """The parts of a token; None for the first page or, with a violation noted, a token that is none of ours."""
    if not token:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error, RecursionError):  # the last: brackets in brackets, thousands deep
        parts = None
    if isinstance(parts, list) and len(parts) == length and all(isinstance(part, str) for part in parts):
        return tuple(parts)
    check.add("page_token", "is not a token of this list; leave it out to begin at the first page")
    return None
