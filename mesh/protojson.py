"""Messages as JSON, by functions that are built once per message type.

The output is that of ``google.protobuf.json_format`` with proto field names and with fields without presence always
printed (https://protobuf.dev/programming-guides/json/), several times faster.
"""

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.internal import type_checkers
from google.protobuf.message import Message

ToObject = Callable[[Any], Any]


@cache
def to_object(descriptor: Descriptor) -> ToObject:
    """The function that turns messages of a type into what `orjson.dumps` takes."""
    if descriptor.full_name.startswith("google.protobuf."):
        # Well-known types have forms of their own (a Timestamp is a string); the library knows them.
        return _well_known
    always: list[tuple[str, ToObject | None]] = []
    present: list[tuple[str, ToObject | None]] = []
    for field in descriptor.fields:
        (present if field.has_presence else always).append((field.name, _of_field(field)))

    if len(always) == 1 and not present and always[0][1] is None:  # a token event, say: the hot path
        name = always[0][0]
        return lambda message: {name: getattr(message, name)}

    def convert(message: Any) -> dict[str, Any]:
        out = {}
        for name, of in always:
            value = getattr(message, name)
            out[name] = value if of is None else of(value)
        for name, of in present:
            if message.HasField(name):
                value = getattr(message, name)
                out[name] = value if of is None else of(value)
        return out

    return convert


def _well_known(message: Message) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _of_field(field: FieldDescriptor) -> ToObject | None:
    """How a field's value is turned; None: it stays as it is."""
    entry = field.message_type if field.type == FieldDescriptor.TYPE_MESSAGE else None
    if entry is not None and entry.GetOptions().map_entry:
        key, value = _key, _of_value(entry.fields_by_name["value"])
        return lambda items: {key(k): v if value is None else value(v) for k, v in items.items()}
    one = _of_value(field)
    if field.is_repeated:
        return list if one is None else lambda items: [one(item) for item in items]
    return one


def _key(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _of_value(field: FieldDescriptor) -> ToObject | None:
    if field.enum_type is not None:
        return _of_enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return _BY_TYPE.get(field.cpp_type)


def _of_enum(enum: EnumDescriptor) -> ToObject:
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _: None
    names = {number: value.name for number, value in enum.values_by_number.items()}
    return lambda number: names.get(number, number)


def _finite(value: float, of: Callable[[float], float]) -> Any:
    if math.isfinite(value):
        return of(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_BY_TYPE: Mapping[int, ToObject] = {
    FieldDescriptor.CPPTYPE_MESSAGE: lambda message: to_object(message.DESCRIPTOR)(message),  # late: types may recurse
    FieldDescriptor.CPPTYPE_INT64: str,
    FieldDescriptor.CPPTYPE_UINT64: str,
    FieldDescriptor.CPPTYPE_FLOAT: lambda value: _finite(value, type_checkers.ToShortestFloat),
    FieldDescriptor.CPPTYPE_DOUBLE: lambda value: _finite(value, float),
}
