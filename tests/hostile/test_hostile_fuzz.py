"""Whatever bytes come, the edge's decoders answer with a message or with a refusal that names its place."""

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.bindings import Route, routes_of
from gateway.contract import load_contract
from gateway.errors import EdgeError
from gateway.json_body import parse_json
from gateway.json_request import build_request
from gateway.router import Match, Router
from mesh import sse
from mesh.errors import InvalidArgument
from mesh.pages import decode_token, encode_token
from mesh.streamlog import Cursor
from mesh.validation import Violations
from tests.hostile.conftest import CASES, ROUTES

pytestmark = pytest.mark.timeout(3000)  # as many cases as are asked for

fuzzed = settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call returns, or the refusal that it raises; anything else that it raises fails the test."""
    try:
        return call()
    except (EdgeError, InvalidArgument) as refusal:
        return refusal


ROUTER = Router(ROUTES)
FIELD_NAMES = sorted({field.name for route in ROUTES for field in route.rpc.input_type.fields})

hostile_text = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *(
                "",
                "..",
                ".",
                "%2e%2e",
                "a" * 5000,
                "\x00",
                "\ufeff",
                "\u202e",
                "0",
                "-1",
                "1e999",
                "NaN",
                "null",
                "true",
            ),
            *("9" * 400, "{}", "[]", "'; DROP TABLE users; --", "<script>", "${7*7}", "\r\nX-Evil: 1", "\ud7ff\ue000"),
        ]
    ),
)
numbers = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, hostile_text),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(FIELD_NAMES), hostile_text), inner, max_size=5),
    ),
    max_leaves=12,
)
segments = st.one_of(
    st.sampled_from(sorted({part for route in ROUTES for part in route.template.segments if part})),
    hostile_text.map(lambda text: quote(text, safe="")),
    st.text("%/.;:\\~\x7f#?&=+ aA0", max_size=12),
    st.sampled_from(["%2F", "%2f..%2f", "%00", "%c0%ae", "%ff", "%", "%zz", "..;", ".%2e", "a:choose", ":fork", "::"]),
)


@fuzzed
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"]),
    st.lists(segments, max_size=8),
)
def test_a_path_finds_its_own_route_or_none(method: str, parts: list[str]) -> None:
    raw = "/" + "/".join(parts)
    match = outcome_of(lambda: ROUTER.match(method, raw))
    if isinstance(match, EdgeError):
        assert match.status in {404, 405}
    elif isinstance(match, InvalidArgument):
        assert match.message
    else:
        assert_is_of(match, raw)


def assert_is_of(match: Match, raw: str) -> None:
    """The literals of the route stand in the path where the route has them, and nothing was folded away."""
    *inner, last = raw.split("/")[1:]
    verb = match.route.template.verb
    if verb:
        head, colon, said = last.rpartition(":")
        assert (colon, said) == (":", verb)
        last = head
    given_ = [unquote_to_bytes(part).decode() for part in (*inner, last)]
    assert len(given_) == len(match.route.template.segments)
    values = iter(match.variables.values())
    for literal, text in zip(match.route.template.segments, given_, strict=True):
        assert text == (literal if literal is not None else next(values))


@st.composite
def requests(draw: st.DrawFn) -> tuple[Route, Any, dict[str, str], list[tuple[str, str]]]:
    route = draw(st.sampled_from(ROUTES))
    names = [field.name for field in route.rpc.input_type.fields]
    likely = st.dictionaries(st.sampled_from(names) if names else hostile_text, json_values, max_size=4)
    body = draw(st.one_of(likely, json_values)) if route.body else None
    variables = {name: draw(hostile_text) for name in route.template.variables}
    keys = st.one_of(st.sampled_from(FIELD_NAMES), hostile_text)
    query = draw(st.lists(st.tuples(keys, hostile_text), max_size=4))
    return route, body, variables, query


@fuzzed
@given(requests())
def test_json_becomes_a_message_or_a_refusal(
    request_: tuple[Route, Any, dict[str, str], list[tuple[str, str]]],
) -> None:
    route, body, variables, query = request_
    message = outcome_of(lambda: build_request(route, body, variables, query))
    if isinstance(message, InvalidArgument):
        assert next(iter(message.fields)) in message.message
        return
    if query or variables or not isinstance(body, dict):
        return
    # The reference implementation takes what ours takes, and makes the same of it.
    expected = json_format.ParseDict(_without_nulls(body), route.request()) if route.body == "*" else None
    assert expected is None or expected == message


def _without_nulls(value: Any) -> Any:
    # The reference wants whole numbers that come as floats to be so to the last digit, as JSON's text has them.
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, float) and value.is_integer() and math.isfinite(value):
        return int(value)
    return value


@fuzzed
@given(st.one_of(st.binary(max_size=200), json_values.map(lambda value: json.dumps(value).encode())), st.data())
def test_bodies_are_json_or_refused(body: bytes, data: st.DataObject) -> None:
    if body and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(body) - 1))
        body = body[:place] + data.draw(st.binary(min_size=1, max_size=3)) + body[place + 1 :]
    parsed = outcome_of(lambda: parse_json(body))
    if isinstance(parsed, InvalidArgument):
        assert parsed.reason in {"INVALID_JSON", "INVALID_UTF8"}
        assert parsed.message


cursors = st.builds(Cursor, st.uuids(), st.integers(1, 10**18 - 1), st.integers(1, 10**18 - 1))


@fuzzed
@given(cursors, st.one_of(hostile_text, st.none()), st.data())
def test_cursors_are_read_or_refused(cursor: Cursor, other: str | None, data: st.DataObject) -> None:
    text = str(cursor)
    assert Cursor.parse(text, cursor.stream_id) == cursor
    if other is None:
        place = data.draw(st.integers(0, len(text) - 1))
        other = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + 1 :]
    read = outcome_of(lambda: Cursor.parse(other))
    if isinstance(read, InvalidArgument):
        assert set(read.fields) == {"after"}
    else:
        assert str(read) == other  # there is one way to write each
    if cursor.stream_id != UUID(int=1):
        with pytest.raises(InvalidArgument):
            Cursor.parse(text, UUID(int=1))


@fuzzed
@given(st.lists(hostile_text, max_size=3), hostile_text)
def test_page_tokens_are_read_or_refused(parts: list[str], other: str) -> None:
    check = Violations()
    assert decode_token(check, encode_token(*parts), len(parts)) == (tuple(parts) if parts else None) or not parts
    decode_token(check, other, 2)  # never raises: it notes


@fuzzed
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["text", "complete"]),
            st.dictionaries(hostile_text, hostile_text, max_size=3),
            st.one_of(st.none(), cursors),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_text_makes_an_event_or_an_id(events: list[tuple[str, dict[str, str], Cursor | None]]) -> None:
    """Whatever an event's data holds, it ends no line, and the last id is the last one that was set."""
    block = b"".join(
        (b"id: %s\n" % str(cursor).encode() if cursor else b"") + sse.event(name, data) for name, data, cursor in events
    )
    assert block.count(b"\n\n") == len(events)
    assert block.count(b"\nid:") + block.startswith(b"id:") == sum(cursor is not None for *_, cursor in events)


def test_the_contract_is_the_whole_one() -> None:
    assert len(ROUTES) == len(routes_of(load_contract(None))) > 40
