import json
import math
from typing import Any

import orjson
import pytest
from gaji.library.v1 import conversation_service_pb2, novel_service_pb2, scenario_service_pb2
from gaji.search.v1 import search_service_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2, wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor as F
from hypothesis import given
from hypothesis import strategies as st

from mesh import sse
from mesh.protojson import to_object


def every_kind_of_field() -> Any:
    """A message type with a field of each type, singular, optional, repeated, in a map and in a oneof."""
    file = descriptor_pb2.FileDescriptorProto(name="every.proto", package="every", syntax="proto3")
    enum = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "COLOUR_RED")):
        enum.value.add(name=name, number=number)
    every = file.message_type.add(name="Every")
    types = [
        F.TYPE_DOUBLE, F.TYPE_FLOAT, F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_INT32, F.TYPE_UINT32, F.TYPE_FIXED64,
        F.TYPE_BOOL, F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_ENUM, F.TYPE_MESSAGE,
    ]  # fmt: skip
    named = {F.TYPE_ENUM: ".every.Colour", F.TYPE_MESSAGE: ".every.Every"}
    for index, kind in enumerate(types):
        type_name = named.get(kind)
        every.field.add(name=f"one_{kind}", number=10 + index, type=kind, type_name=type_name, label=1)
        every.field.add(name=f"many_{kind}", number=40 + index, type=kind, type_name=type_name, label=3)
        optional = every.field.add(name=f"maybe_{kind}", number=70 + index, type=kind, type_name=type_name, label=1)
        optional.proto3_optional = True
        optional.oneof_index = index
        every.oneof_decl.add(name=f"_maybe_{kind}")
        entry = every.nested_type.add(name=f"Map{kind}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=F.TYPE_INT32 if index % 2 else F.TYPE_BOOL, label=1)
        entry.field.add(name="value", number=2, type=kind, type_name=type_name, label=1)
        every.field.add(
            name=f"map{kind}",
            number=100 + index,
            type=F.TYPE_MESSAGE,
            type_name=f".every.Every.Map{kind}Entry",
            label=3,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("every.Every"))


EVERY = every_kind_of_field()
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    F.TYPE_DOUBLE: st.floats(),
    F.TYPE_FLOAT: st.floats(width=32),
    F.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_UINT64: st.integers(0, 2**64 - 1),
    F.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    F.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_UINT32: st.integers(0, 2**32 - 1),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"])),
    F.TYPE_BYTES: st.binary(),
    F.TYPE_ENUM: st.integers(0, 2),
}


@st.composite
def messages(draw: st.DrawFn, depth: int = 0) -> Any:
    message = EVERY()
    for field in draw(st.lists(st.sampled_from(list(EVERY.DESCRIPTOR.fields)), max_size=6, unique_by=lambda f: f.name)):
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        kind = field.message_type.fields_by_name["value"].type if is_map else field.type
        if kind == F.TYPE_MESSAGE:
            if depth > 1:
                continue
            values = [draw(messages(depth + 1)) for _ in range(2)]
        else:
            values = draw(st.lists(SCALARS[kind], min_size=1, max_size=3))
        if is_map:
            keys = [True, False] if field.message_type.fields_by_name["key"].type == F.TYPE_BOOL else [-7, 2**31 - 1]
            for key, value in zip(keys, values, strict=False):
                if kind == F.TYPE_MESSAGE:
                    getattr(message, field.name)[key].CopyFrom(value)
                else:
                    getattr(message, field.name)[key] = value
        elif field.is_repeated:
            getattr(message, field.name).extend(values)
        elif kind == F.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(values[0])
        else:
            setattr(message, field.name, values[0])
    return message


def to_json(message: Any) -> bytes:
    """As the gateway and the relay write it."""
    return orjson.dumps(to_object(message.DESCRIPTOR)(message))


def canonical(message: Any) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-15)
    return bool(ours == theirs)


@given(messages())
def test_json_is_the_librarys(message: Any) -> None:
    assert same(json.loads(to_json(message)), json.loads(json.dumps(canonical(message))))


@pytest.mark.parametrize(
    "message",
    [
        novel_service_pb2.Novel(novel_id="n", status=novel_service_pb2.INGESTION_STATUS_COMPLETE, visibility=9),  # type: ignore[arg-type]  # a number from a newer contract
        scenario_service_pb2.Scenario(until_chapter=0, passage_ids=["a"]),
        conversation_service_pb2.Message(record=conversation_service_pb2.ReplyRecord(provider="local")),
        search_service_pb2.SearchPassagesResponse(passages=[search_service_pb2.Passage(score=0.1, distance=1e-9)]),
        struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=1)}),
        wrappers_pb2.Int64Value(value=2**60),
    ],
)
def test_our_messages_and_well_known_types(message: Any) -> None:
    assert json.loads(to_json(message)) == json.loads(json.dumps(canonical(message)))


def test_timestamps_are_strings() -> None:
    novel = novel_service_pb2.Novel()
    novel.created_at.FromJsonString("2020-01-02T03:04:05Z")
    assert json.loads(to_json(novel))["created_at"] == "2020-01-02T03:04:05Z"


def test_an_event_is_one_frame_with_its_arms_name_and_the_sequence() -> None:
    format_ = sse.formatter(search_service_pb2.IngestNovelResponse.DESCRIPTOR)
    message = search_service_pb2.IngestNovelResponse(sequence=7)
    assert format_(message) == b""
    message.progress.progress = 20
    message.progress.message = "line\nbreak"
    assert format_(message) == (
        b'event: progress\nid: 7\ndata: {"progress":20,"stage":"","message":"line\\nbreak"}\n\n'
    )


def test_the_id_is_the_cursor_where_the_stream_has_one() -> None:
    format_ = sse.formatter(novel_service_pb2.WatchIngestionResponse.DESCRIPTOR)
    message = novel_service_pb2.WatchIngestionResponse(sequence=7, cursor="a.1.7")
    message.gap.last_sequence = 3
    assert format_(message) == b'event: gap\nid: a.1.7\ndata: {"first_sequence":"0","last_sequence":"3"}\n\n'
    message.cursor = ""
    assert format_(message) == b'event: gap\ndata: {"first_sequence":"0","last_sequence":"3"}\n\n'


def test_a_stream_without_a_oneof_is_refused() -> None:
    with pytest.raises(ValueError, match="oneof"):
        sse.formatter(novel_service_pb2.Novel.DESCRIPTOR)


def test_events_that_are_no_messages() -> None:
    assert sse.event("failed", {"code": "INTERNAL"}) == b'event: failed\ndata: {"code":"INTERNAL"}\n\n'
    assert sse.retry(2000) == b"retry: 2000\n\n"
