"""Request ids and W3C trace context, handed from hop to hop, and the spans of the work in between.

Every call has a request id (for people: it is in each log line and in the HTTP answer) and a trace context
(https://www.w3.org/TR/trace-context/). Where the trace is sampled and the process exports spans
(`mesh.telemetry.spans`), the running work has a span as well, and whoever does a part of it may begin another below.
Where not, all of this costs a look at a context variable.
"""

import re
from asyncio import CancelledError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple

from mesh.telemetry.spans import record
from mesh.telemetry.spans.record import Attributes, Kind, Span, new_span_id

__all__ = [
    "TraceContext",
    "attribute",
    "attributes",
    "below",
    "child",
    "count",
    "current",
    "enter",
    "entered",
    "event",
    "fail",
    "parse",
    "span",
    "within",
]

# An id of zeros alone is none.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class TraceContext(NamedTuple):
    """Where the running work belongs.

    Attributes:
        request_id: one id from the edge down to the last hop.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits, this hop's own.
        flags: two hexadecimal digits; bit 0 says that the trace is sampled.
        span: what is recorded of it; None: nothing.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: str
    span: Span | None = None

    @property
    def traceparent(self) -> str:
        """The header for the next hop."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_current: ContextVar[TraceContext | None] = ContextVar("gaji_trace", default=None)
_attributes: ContextVar[dict[str, str | int | float] | None] = ContextVar("gaji_attributes", default=None)


def current() -> TraceContext | None:
    """The context of the running work, if it belongs to a call."""
    return _current.get()


def parse(traceparent: str | None) -> tuple[str, str, str] | None:
    """Trace id, span id and flags of a header; None: it is absent or malformed."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return None if found is None else (found[1], found[2], found[3])


def enter(
    request_id: str | None = None,
    traceparent: str | None = None,
    *,
    name: str = "",
    kind: Kind = Kind.SERVER,
    fixed: bytes = b"",
    heard: bool = True,
) -> TraceContext:
    """Begins this hop's part for the rest of the running task; what is absent or malformed is made anew.

    Args:
        request_id: the caller's.
        traceparent: the caller's.
        name: of the span that is recorded of it, if the trace is sampled; empty: none is. Whoever enters ends it.
        kind: likewise.
        fixed: likewise; see `Span`.
        heard: whether the caller may decide that the trace is sampled.
    """
    parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if parent is None:
        trace_id, parent_id, flags = f"{getrandbits(128):032x}", "", "00"
    else:
        trace_id, parent_id, flags = parent[1], parent[2], parent[3]
    begun = None
    recorder = record.active
    if recorder is not None:
        begins = name or parent_id  # of a trace without a beginning nobody would make sense
        if begins and recorder.samples(trace_id, flags if parent_id else None, heard=heard):
            flags = "01"
            if name:
                begun = Span(recorder, trace_id, parent_id, name, kind, fixed)
        else:
            flags = "00"
    elif not heard:
        flags = "00"
    if not request_id or not _REQUEST_ID.fullmatch(request_id):
        request_id = f"{getrandbits(64):016x}"
    span_id = begun.span_id if begun is not None else f"{getrandbits(64):016x}"
    context = TraceContext(request_id, trace_id, span_id, flags, begun)
    _current.set(context)
    _attributes.set({})
    return context


def span() -> Span | None:
    """The span of the running work; None: nothing is recorded of it."""
    context = _current.get()
    return None if context is None else context.span


def event(name: str, attributes: Attributes | None = None) -> None:
    """Notes on the running work's span that something happened."""
    context = _current.get()
    if context is not None and context.span is not None:
        context.span.event(name, attributes)


def child(name: str, kind: Kind = Kind.INTERNAL, fixed: bytes = b"") -> Span | None:
    """Begins a span below the running work's, which whoever begins it ends; None: nothing is recorded."""
    context = _current.get()
    if context is None or context.span is None:
        return None
    above = context.span
    return Span(above.recorder, above.trace_id, above.span_id, name, kind, fixed)


def below(traceparent: str, name: str, kind: Kind = Kind.INTERNAL, fixed: bytes = b"") -> Span | None:
    """Begins a span below one that was noted elsewhere or earlier; None: nothing is recorded."""
    found, recorder = parse(traceparent), record.active
    if found is None or recorder is None or not recorder.samples(found[0], found[2]):
        return None
    return Span(recorder, found[0], found[1], name, kind, fixed)


@contextmanager
def within(name: str, kind: Kind = Kind.INTERNAL, fixed: bytes = b"") -> Iterator[Span | None]:
    """The block is a span below the running work's, and what is begun in it lies below that.

    Not for a block that yields to others in an async generator: they would be within it as well.
    """
    begun = child(name, kind, fixed)
    if begun is None:
        yield None
        return
    with entered(begun):
        yield begun


@contextmanager
def entered(begun: Span) -> Iterator[None]:
    """The block is the work of a span, which ends with it, failed where an error leaves the block."""
    context = _current.get()
    request_id = context.request_id if context is not None else new_span_id()
    token = _current.set(TraceContext(request_id, begun.trace_id, begun.span_id, "01", begun))
    try:
        yield
    except BaseException as error:
        fail(begun, error)
        raise
    finally:
        _current.reset(token)
        begun.end()


def fail(begun: Span, error: BaseException) -> None:
    """Notes on a span what it has ended with; that it was cancelled is no failure."""
    if isinstance(error, CancelledError | GeneratorExit):
        begun.attributes["gaji.cancelled"] = True
    else:
        reason = getattr(error, "reason", "")
        known = isinstance(reason, str) and reason.isupper()  # a `MeshError`'s; what others say may be anything
        begun.fail(reason if known else type(error).__name__)


def attribute(name: str, value: str | int | float) -> None:
    """Sets an attribute of the running call's span, named as OpenTelemetry would: ``rpc.retries``.

    Without effect where no call is running.
    """
    held = _attributes.get()
    if held is not None:
        held[name] = value


def count(name: str, by: int = 1) -> None:
    """Adds to an attribute that is a number; it begins at 0."""
    held = _attributes.get()
    if held is not None:
        before = held.get(name, 0)
        held[name] = by + (before if isinstance(before, int) else 0)


def attributes() -> Mapping[str, str | int | float]:
    """The attributes of the running call, those that its tasks have set included."""
    return _attributes.get() or {}
