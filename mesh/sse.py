"""Stream responses as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream response is ``sequence``, a oneof ``event`` and, where readers can go on after an event, ``cursor``: the arm's
name is the event's, its JSON the data, the cursor the id. An event with an empty cursor has no id, so nobody goes on
after it. Where there is no such field the sequence is the id. JSON holds no raw line break, so data is always one line.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.protojson import ToObject, to_object

HEARTBEAT = b":\n\n"
_ID = b"\nid: "  # never at the start of a block: an event begins with its name


@cache
def formatter(response: Descriptor) -> Callable[[Any], bytes]:
    """The function that turns messages of a response type into events; a message with no arm set gives none.

    Raises:
        ValueError: the type has no oneof ``event``, or a ``cursor`` that is no string.
    """
    if "event" not in response.oneofs_by_name:
        raise ValueError(f"{response.full_name} has no oneof `event`; a stream response needs one")
    cursor = response.fields_by_name.get("cursor")
    if cursor is not None and (cursor.type != FieldDescriptor.TYPE_STRING or cursor.is_repeated):
        raise ValueError(f"{cursor.full_name} must be a string")
    return _by_sequence(response) if cursor is None else _by_cursor(response)


def _by_sequence(response: Descriptor) -> Callable[[Any], bytes]:
    arms = _arms(response, b"\nid: %d\ndata: ")
    dumps = orjson.dumps

    def format_(message: Any) -> bytes:
        name: str | None = message.WhichOneof("event")
        if name is None:
            return b""
        head, of = arms[name]
        sequence: int = message.sequence
        return head % sequence + dumps(of(getattr(message, name))) + b"\n\n"

    return format_


def _by_cursor(response: Descriptor) -> Callable[[Any], bytes]:
    arms = _arms(response, b"\n")
    dumps = orjson.dumps

    def format_(message: Any) -> bytes:
        name: str | None = message.WhichOneof("event")
        if name is None:
            return b""
        head, of = arms[name]
        cursor: str = message.cursor
        data = dumps(of(getattr(message, name)))
        if not cursor:
            return b"%bdata: %b\n\n" % (head, data)
        return b"%bid: %b\ndata: %b\n\n" % (head, cursor.encode(), data)

    return format_


def _arms(response: Descriptor, rest: bytes) -> dict[str, tuple[bytes, ToObject]]:
    """Arm -> how its event begins, and how its message becomes data."""
    return {
        field.name: (b"event: " + field.name.encode() + rest, to_object(field.message_type))
        for field in response.oneofs_by_name["event"].fields
    }


def has_id(block: bytes) -> bool:
    """Whether one of the events in a block has an id."""
    return block.find(_ID) >= 0  # on the way of every event: half of what `in` takes


def last_id(block: bytes) -> str:
    """The last id in a block of whole events; empty: none of them has one."""
    _, found, rest = block.rpartition(_ID)
    return rest.partition(b"\n")[0].decode() if found else ""


def event(name: str, data: dict[str, Any]) -> bytes:
    """An event that is no message, e.g. ``failed`` made of a status; it has no id, so that no one resumes after it."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def retry(milliseconds: int) -> bytes:
    """How long a browser waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds
