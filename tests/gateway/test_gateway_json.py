"""Requests and answers as JSON, held against google.protobuf.json_format."""

import json
import math
from typing import Any

import httpx
import orjson
import pytest
from google.protobuf import json_format, message_factory
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.bindings import Route, routes_of
from gateway.contract import Contract
from gateway.json_body import MAX_DEPTH, parse_json
from gateway.json_request import build_request
from mesh.errors import InvalidArgument
from mesh.protojson import to_object
from tests.gateway.conftest import error_of

INT32 = st.integers(-(2**31), 2**31 - 1)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOAT = st.floats(width=32).map(lambda value: math.nan if math.isnan(value) else value)  # one NaN is like another
COLOUR = st.sampled_from([0, 1, 2, 7])
CHILD = st.fixed_dictionaries({}, optional={"name": TEXT, "size": INT64})
MOMENT = st.builds(lambda s, n: {"seconds": s, "nanos": n}, st.integers(0, 253402300799), st.integers(0, 999999999))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "int32_value": INT32,
    "int64_value": INT64,
    "uint32_value": UINT32,
    "uint64_value": UINT64,
    "sint32_value": INT32,
    "sint64_value": INT64,
    "fixed32_value": UINT32,
    "fixed64_value": UINT64,
    "sfixed32_value": INT32,
    "sfixed64_value": INT64,
    "float_value": FLOAT,
    "double_value": st.floats().map(lambda value: math.nan if math.isnan(value) else value),
    "bool_value": st.booleans(),
    "string_value": TEXT,
    "bytes_value": st.binary(max_size=20),
    "colour": COLOUR,
    "child": CHILD,
    "optional_int32": INT32,
    "optional_string": TEXT,
    "optional_colour": COLOUR,
    "int32_list": st.lists(INT32, max_size=3),
    "uint64_list": st.lists(UINT64, max_size=3),
    "string_list": st.lists(TEXT, max_size=3),
    "float_list": st.lists(FLOAT, max_size=3),
    "bytes_list": st.lists(st.binary(max_size=9), max_size=3),
    "colour_list": st.lists(COLOUR, max_size=3),
    "child_list": st.lists(CHILD, max_size=3),
    "string_map": st.dictionaries(TEXT, TEXT, max_size=3),
    "bool_map": st.dictionaries(st.booleans(), COLOUR, max_size=2),
    "timestamp": MOMENT,
    "duration": MOMENT.map(lambda moment: moment | {"seconds": moment["seconds"] % 315_576_000_000}),
    "mask": st.lists(st.sampled_from(["a", "b.c", "d_e"]), max_size=2).map(lambda paths: {"paths": paths}),
    "wrapped_int64": INT64.map(lambda value: {"value": value}),
    "wrapped_string": TEXT.map(lambda value: {"value": value}),
    "wrapped_bool": st.booleans().map(lambda value: {"value": value}),
    "timestamp_list": st.lists(MOMENT, max_size=2),
}
CHOICE: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"text_choice": TEXT}),
    st.fixed_dictionaries({"number_choice": INT64}),
    st.fixed_dictionaries({"child_choice": CHILD}),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
EVERYTHING = st.builds(
    lambda one, inner, choice: one | choice | ({"itself": inner} if inner else {}),
    st.fixed_dictionaries({}, optional=FIELDS),
    st.fixed_dictionaries({}, optional=FIELDS),
    CHOICE,
)


@pytest.fixture(scope="module")
def everything(contract: Contract) -> Any:
    return message_factory.GetMessageClass(contract.pool.FindMessageTypeByName("gaji.probe.v1.Everything"))


@pytest.fixture(scope="module")
def route(contract: Contract) -> Route:
    """POST /probe/echo, whose body is the whole request."""
    return next(r for r in routes_of(contract) if r.template.text == "/probe/echo" and r.verb == "POST")


def reference(message: Any) -> Any:
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.loads(text)


@given(EVERYTHING)
@examples(max_examples=150, deadline=None)
def test_messages_are_written_as_protobuf_writes_them(everything: Any, fields: dict[str, Any]) -> None:
    message = everything(**fields)
    convert = to_object(message.DESCRIPTOR)
    assert json.loads(orjson.dumps(convert(message), option=orjson.OPT_NON_STR_KEYS)) == reference(message)


@given(EVERYTHING)
@examples(max_examples=150, deadline=None)
def test_requests_are_read_as_protobuf_reads_them(route: Route, everything: Any, fields: dict[str, Any]) -> None:
    message = everything(**fields)
    for preserving in (True, False):  # both spellings of a field's name are taken
        text = json_format.MessageToJson(message, preserving_proto_field_name=preserving)
        read = build_request(route, parse_json(text.encode()), {}, [])
        # NaN is not equal to itself, so bytes are compared.
        assert read.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


@given(st.dictionaries(st.sampled_from([*FIELDS, "struct", "value", "child_map", "text_choice", "nonsense"]), JSON))
@examples(max_examples=300, deadline=None)
def test_any_json_is_taken_as_protobuf_takes_it_or_refused_by_name(
    route: Route, everything: Any, body: dict[str, Any]
) -> None:
    refused: dict[str, str] = {}
    read = everything()
    try:
        read = build_request(route, parse_json(orjson.dumps(body)), {}, [])
    except InvalidArgument as error:
        refused = error.fields
    if refused:
        assert {name.split(".")[0].split("[")[0] for name in refused} <= set(body)
        return
    expected = json_format.ParseDict(body, everything(), descriptor_pool=everything.DESCRIPTOR.file.pool)
    assert read.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"nonsense": 1}, "nonsense", "not a field"),
        ({"child": {"nonsense": 1}}, "child.nonsense", "known: name, size"),
        ({"child_list": [{}, {"size": "x"}]}, "child_list[1].size", "whole number"),
        ({"int32_value": "many"}, "int32_value", "whole number"),
        ({"int32_value": 1.5}, "int32_value", "whole number"),
        ({"int32_value": True}, "int32_value", "a boolean"),
        ({"int32_value": 2**31}, "int32_value", "from -2147483648 to 2147483647"),
        ({"uint32_value": -1}, "uint32_value", "from 0"),
        ({"uint64_value": "18446744073709551616"}, "uint64_value", "from 0"),
        ({"int64_value": 10**30}, "int64_value", "from -"),
        ({"float_value": 1e300}, "float_value", "too large"),
        ({"double_value": "wide"}, "double_value", "a number"),
        ({"bool_value": "true"}, "bool_value", "true or false"),
        ({"bool_value": 1}, "bool_value", "true or false"),
        ({"string_value": 1}, "string_value", "must be text"),
        ({"string_value": ["a"]}, "string_value", "a list"),
        ({"bytes_value": "***"}, "bytes_value", "base64"),
        ({"colour": "COLOUR_GREEN"}, "colour", "COLOUR_RED"),
        ({"colour": {}}, "colour", "an object"),
        ({"string_list": "a"}, "string_list", "must be a list"),
        ({"string_list": [None]}, "string_list[0]", "null"),
        ({"child": []}, "child", "must be an object"),
        ({"string_map": [1]}, "string_map", "must be an object"),
        ({"string_map": {"a": 1}}, "string_map[a]", "must be text"),
        ({"child_map": {"x": {}}}, "child_map[x]", "as a key"),
        ({"text_choice": "a", "number_choice": 1}, "number_choice", "excludes another of choice"),
        ({"int32_value": 1, "int32Value": 2}, "int32Value", "given twice"),
        ({"timestamp": "yesterday"}, "timestamp", "google.protobuf.Timestamp"),
        ({"duration": 5}, "duration", "google.protobuf.Duration"),
        ([], "body", "must be an object"),
        ("text", "body", "must be an object"),
    ],
)
async def test_what_does_not_fit_is_named_with_its_remedy(
    client: httpx.AsyncClient, body: Any, field: str, says: str
) -> None:
    answer = await client.post("/probe/echo", json=body)
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert says in error["fields"][field]


async def test_all_violations_are_said_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", json={"a": 1, "int32_value": "x", "child": {"size": []}})
    assert set(error_of(answer)["fields"]) == {"a", "int32_value", "child.size"}


async def test_null_is_an_absent_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", json={"string_value": None, "child": None, "string_list": None})
    assert answer.json()["string_value"] == ""
    assert "child" not in answer.json()


async def test_64_bit_numbers_travel_as_strings_and_nothing_is_rounded(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", json={"uint64_value": 2**64 - 1, "int64_value": str(-(2**63))})
    assert answer.json()["uint64_value"] == "18446744073709551615"
    assert answer.json()["int64_value"] == "-9223372036854775808"


async def test_deep_nesting_is_refused(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 2):
        body = {"itself": body}
    answer = await client.post("/probe/echo", json=body)
    assert answer.status_code == 400
    assert "deeper than" in str(error_of(answer)["fields"])
    answer = await client.post("/probe/echo", content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert error_of(answer)["reason"] == "INVALID_JSON"


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("int32_value=1&int32_value=2", "int32_value", "more than once"),
        ("int32_value=x", "int32_value", "whole number"),
        ("int32_value=", "int32_value", "whole number"),
        ("bool_value=yes", "bool_value", "true or false"),
        ("colour=GREEN", "colour", "COLOUR_RED"),
        ("nonsense=1", "nonsense", "not a parameter"),
        ("child=1", "child", "an object"),
        ("child.nonsense=1", "child.nonsense", "not a parameter"),
        ("child_list.name=a", "child_list.name", "not a parameter"),
    ],
)
async def test_query_parameters_are_checked_like_fields(
    client: httpx.AsyncClient, query: str, field: str, says: str
) -> None:
    answer = await client.get(f"/probe/echo?{query}")
    assert answer.status_code == 400
    assert says in error_of(answer)["fields"][field]


async def test_query_parameters_fill_single_repeated_and_nested_fields(client: httpx.AsyncClient) -> None:
    query = "string_list=a&string_list=b+c&child.name=%ED%95%9C&colour=COLOUR_BLUE&bool_value=true&colour_list=1"
    body = (await client.get(f"/probe/echo?{query}&optional_string=&double_value=Infinity")).json()
    assert body["string_list"] == ["a", "b c"]
    assert body["child"]["name"] == "한"
    assert (body["colour"], body["colour_list"]) == ("COLOUR_BLUE", ["COLOUR_RED"])
    assert body["bool_value"] is True
    assert body["optional_string"] == ""
    assert body["double_value"] == "Infinity"


async def test_a_field_has_one_place(client: httpx.AsyncClient) -> None:
    answer = await client.put("/probe/echo/here", json={"string_value": "there"})
    assert "differs" in error_of(answer)["fields"]["string_value"]
    assert (await client.put("/probe/echo/here", json={"string_value": "here"})).status_code == 200
    answer = await client.post("/probe/echo?int32_value=1", json={})
    assert "in the body" in error_of(answer)["fields"]["int32_value"]
    answer = await client.get("/probe/numbers/1?int32_value=2")
    assert "in the path" in error_of(answer)["fields"]["int32_value"]


async def test_bad_percent_encoding_is_refused(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get("/probe/echo?string_value=%FF"))["reason"] == "INVALID_QUERY"
    assert error_of(await client.delete("/probe/things/%FF"))["reason"] == "INVALID_PATH"
    many = "&".join(f"string_list={n}" for n in range(300))
    assert error_of(await client.get(f"/probe/echo?{many}"))["reason"] == "INVALID_QUERY"


async def test_a_path_value_of_the_wrong_type_names_its_field(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/numbers/seven")
    assert "whole number" in error_of(answer)["fields"]["int32_value"]
