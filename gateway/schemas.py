"""Messages as JSON Schema (draft 2020-12, as OpenAPI 3.1 uses it), with the contract's own words."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from gaji.gateway.v1 import edge_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.bindings import Route, field_at
from gateway.contract import Contract

Json = dict[str, Any]

_INT32: Json = {"type": "integer", "format": "int32"}
_UINT32: Json = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Json = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_FLOAT: Json = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_SCALARS: dict[int, Json] = {
    FieldDescriptor.CPPTYPE_INT32: _INT32,
    FieldDescriptor.CPPTYPE_UINT32: _UINT32,
    FieldDescriptor.CPPTYPE_INT64: _INT64,
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"},
    FieldDescriptor.CPPTYPE_FLOAT: _FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE: _FLOAT,
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
}

_GENERATED = "The gateway makes one for a request that has none."


class Schemas:
    """Makes schemas, and collects those of whole messages as components.

    Args:
        contract: what the descriptions are from.
        sent: the full names of the messages that requests hold, whose senders may leave fields out. In all others
            those without presence are required: the gateway always writes them.
    """

    def __init__(self, contract: Contract, sent: Collection[str] = ()) -> None:
        self.components: dict[str, Json] = {}
        self._contract = contract
        self._sent = sent
        self._names: dict[str, str] = {}

    def reference(self, message: Descriptor) -> Json:
        """A reference to a message's component."""
        name = self._names.get(message.full_name)
        if name is None:
            name = message.name if message.name not in self.components else message.full_name
            self._names[message.full_name] = name
            self.components[name] = {}  # holds the place, for messages that hold themselves
            self.components[name] = self.message(message)
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, message: Descriptor, left_out: Collection[str] = ()) -> Json:
        """A message in place, without some of its fields."""
        properties = {f.name: self.field(f) for f in message.fields if f.name not in left_out}
        schema: Json = {"type": "object", "properties": properties}
        required = [f.name for f in message.fields if not f.has_presence]
        if required and message.full_name not in self._sent:
            schema["required"] = required
        comment = self._contract.comment(message.full_name)
        return schema | ({"description": comment} if comment else {})

    def field(self, field: FieldDescriptor) -> Json:
        """A field's value, with its description."""
        schema = self._type_schema(field)
        comment = self._contract.comment(field.full_name)
        options: Any = field.GetOptions()
        if options.Extensions[edge_pb2.idempotency_key]:
            comment = f"{comment} {_GENERATED}".strip()
        return schema | ({"description": comment} if comment else {})

    def _type_schema(self, field: FieldDescriptor) -> Json:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._one(message.fields_by_name["value"])}
        one = self._one(field)
        return {"type": "array", "items": one} if field.is_repeated else one

    def _one(self, field: FieldDescriptor) -> Json:
        if field.enum_type is not None:
            return self._enum_schema(field.enum_type)
        if field.message_type is not None:
            return self._child_schema(field.message_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return dict(_SCALARS[field.cpp_type])

    def _child_schema(self, message: Descriptor) -> Json:
        if message.file.name == "google/protobuf/wrappers.proto":
            return self._one(message.fields_by_name["value"])
        if message.full_name.startswith("google.protobuf."):
            return dict(_WELL_KNOWN.get(message.full_name, {}))
        return self.reference(message)

    def _enum_schema(self, enum: EnumDescriptor) -> Json:
        lines = [f"{value.name}: {self._contract.comment(f'{enum.full_name}.{value.name}')}" for value in enum.values]
        schema: Json = {"type": "string", "enum": [value.name for value in enum.values]}
        if any(not line.endswith(": ") for line in lines):
            schema["x-values"] = lines
        return schema


def messages_sent(routes: Iterable[Route]) -> frozenset[str]:
    """The full names of the messages that bodies of requests are and hold, at any depth."""
    names: set[str] = set()
    waiting = [message for route in routes for message in _bodies(route)]
    while waiting:
        message = waiting.pop()
        if message.full_name not in names:
            names.add(message.full_name)
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return frozenset(names)


def _bodies(route: Route) -> Iterator[Descriptor]:
    request = route.rpc.input_type
    if route.body == "*":
        yield request
    elif route.body and (message := field_at(request, route.body).message_type) is not None:
        yield message
