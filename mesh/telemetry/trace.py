"""Request ids and W3C trace context, handed from hop to hop.

Every call has a request id (for people: it is in each log line and in the HTTP answer) and a trace context
(https://www.w3.org/TR/trace-context/). Spans are not recorded here; the context is what an exporter hooks into, and so
are the attributes of the running call, which its log line shows.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where the running work belongs.

    Attributes:
        request_id: one id from the edge down to the last hop.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits, this hop's own.
        flags: two hexadecimal digits; bit 0 says that the trace is sampled.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: str

    @property
    def traceparent(self) -> str:
        """The header for the next hop."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_current: ContextVar[TraceContext | None] = ContextVar("gaji_trace", default=None)
_attributes: ContextVar[dict[str, str | int | float] | None] = ContextVar("gaji_attributes", default=None)


def current() -> TraceContext | None:
    """The context of the running work, if it belongs to a call."""
    return _current.get()


def enter(request_id: str | None = None, traceparent: str | None = None) -> TraceContext:
    """Begins this hop's part for the rest of the running task; what is absent or malformed is made anew."""
    parent = _TRACEPARENT.fullmatch(traceparent or "")
    trace_id, flags = (parent[1], parent[3]) if parent else (secrets.token_hex(16), "00")
    if not request_id or not _REQUEST_ID.fullmatch(request_id):
        request_id = secrets.token_hex(8)
    context = TraceContext(request_id, trace_id, secrets.token_hex(8), flags)
    _current.set(context)
    _attributes.set({})
    return context


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
