"""A reply's span: one for each writer, all in the trace of the request that began the reply.

It outlives that request's own, as the reply does. Beside the reply's log stands where it is, so that whoever takes the
reply over goes on in that trace, and a reader who comes later points to it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from mesh.errors import MeshError
from mesh.streamlog import Hub, Producer
from mesh.telemetry import trace
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, Span
from services.generation.domain.events import Gap, Seam
from services.generation.domain.hearing import Heard
from services.generation.ports import Outcome, Reply

NAME = "write reply"
NOTE = "trace"
"""What the note beside the log is called: a ``traceparent``."""
_FIXED = encoded({"gen_ai.operation.name": "write_reply"})
T = TypeVar("T")
Write = Callable[[Reply, Producer[T]], Awaitable[None]]


async def traced(write: Write[T], reply: Reply, producer: Producer[T]) -> None:
    """Has a reply written, as a span where its trace is sampled."""
    noted = producer.notes.get(NOTE)
    asking = trace.span()
    span = trace.below(noted.decode("ascii", "replace"), NAME, Kind.INTERNAL, _FIXED) if noted else None
    if span is not None:
        span.event("takeover", {"gaji.reply.epoch": reply.epoch})
        if asking is not None:
            span.link(asking.trace_id, asking.span_id)
    else:
        span = trace.child(NAME, Kind.INTERNAL, _FIXED)
    if span is None:
        await write(reply, producer)
        return
    span.attributes["gen_ai.conversation.id"] = reply.conversation_id
    span.attributes["gaji.reply.id"] = reply.message_id
    span.attributes["gaji.reply.epoch"] = reply.epoch
    with trace.entered(span):
        await write(reply, producer)


def note(producer: Producer[T]) -> None:
    """Notes where the running work is, for whoever goes on with it."""
    context = trace.current()
    if context is not None and context.span is not None:
        producer.note(NOTE, context.traceparent.encode())


def ended(outcome: Outcome, error: MeshError | None) -> None:
    """Notes how the reply has ended."""
    span = trace.span()
    if span is not None:
        span.attributes["gaji.reply.outcome"] = outcome.value
        if error is not None:
            span.fail(error.reason)


async def link(span: Span, hub: Hub[T], stream_id: UUID) -> None:
    """Points from a reader's span to that of the reply, while the reply is being written."""
    with suppress(MeshError):
        noted = await hub.note(stream_id, NOTE)
        found = trace.parse(noted.decode("ascii", "replace")) if noted else None
        if found is not None:
            span.link(found[0], found[1])


def heard(told: Heard) -> None:
    """Notes what is made for one reader who has seen something else than the log holds."""
    if isinstance(told.event, Gap):
        trace.event("gap", {"gaji.first": told.event.first, "gaji.last": told.event.last})
    elif isinstance(told.event, Seam):
        trace.event("seam", {"gaji.keep": told.event.keep})
