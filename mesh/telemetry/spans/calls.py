"""Spans of calls between processes (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).

An attempt of a call is a span: of a call that is made three times one sees all three, and which replica's failed.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import grpc

from mesh.telemetry import trace
from mesh.telemetry.spans.encode import encoded
from mesh.telemetry.spans.record import Kind, Span

FIRST_MESSAGE = "first message"
_UNRECORDED = "/gaji.mesh."
"""A relay lives for days, and the calls on it have spans of their own; what operators ask is not worth one."""
# The codes that are a server's fault; a client's span fails with any but OK.
_SERVERS_FAULT = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


@lru_cache(maxsize=1024)
def _served(path: str) -> bytes:
    return encoded({"rpc.system.name": "grpc", "rpc.method": path[1:]})


@lru_cache(maxsize=1024)
def _called(path: str) -> bytes:
    package = path[1:].split(".")
    room = package[1] if len(package) > 2 else package[0]
    return encoded({"rpc.system.name": "grpc", "rpc.method": path[1:], "server.address": room})


def enter_call(path: str, request_id: str | None, traceparent: str | None) -> trace.TraceContext:
    """Begins a call that is answered here: its context, and its span where the trace is sampled."""
    if path.startswith(_UNRECORDED):
        return trace.enter(request_id, traceparent)
    return trace.enter(request_id, traceparent, name=path[1:], kind=Kind.SERVER, fixed=_served(path))


def end_call(
    context: trace.TraceContext,
    code: grpc.StatusCode,
    *,
    reason: str | None = None,
    messages: int | None = None,
    first_message: float | None = None,
) -> None:
    """Ends its span.

    Args:
        context: from `enter_call`.
        code: how it has ended.
        reason: of a `MeshError`.
        messages: how many were sent; None: it is no stream.
        first_message: seconds from the beginning to the first of them.
    """
    span = context.span
    if span is None:
        return
    told = span.attributes
    told["gaji.request_id"] = context.request_id
    told["rpc.response.status_code"] = code.name
    told.update(trace.attributes())
    if messages is not None:
        told["gaji.stream.messages"] = messages
    if first_message is not None:
        span.event(FIRST_MESSAGE, at=span.started + int(first_message * 1e9))
    if reason is not None:
        told["gaji.reason"] = reason
    if code in _SERVERS_FAULT:
        span.fail(code.name)
    span.end()


def begin_attempt(path: str, retry: int = 0) -> Span | None:
    """Begins an attempt of a call to a peer; None: it is not recorded.

    Args:
        path: of the method.
        retry: how many attempts went before.
    """
    above = trace.span()
    if above is None:
        return None
    span = Span(above.recorder, above.trace_id, above.span_id, path[1:], Kind.CLIENT, _called(path))
    if retry:
        span.attributes["gaji.rpc.previous_attempts"] = retry
    return span


def carrying(metadata: Sequence[tuple[str, Any]], span: Span) -> Sequence[tuple[str, Any]]:
    """The metadata of a call, with which its server's span becomes a child of this one."""
    return (*(entry for entry in metadata if entry[0] != "traceparent"), ("traceparent", span.traceparent))


def end_attempt(span: Span, code: grpc.StatusCode, *, left: bool = False) -> None:
    """Ends an attempt.

    Args:
        span: from `begin_attempt`.
        code: how it has ended.
        left: whether it was cancelled here, which is no failure.
    """
    span.attributes["rpc.response.status_code"] = code.name
    if code is not grpc.StatusCode.OK and not left:
        span.fail(code.name)
    span.end()
