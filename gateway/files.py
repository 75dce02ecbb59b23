"""Answers that are files: response fields of type ``google.api.HttpBody``."""

import re
from typing import Any

from gateway.bindings import Route, field_at
from gateway.errors import Header

HTTP_BODY = "google.api.HttpBody"
ATTACHMENT: Header = (b"content-disposition", b"attachment")
"""A browser stores a file and never shows it as a page of ours."""

_TYPE = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+/[!#-'*+.0-9A-Z^-z|~-]+[ -~]*")  # RFC 9110, section 8.3.1; then parameters
_ANY_BYTES = b"application/octet-stream"


def is_file(route: Route) -> bool:
    """Whether a route answers a file."""
    if route.streaming or not route.response_body:
        return False
    field = field_at(route.rpc.output_type, route.response_body)
    kind = field.message_type
    return kind is not None and not field.is_repeated and kind.full_name == HTTP_BODY


def content_type(body: Any) -> bytes:
    """The content type of an ``HttpBody``; of one that names none that could be sent, that of any bytes."""
    given: str = body.content_type
    return given.encode() if _TYPE.fullmatch(given) else _ANY_BYTES
