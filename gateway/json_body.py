"""Bodies as JSON, with errors that name the place."""

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from gateway.errors import bad_request

MAX_DEPTH = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(body: bytes) -> Any:
    """A body as JSON (RFC 8259, so in UTF-8).

    Raises:
        InvalidArgument: INVALID_UTF8 or INVALID_JSON, naming the place and, where it can be known, the field.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse_bad_text(body)
        raise bad_request(f"the body is not JSON: {error}", "INVALID_JSON") from error


def _refuse_bad_text(body: bytes) -> None:
    """Raises for bytes that are no UTF-8 and for lone surrogates, which orjson reports without a field."""
    reason, what, place = "INVALID_JSON", "a lone surrogate, which is no character", ""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        reason, what, place = "INVALID_UTF8", "bytes that are not UTF-8", f" at byte {error.start}"
    try:
        # The standard parser takes both, so that the field can be found.
        value = json.loads(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        value = None
    path = next(_paths_of_surrogates(value, "", 0), "")
    if path:
        text = f"holds {what}{place}"
        raise bad_request(f"{path} {text}", reason, {path: text})
    if place:
        raise bad_request(f"the body holds {what}{place}", reason)


def _paths_of_surrogates(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str) and _SURROGATE.search(value):
        yield path or "the body"
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _paths_of_surrogates(item, f"{path}[{i}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = key.encode(errors="replace").decode()
            inside = f"{path}.{name}" if path else name
            if key != name:
                yield inside
            yield from _paths_of_surrogates(item, inside, depth + 1)
