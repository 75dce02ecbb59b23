"""Single values of a request: from JSON, and from the text of paths and queries, to what a protobuf field takes.

JSON follows https://protobuf.dev/programming-guides/json/. A value that does not fit raises `MisfitError`.
"""

import base64
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

Convert = Callable[[Any], Any]


class MisfitError(ValueError):
    """A value that its field cannot take; the message completes "<field> ..."."""


_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def from_json(field: FieldDescriptor) -> Convert:
    """The function that converts JSON values for a field that is no message; of a repeated field, its elements."""
    kind = field.cpp_type
    if kind in _RANGES:
        return _integer(*_RANGES[kind])
    match kind:
        case FieldDescriptor.CPPTYPE_FLOAT:
            return _single
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return _double
        case FieldDescriptor.CPPTYPE_BOOL:
            return _boolean
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _bytes if field.type == FieldDescriptor.TYPE_BYTES else _text


def from_text(field: FieldDescriptor) -> Convert:
    """The same for a value in a path or a query, where all is text."""
    convert = from_json(field)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean_text
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return lambda text: convert(int(text) if _INTEGER.fullmatch(text) else text)
    return convert


def kind_of(value: Any) -> str:
    """What a JSON value is, for people."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def _integer(minimum: int, maximum: int) -> Convert:
    def convert(value: Any) -> int:
        if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise MisfitError(f"must be a whole number, not {_shown(value)}")
        if not minimum <= value <= maximum:
            raise MisfitError(f"must be a whole number from {minimum} to {maximum}")
        return value

    return convert


def _double(value: Any) -> float:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _NUMBER.fullmatch(value):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MisfitError(f"must be a number, not {_shown(value)}")
    if math.isinf(value):
        raise MisfitError("is too large")
    return float(value)


def _single(value: Any) -> float:
    number = _double(value)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise MisfitError("is too large") from None
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise MisfitError(f"must be true or false, not {_shown(value)}")
    return value


def _boolean_text(text: str) -> bool:
    if text not in {"true", "false"}:
        raise MisfitError(f"must be true or false, not {text[:40]!r}")
    return text == "true"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MisfitError(f"must be text, not {kind_of(value)}")
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):  # a body that is a file; JSON has none
        return value
    # The standard alphabet and the one for URLs, with padding or without.
    text = _text(value).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise MisfitError("must be base64") from None


_URL_SAFE = str.maketrans("-_", "+/")


def _enum(enum: EnumDescriptor) -> Convert:
    whole = _integer(*_RANGES[FieldDescriptor.CPPTYPE_INT32])

    def convert(value: Any) -> int:
        if isinstance(value, str):
            if value not in enum.values_by_name:
                raise MisfitError(f"must be one of {', '.join(enum.values_by_name)}")
            return int(enum.values_by_name[value].number)
        number: int = whole(value)
        return number

    return convert


def _shown(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else repr(value) if isinstance(value, float) else kind_of(value)
