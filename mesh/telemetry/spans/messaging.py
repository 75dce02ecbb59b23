"""Spans of messages in queues (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).

Who processes a message goes on in the trace of who has sent it: a job has one sender, and what it does is the rest of
what was asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from mesh.telemetry import trace
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, Span

TRACEPARENT = "traceparent"
"""The header of a message."""


@lru_cache(maxsize=256)
def _fixed(system: str, operation: str, destination: str, message: str) -> bytes:
    return encoded(
        {
            "messaging.system": system,
            "messaging.operation.type": operation,
            "messaging.operation.name": operation,
            "messaging.destination.name": destination,
            "gaji.job": message,
        }
    )


@contextmanager
def sending(system: str, destination: str, message: str) -> Iterator[dict[str, str]]:
    """The block sends a message.

    Args:
        system: ``celery``.
        destination: the queue.
        message: what kind of message it is.

    Yields:
        Headers for it.
    """
    context = trace.current()
    with trace.within(f"send {destination}", Kind.PRODUCER, _fixed(system, "send", destination, message)) as span:
        carried = span or context
        yield {} if carried is None else {TRACEPARENT: carried.traceparent}


@contextmanager
def processing(
    system: str, destination: str, message: str, message_id: str, traceparent: object
) -> Iterator[Span | None]:
    """The block does what a message asks for; its id is the request id, for logs and for who is called.

    Args:
        system: ``celery``.
        destination: the queue.
        message: what kind of message it is.
        message_id: its id.
        traceparent: its header; anything else counts as none.
    """
    context = trace.enter(
        message_id,
        traceparent if isinstance(traceparent, str) else None,
        name=f"process {destination}",
        kind=Kind.CONSUMER,
        fixed=_fixed(system, "process", destination, message),
    )
    span = context.span
    if span is None:
        yield None
        return
    span.attributes["messaging.message.id"] = message_id
    try:
        yield span
    except BaseException as error:
        trace.fail(span, error)
        raise
    finally:
        span.end()
        span.recorder.hurry()
