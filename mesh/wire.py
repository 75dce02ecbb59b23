"""Reading requests from the wire (https://protobuf.dev/programming-guides/encoding/)."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgument


def parsed(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    """The message in raw bytes.

    Args:
        parse: ``FromString`` of its class.
        raw: what came.

    Raises:
        InvalidArgument: it does not parse; names the field that is not UTF-8, if that is why.
    """
    try:
        return parse(raw)
    except DecodeError:
        descriptor = getattr(getattr(parse, "__self__", None), "DESCRIPTOR", None)
        field = None if descriptor is None else _not_utf8(descriptor, raw)
        if field is not None:
            text = "is not UTF-8; encode it anew"
            raise InvalidArgument(f"{field} {text}", reason="INVALID_UTF8", fields={field: text}) from None
        raise InvalidArgument("the request is no message of this method", reason="MALFORMED_MESSAGE") from None


def _not_utf8(descriptor: Descriptor, raw: bytes) -> str | None:
    """The path of the first string field that is not UTF-8; None: all are, or the bytes are no message at all."""
    try:
        for number, value in _length_delimited(raw):
            field = descriptor.fields_by_number.get(number)
            if field is None:
                continue
            if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(value):
                return str(field.name)
            inner = None if field.message_type is None else _not_utf8(field.message_type, value)
            if inner is not None:
                return f"{field.name}.{inner}"
    except (IndexError, ValueError):
        return None
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _length_delimited(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:  # a number
                _, at = _varint(raw, at)
            case 1:  # 64 bits
                at += 8
            case 2:  # text, bytes, a message or packed numbers
                length, at = _varint(raw, at)
                yield tag >> 3, raw[at : at + length]
                at += length
            case 5:  # 32 bits
                at += 4
            case kind:
                raise ValueError(f"wire type {kind}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 63:
            return value, at
