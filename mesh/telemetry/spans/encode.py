"""Spans as OTLP: protobuf, written by hand (https://protobuf.dev/programming-guides/encoding/).

An export is CPU time of the process that answers readers. Through the message classes of ``opentelemetry-proto`` a span
costs several times as much (docs/decisions/0030-tracing.md), most of it for keys and values that are the same in each:
those are encoded once here. The field numbers are those of opentelemetry-proto 1.x, which are stable
(https://github.com/open-telemetry/opentelemetry-proto); a test reads all of it back with that package.
"""

from collections.abc import Iterable
from struct import Struct

from mesh.telemetry.spans.record import Attributes, Event, Span, Value

LONGEST_TEXT = 256
"""Characters of a value; longer ones are cut."""
SCOPE = "gaji.mesh"

_TIME = Struct("<Q").pack
_DOUBLE = Struct("<d").pack
_SMALL = [bytes((number,)) for number in range(128)]
_KEYS: dict[str, bytes] = {}
_MOST_KEYS = 4096
_IS_ERROR = b"\x7a\x02\x18\x02"  # Span.status (15) with Status.code (3) = ERROR
_FLAGS = b"\x85\x01\x01\x00\x00\x00"  # Span.flags (16): sampled
_LINK_FLAGS = b"\x35\x01\x00\x00\x00"  # Span.Link.flags (6), likewise


def request(resource: bytes, spans: Iterable[Span]) -> bytes:
    """An ``ExportTraceServiceRequest``.

    Args:
        resource: who says it, from `resource_of`.
        spans: ended ones.
    """
    scope = _field(b"\x0a", _field(b"\x0a", SCOPE.encode()))
    body = b"".join((scope, *(_field(b"\x12", span_of(span)) for span in spans)))
    return _field(b"\x0a", resource + _field(b"\x12", body))


def resource_of(attributes: Attributes) -> bytes:
    """The field ``resource`` of ``ResourceSpans``."""
    return _field(b"\x0a", b"".join(_field(b"\x0a", _pair(*each)) for each in attributes.items()))


def encoded(attributes: Attributes) -> bytes:
    """Attributes of spans, to be made once for all spans of a place."""
    return b"".join(_field(b"\x4a", _pair(*each)) for each in attributes.items())


def span_of(span: Span) -> bytes:
    """A span that has ended."""
    name = span.name.encode(errors="replace")
    parts = [
        b"\x0a\x10",
        bytes.fromhex(span.trace_id),
        b"\x12\x08",
        bytes.fromhex(span.span_id),
        b"\x2a",
        _varint(len(name)),
        name,
        b"\x30",
        _SMALL[span.kind],
        b"\x39",
        _TIME(span.started),
        b"\x41",
        _TIME(max(span.ended, span.started)),
        span.fixed,
    ]
    if span.parent_id:
        parts += (b"\x22\x08", bytes.fromhex(span.parent_id))
    for key, value in span.attributes.items():
        pair = _pair(key, value)
        parts += (b"\x4a", _varint(len(pair)), pair)
    if span.events:
        parts += (_field(b"\x5a", _event(event)) for event in span.events)
        if span.lost_events:
            parts += (b"\x60", _varint(span.lost_events))
    if span.links:
        parts += (_field(b"\x6a", _link(*link)) for link in span.links)
    if span.failed:
        parts.append(_IS_ERROR)
    parts.append(_FLAGS)
    return b"".join(parts)


def _event(event: Event) -> bytes:
    at, name, attributes = event
    parts = [b"\x09", _TIME(at), _field(b"\x12", name.encode(errors="replace"))]
    if attributes:
        parts += (_field(b"\x1a", _pair(*each)) for each in attributes.items())
    return b"".join(parts)


def _link(trace_id: str, span_id: str) -> bytes:
    return b"\x0a\x10" + bytes.fromhex(trace_id) + b"\x12\x08" + bytes.fromhex(span_id) + _LINK_FLAGS


def _pair(key: str, value: Value) -> bytes:
    """A ``KeyValue``."""
    head = _KEYS.get(key)
    if head is None:
        head = _field(b"\x0a", key.encode())
        if len(_KEYS) < _MOST_KEYS:
            _KEYS[key] = head
    if isinstance(value, str):
        text = value[:LONGEST_TEXT].encode(errors="replace")
        inner = b"\x0a" + _varint(len(text)) + text
    elif isinstance(value, bool):
        inner = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        inner = b"\x18" + _varint(value & 0xFFFFFFFFFFFFFFFF)
    else:
        inner = b"\x21" + _DOUBLE(value)
    return head + b"\x12" + _varint(len(inner)) + inner


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def rejected(answer: bytes) -> int:
    """How many spans an ``ExportTraceServiceResponse`` says that the receiver has not taken; 0: it does not parse."""
    try:
        if answer[0] != 0x0A:  # partial_success (1)
            return 0
        _, at = _read_varint(answer, 1)
        return _read_varint(answer, at + 1)[0] if answer[at] == 0x08 else 0  # rejected_spans (1)
    except IndexError:
        return 0


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 63:
            return value, at
