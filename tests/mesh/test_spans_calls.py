"""Spans of calls, between real servers."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh import errors
from mesh.telemetry import trace
from mesh.telemetry.spans import record
from mesh.telemetry.spans.messaging import processing, sending
from tests.fixtures.otlp import Received, Recording, recording
from tests.mesh.conftest import Serve, code_of

TRACE = "a" * 32
SAMPLED, UNSAMPLED = f"00-{TRACE}-{'b' * 16}-01", f"00-{TRACE}-{'b' * 16}-00"
LOOKUP = "gaji.cache.v1.CacheService/Lookup"


async def hit(_: pb.LookupRequest) -> pb.LookupResponse:
    return pb.LookupResponse(hit=pb.Hit(value=b"v"))


def only(spans: list[Received], kind: str) -> Received:
    (found,) = (span for span in spans if span.kind == kind)
    return found


async def test_a_call_goes_on_in_the_trace_that_it_came_with(serve: Serve, recorded: Recording) -> None:
    async with serve(lookup=hit) as (_, inner):

        async def pass_on(request: pb.LookupRequest) -> pb.LookupResponse:
            trace.attribute("rpc.retries", 7)
            response: pb.LookupResponse = await inner.Lookup(request)
            return response

        async with serve(lookup=pass_on) as (_, stub):
            metadata = [("x-request-id", "r-1"), ("traceparent", SAMPLED)]
            await stub.Lookup(pb.LookupRequest(key="a secret key"), metadata=metadata)
    outer, client, below = recorded.ended(TRACE)
    assert [span.kind for span in (outer, client, below)] == ["SERVER", "CLIENT", "SERVER"]
    assert outer.parent_id == "b" * 16
    assert (client.parent_id, below.parent_id) == (outer.span_id, client.span_id)
    assert {span.name for span in (outer, client, below)} == {LOOKUP}
    assert below.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": LOOKUP,
        "rpc.response.status_code": "OK",
        "gaji.request_id": "r-1",
    }
    assert outer.attributes["rpc.retries"] == 7
    assert client.attributes["server.address"] == "cache"
    assert outer.started <= client.started <= below.started <= below.ended <= outer.ended


@pytest.mark.parametrize(("traceparent", "ratio", "count"), [(UNSAMPLED, 1.0, 0), ("", 0.0, 0), ("", 1.0, 2)])
async def test_what_is_not_sampled_is_not_recorded(serve: Serve, traceparent: str, ratio: float, count: int) -> None:
    with recording(ratio) as recorder:
        async with serve(lookup=hit) as (_, stub):
            context = trace.enter(None, traceparent, name="a test")
            await stub.Lookup(pb.LookupRequest(key="k"))
        assert len(recorder.ended(context.trace_id)) == count


async def test_off_nothing_is_recorded_and_ids_are_handed_on(serve: Serve) -> None:
    seen: list[trace.TraceContext | None] = []

    async def look(request: pb.LookupRequest) -> pb.LookupResponse:
        seen.append(trace.current())
        return await hit(request)

    assert record.active is None
    async with serve(lookup=look) as (_, stub):
        await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("traceparent", SAMPLED)])
    (context,) = seen
    assert context is not None
    assert (context.trace_id, context.flags, context.span) == (TRACE, "01", None)


async def test_each_attempt_is_a_span(serve: Serve, recorded: Recording) -> None:
    failures = 2

    async def stats(_: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise errors.Unavailable("not now", reason="NOT_NOW")
        return pb.GetStatsResponse()

    async with serve(stats=stats) as (_, stub):
        context = trace.enter(name="a test")
        await stub.GetStats(pb.GetStatsRequest())
    spans = recorded.ended(context.trace_id)
    attempts = [span for span in spans if span.kind == "CLIENT"]
    assert [span.failed for span in attempts] == [True, True, False]
    assert [span.attributes.get("gaji.rpc.previous_attempts", 0) for span in attempts] == [0, 1, 2]
    assert {span.parent_id for span in attempts} == {context.span_id}
    answers = [span for span in spans if span.kind == "SERVER"]
    assert [span.parent_id for span in answers] == [span.span_id for span in attempts]
    assert [span.attributes.get("gaji.reason") for span in answers] == ["NOT_NOW", "NOT_NOW", None]
    assert [span.failed for span in answers] == [True, True, False]


async def test_a_stream_is_a_span_with_its_first_message(serve: Serve, recorded: Recording) -> None:
    async def watch(_: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        for sequence in range(1, 4):
            yield pb.WatchInvalidationsResponse(sequence=sequence)

    async with serve(watch=watch) as (_, stub):
        context = trace.enter(name="a test")
        assert len([each async for each in stub.WatchInvalidations(pb.WatchInvalidationsRequest())]) == 3
    client, server = recorded.ended(context.trace_id)
    assert client.event_names == server.event_names == ["first message"]
    assert server.attributes["gaji.stream.messages"] == 3


@pytest.mark.parametrize(
    ("error", "code", "servers_fault"),
    [
        (errors.NotFound("none", reason="KEY_NOT_FOUND"), "NOT_FOUND", False),
        (RuntimeError("a secret"), "INTERNAL", True),
    ],
)
async def test_whose_fault_an_error_is(
    serve: Serve, recorded: Recording, error: Exception, code: str, servers_fault: bool
) -> None:
    async def fail(_: pb.LookupRequest) -> pb.LookupResponse:
        raise error

    async with serve(lookup=fail) as (_, stub):
        context = trace.enter(name="a test")
        assert (await code_of(stub.Lookup(pb.LookupRequest(key="k")))).name == code
    spans = recorded.ended(context.trace_id)
    client, server = only(spans, "CLIENT"), only(spans, "SERVER")
    assert (client.failed, server.failed) == (True, servers_fault)
    assert client.attributes["error.type"] == code
    assert "a secret" not in str([span.attributes for span in spans])


async def test_a_caller_that_leaves_is_no_failure(serve: Serve, recorded: Recording) -> None:
    async def watch(_: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        while True:
            yield pb.WatchInvalidationsResponse(sequence=1)

    async with serve(watch=watch) as (_, stub):
        context = trace.enter(name="a test")
        call = stub.WatchInvalidations(pb.WatchInvalidationsRequest())
        await call.read()
        call.cancel()
    client = only(recorded.ended(context.trace_id), "CLIENT")
    assert (client.attributes["rpc.response.status_code"], client.failed) == (grpc.StatusCode.CANCELLED.name, False)


async def test_a_message_takes_its_trace_along(recorded: Recording) -> None:
    context = trace.enter(name="a test")
    with sending("celery", "low_priority", "ingest_novel") as headers:
        pass
    with processing("celery", "low_priority", "ingest_novel", "job-1", headers["traceparent"]):
        pass
    send, process = recorded.ended(context.trace_id)
    assert (send.name, send.kind, send.parent_id) == ("send low_priority", "PRODUCER", context.span_id)
    assert (process.name, process.kind, process.parent_id) == ("process low_priority", "CONSUMER", send.span_id)
    assert process.attributes["messaging.message.id"] == "job-1"


async def test_what_fails_within_a_span_is_noted_without_its_words(recorded: Recording) -> None:
    context = trace.enter(name="a test")
    with pytest.raises(LookupError), trace.within("part") as span:
        assert trace.span() is span
        raise LookupError("a secret")
    assert trace.current() == context
    (part,) = recorded.ended(context.trace_id)
    assert (part.failed, part.attributes) == (True, {"error.type": "LookupError"})


@pytest.mark.parametrize("header", [f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01", "00-zz-1-01", "x"])
async def test_a_malformed_header_begins_a_new_trace(header: str, recorded: Recording) -> None:
    context = trace.enter(None, header, name="a test")
    assert context.trace_id not in header
    assert context.span is not None
    assert context.span.parent_id == ""
