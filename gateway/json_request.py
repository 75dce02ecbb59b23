"""Requests: body, path and query become one message; what does not fit is refused by the name of its field."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.bindings import Route, field_at
from gateway.json_body import MAX_DEPTH
from gateway.scalars import MisfitError, from_json, from_text, kind_of
from mesh.validation import Violations


def build_request(
    route: Route, body: Any | None, variables: Mapping[str, str], query: Sequence[tuple[str, str]]
) -> Any:
    """The request message of a call.

    Args:
        route: which fields come from where.
        body: parsed JSON; None: there is none.
        variables: the path's, by field path.
        query: the query's parameters, in order.

    Raises:
        InvalidArgument: INVALID_FIELD, with every field that does not fit.
    """
    message = route.request()
    check = Violations()
    if body is not None:
        _Filler(check).fill(message, body if route.body == "*" else {route.body: body})
    _fill_from_query(message, route, query, check)
    for path, text in variables.items():
        _fill_from_path(message, path, text, body if route.body == "*" else None, check)
    check.raise_if_any()
    return message


class _Filler:
    """Fills messages with JSON and notes what does not fit."""

    def __init__(self, check: Violations) -> None:
        self._check = check

    def fill(self, message: Any, data: Any, path: str = "", depth: int = 0) -> None:
        """Fills a message from an object; a path is empty for the request itself."""
        if not isinstance(data, dict):
            self._check.add(path or "body", f"must be an object, not {kind_of(data)}")
        elif depth > MAX_DEPTH:
            self._check.add(path, f"is nested deeper than {MAX_DEPTH}")
        else:
            self._fill_fields(message, data, path, depth)

    def _fill_fields(self, message: Any, data: dict[str, Any], path: str, depth: int) -> None:
        fields = _fields(message.DESCRIPTOR)
        given: set[str] = set()
        for key, value in data.items():
            field = fields.get(key)
            inside = f"{path}.{key}" if path else key
            if field is None:
                known = ", ".join(message.DESCRIPTOR.fields_by_name) or "none"
                self._check.add(inside[:200], f"is not a field here; known: {known}")
                continue
            # A null is an absent field, except where null is a value.
            if value is None and not _takes_null(field):
                continue
            slot = field.containing_oneof.name if field.containing_oneof is not None else field.name
            if slot in given:
                self._check.add(inside, "is given twice" if slot == field.name else f"excludes another of {slot}")
                continue
            given.add(slot)
            self._set(message, field, value, inside, depth)

    def _set(self, message: Any, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        name = field.name
        if _is_map(field):
            self._set_map(message, field, value, path, depth)
        elif field.is_repeated:
            self._set_list(message, field, value, path, depth)
        elif field.message_type is not None:
            child = getattr(message, name)
            child.SetInParent()
            self._fill_message(child, value, path, depth)
        else:
            self._convert(field, value, path, lambda converted: setattr(message, name, converted))

    def _set_list(self, message: Any, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        if not isinstance(value, list):
            self._check.add(path, f"must be a list, not {kind_of(value)}")
            return
        repeated = getattr(message, field.name)
        for i, item in enumerate(value):
            if field.message_type is not None:
                self._fill_message(repeated.add(), item, f"{path}[{i}]", depth)
            else:
                self._convert(field, item, f"{path}[{i}]", repeated.append)

    def _set_map(self, message: Any, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        if not isinstance(value, dict):
            self._check.add(path, f"must be an object, not {kind_of(value)}")
            return
        assert field.message_type is not None  # noqa: S101 - a map's entries are messages
        target = getattr(message, field.name)
        key_of = _converter_of_text(field.message_type.fields_by_name["key"])
        value_field = field.message_type.fields_by_name["value"]
        for name, item in value.items():
            inside = f"{path}[{name[:80]}]"
            try:
                key = key_of(name)
            except MisfitError as misfit:
                self._check.add(inside, f"as a key {misfit}")
                continue
            if value_field.message_type is not None:
                self._fill_message(target[key], item, inside, depth)
            else:
                self._convert(value_field, item, inside, partial(target.__setitem__, key))

    def _convert(self, field: FieldDescriptor, value: Any, path: str, put: Callable[[Any], object]) -> None:
        try:
            put(_converter(field)(value))
        except MisfitError as misfit:
            self._check.add(path, str(misfit))

    def _fill_message(self, message: Any, value: Any, path: str, depth: int) -> None:
        if not message.DESCRIPTOR.full_name.startswith("google.protobuf."):
            self.fill(message, value, path, depth + 1)
            return
        try:
            # Well-known types have JSON forms of their own, which the library knows.
            json_format.ParseDict(value, message, descriptor_pool=message.DESCRIPTOR.file.pool)
        except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
            self._check.add(path, f"is no {message.DESCRIPTOR.full_name}: {str(error)[:200]}")


def _fill_from_query(message: Any, route: Route, query: Sequence[tuple[str, str]], check: Violations) -> None:
    seen: set[str] = set()
    for name, text in query:
        try:
            field = _query_field(route, name)
            value = _converter_of_text(field)(text)
            parent = _parent(message, name)
            if field.is_repeated:
                getattr(parent, field.name).append(value)
            elif name in seen:
                check.add(name, "is given more than once")
            else:
                seen.add(name)
                setattr(parent, field.name, value)
        except MisfitError as misfit:
            check.add(name[:200], str(misfit))


def _query_field(route: Route, name: str) -> FieldDescriptor:
    if route.body == "*" or name.partition(".")[0] == route.body:
        raise MisfitError("belongs in the body, not in the query")
    if name in route.template.variables:
        raise MisfitError("is in the path already; leave it out of the query")
    try:
        field = field_at(route.rpc.input_type, name)
    except ValueError:
        known = [known.name for known in route.rpc.input_type.fields if known.name not in route.template.variables]
        raise MisfitError(f"is not a parameter here; known: {', '.join(known) or 'none'}") from None
    if field.message_type is not None:
        raise MisfitError("is an object, which a query cannot hold")
    return field


def _fill_from_path(message: Any, path: str, text: str, body: Any, check: Violations) -> None:
    given = body
    for name in path.split("."):
        given = given.get(name) if isinstance(given, dict) else None
    if given is not None and given != text:
        check.add(path, "differs between path and body; leave it out of the body")
        return
    field = field_at(message.DESCRIPTOR, path)
    try:
        setattr(_parent(message, path), field.name, _converter_of_text(field)(text))
    except MisfitError as misfit:
        check.add(path, str(misfit))


def _parent(message: Any, path: str) -> Any:
    """The message that holds the last field of a path."""
    for name in path.split(".")[:-1]:
        message = getattr(message, name)
    return message


@cache
def _fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    """The fields by their proto names and by their JSON names."""
    names = {field.json_name: field for field in message.fields}
    return names | {field.name: field for field in message.fields}


_converter = cache(from_json)
_converter_of_text = cache(from_text)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _takes_null(field: FieldDescriptor) -> bool:
    if field.is_repeated:
        return False
    if field.message_type is not None:
        return bool(field.message_type.full_name == "google.protobuf.Value")
    return bool(field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue")
