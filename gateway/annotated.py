"""Request fields that the gateway fills by their annotations (``last_event_id`` and ``idempotency_key``)."""

from typing import Any
from uuid import uuid4

from gateway.bindings import Route
from gateway.http import Request
from mesh.errors import InvalidArgument

LAST_EVENT_ID = "Last-Event-ID"


def fill_annotated(message: Any, route: Route, request: Request) -> None:
    """Fills them in a request message.

    The header Last-Event-ID goes before what URL or body say: EventSource sends the same URL again at every
    reconnect, and the header is the later word. A key that was left out is made anew for each request, so that the
    gateway itself may send the call again.

    Raises:
        InvalidArgument: the header is no text.
    """
    if route.resume_field and (last := _last_event_id(request, route.resume_field)):
        setattr(message, route.resume_field, last)
    if route.key_field and not getattr(message, route.key_field):
        setattr(message, route.key_field, uuid4().hex)


def _last_event_id(request: Request, field: str) -> str:
    raw = request.headers.get(b"last-event-id", b"").strip()
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise _bad(field, "is not UTF-8") from None
    if "\0" in value:
        raise _bad(field, "holds a NUL character")
    return value


def _bad(field: str, text: str) -> InvalidArgument:
    text = f"the header {LAST_EVENT_ID} {text}; send the id of an event as it came"
    return InvalidArgument(text, reason="INVALID_FIELD", fields={field: text})
