"""What is written by hand, read by OpenTelemetry's own messages."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from mesh.telemetry.spans import Kind, Recorder, Span, encode
from mesh.telemetry.spans.record import MOST_EVENTS
from mesh.telemetry.spans.stores import summary_of
from tests.fixtures.otlp import spans_in

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RESOURCE = encode.resource_of({"service.name": "test", "process.pid": 7})
_TEXT = st.text(st.characters(codec="utf-8"), max_size=encode.LONGEST_TEXT)
_VALUES: Any = _TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
_ATTRIBUTES = st.dictionaries(_TEXT, _VALUES, max_size=6)


def one(span: Span) -> Any:
    span.end()
    (received,) = spans_in(encode.request(RESOURCE, [span]))
    return received


@settings(max_examples=60)
@given(name=_TEXT, kind=st.sampled_from(Kind), attributes=_ATTRIBUTES, told=_ATTRIBUTES, fixed=_ATTRIBUTES)
def test_whatever_is_recorded_comes_out(
    name: str, kind: Kind, attributes: dict[str, Any], told: dict[str, Any], fixed: dict[str, Any]
) -> None:
    always = {f"fixed.{key}": value for key, value in fixed.items()}
    span = Span(Recorder(), TRACE, PARENT, name, kind, encode.encoded(always))
    span.attributes.update(attributes)
    span.event(name, told)
    span.link(PARENT + TRACE[16:], PARENT)
    received = one(span)
    assert (received.name, received.kind, received.service) == (name, kind.name, "test")
    assert (received.trace_id, received.span_id, received.parent_id) == (TRACE, span.span_id, PARENT)
    assert received.attributes == {**always, **attributes}
    assert received.events == [(name, told)]
    assert received.links == [(PARENT + TRACE[16:], PARENT)]
    assert not received.failed


def test_a_root_that_failed() -> None:
    span = Span(Recorder(), TRACE, "", "x", Kind.SERVER)
    span.fail("UNAVAILABLE")
    received = one(span)
    assert (received.parent_id, received.failed, received.attributes) == ("", True, {"error.type": "UNAVAILABLE"})


def test_what_is_too_long_or_too_many_is_cut() -> None:
    span = Span(Recorder(), TRACE, "", "x", Kind.INTERNAL)
    span.attributes["long"] = "한" * 1000
    for number in range(MOST_EVENTS + 300):
        span.event(str(number))
    span.end()
    request = pb.ExportTraceServiceRequest.FromString(encode.request(RESOURCE, [span]))
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    assert sent.attributes[0].value.string_value == "한" * encode.LONGEST_TEXT
    assert (len(sent.events), sent.dropped_events_count) == (MOST_EVENTS, 300)


def test_a_text_that_is_none_costs_nothing_else() -> None:
    span = Span(Recorder(), TRACE, "", "a\udc80", Kind.INTERNAL)
    span.attributes["path"] = "\udcff"
    assert one(span).attributes == {"path": "?"}


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (pb.ExportTraceServiceResponse(), 0),
        (pb.ExportTraceServiceResponse(partial_success=pb.ExportTracePartialSuccess(error_message="hm")), 0),
        (pb.ExportTraceServiceResponse(partial_success=pb.ExportTracePartialSuccess(rejected_spans=300)), 300),
    ],
)
def test_how_many_were_rejected(answer: pb.ExportTraceServiceResponse, count: int) -> None:
    assert encode.rejected(answer.SerializeToString()) == count


@pytest.mark.parametrize("answer", [b"\x0a", b"\x0a\x05\x08", b"<html>", b"\x0a\xff"])
def test_an_answer_that_does_not_parse_rejects_none(answer: bytes) -> None:
    assert encode.rejected(answer) == 0


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT * FROM novels WHERE novel_id = $1", "SELECT novels"),
        ("BEGIN;", "BEGIN"),
        ("", "QUERY"),
        ("UPDATE novels SET title = 'FROM secrets' WHERE x IS DISTINCT FROM $1", "UPDATE novels"),
        ("INSERT INTO messages (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = $1", "INSERT messages"),
        ("SELECT extract(epoch FROM clock_timestamp() - x) FROM messages FOR UPDATE SKIP LOCKED", "SELECT messages"),
        ("SELECT pg_advisory_xact_lock($1)", "SELECT"),
        (
            "WITH RECURSIVE b AS (SELECT 1 FROM messages CROSS JOIN LATERAL (SELECT 2) a) SELECT * FROM b JOIN users",
            "SELECT messages users",
        ),
        ("WITH ended AS (DELETE FROM removals WHERE x) UPDATE removals SET y = 1", "DELETE removals UPDATE removals"),
        (
            "WITH a AS MATERIALIZED (SELECT FROM novels), b as not materialized (SELECT) INSERT INTO messages TABLE a",
            "SELECT novels INSERT messages",
        ),
    ],
)
def test_statements_are_summarized(statement: str, summary: str) -> None:
    assert summary_of(statement)[0] == summary


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1 FROM novels", "SELECT"),
        ("COMMIT", "COMMIT"),
        ("WITH own AS (SELECT * FROM novels FOR UPDATE) INSERT INTO messages SELECT * FROM own", "INSERT"),
    ],
)
def test_the_operation_is_what_changes_rows(statement: str, operation: str) -> None:
    assert summary_of(statement)[1] == operation
