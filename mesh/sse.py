"""Stream responses as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream response is ``sequence`` and a oneof ``event``: the arm's name is the event's, its JSON the data, the sequence
the id. JSON holds no raw line break, so data is always one line.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor

from mesh.protojson import ToObject, to_object

HEARTBEAT = b":\n\n"


@cache
def formatter(response: Descriptor) -> Callable[[Any], bytes]:
    """The function that turns messages of a response type into events; a message with no arm set gives none.

    Raises:
        ValueError: the type has no oneof ``event``.
    """
    if "event" not in response.oneofs_by_name:
        raise ValueError(f"{response.full_name} has no oneof `event`; a stream response needs one")
    arms: dict[str, tuple[bytes, ToObject]] = {
        field.name: (b"event: " + field.name.encode() + b"\nid: %d\ndata: ", to_object(field.message_type))
        for field in response.oneofs_by_name["event"].fields
    }
    dumps = orjson.dumps

    def format_(message: Any) -> bytes:
        name: str | None = message.WhichOneof("event")
        if name is None:
            return b""
        head, of = arms[name]
        sequence: int = message.sequence
        return head % sequence + dumps(of(getattr(message, name))) + b"\n\n"

    return format_


def event(name: str, data: dict[str, Any]) -> bytes:
    """An event that is no message, e.g. ``failed`` made of a status; it has no id, so that no one resumes after it."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def retry(milliseconds: int) -> bytes:
    """How long a browser waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds
