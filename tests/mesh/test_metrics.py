"""What is counted of calls, under the names that gRPC's OpenTelemetry metrics have, and how it is served."""

import asyncio
import math
from pathlib import Path
from typing import Any

import grpc
import httpx
import prometheus_client
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mesh import errors
from mesh.targets import canonical_target
from mesh.telemetry import trace
from mesh.telemetry.admin import loop_lag
from mesh.telemetry.histogram import EVERY_SECONDS, Histogram
from mesh.telemetry.metrics import REGISTRY, memory_limit
from mesh.telemetry.rpc_metrics import LATENCIES
from tests.mesh.conftest import Serve, code_of

LOOKUP = {"grpc_method": "gaji.cache.v1.CacheService/Lookup"}
OK = {**LOOKUP, "grpc_status": "OK"}
OPEN_METRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def hit(_request: pb.LookupRequest) -> pb.LookupResponse:
    return pb.LookupResponse(hit=pb.Hit(value=b"v"))


async def test_a_call_is_counted_at_both_ends(serve: Serve) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def lookup(request: pb.LookupRequest) -> pb.LookupResponse:
        entered.set()
        await go_on.wait()
        return await hit(request)

    async with serve(lookup=lookup) as (server, stub):
        target = {"grpc_target": f"dns:///{server.address}"}
        started = value("grpc_server_call_started_total", **LOOKUP)
        ended = value("grpc_server_call_duration_seconds_count", **OK)
        call = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await entered.wait()
        assert value("grpc_server_call_started_total", **LOOKUP) == started + 1
        assert value("gaji_rpc_in_flight", **LOOKUP) == 1
        assert value("grpc_client_attempt_started_total", **LOOKUP, **target) == 1
        assert value("grpc_client_attempt_duration_seconds_count", **OK, **target) == 0
        go_on.set()
        await call
        assert value("gaji_rpc_in_flight", **LOOKUP) == 0
        assert value("grpc_server_call_duration_seconds_count", **OK) == ended + 1
        for kind in ("attempt", "call"):
            assert value(f"grpc_client_{kind}_duration_seconds_count", **OK, **target) == 1
            assert value(f"grpc_client_{kind}_duration_seconds_sum", **OK, **target) > 0
        assert value("grpc_client_call_retries_count", **LOOKUP, **target) == 0


async def test_what_ends_badly_is_counted_once_at_each_end(serve: Serve) -> None:
    async def lookup(_request: pb.LookupRequest) -> pb.LookupResponse:
        raise errors.NotFound("no")

    async with serve(lookup=lookup) as (server, stub):
        labels = {**LOOKUP, "grpc_status": "NOT_FOUND"}
        before = value("grpc_server_call_duration_seconds_count", **labels)
        assert await code_of(stub.Lookup(pb.LookupRequest(key="k"))) is grpc.StatusCode.NOT_FOUND
        assert value("grpc_server_call_duration_seconds_count", **labels) == before + 1
        target = {"grpc_target": f"dns:///{server.address}"}
        assert value("grpc_client_call_duration_seconds_count", **labels, **target) == 1


async def test_a_stream_is_counted_when_it_has_ended(serve: Serve) -> None:
    async def watch(_request: Any) -> Any:
        for _ in range(3):
            yield pb.WatchInvalidationsResponse()

    method = {"grpc_method": "gaji.cache.v1.CacheService/WatchInvalidations"}
    async with serve(watch=watch) as (server, stub):
        sent, first = (
            value("gaji_rpc_messages_sent_total", **method),
            value("gaji_rpc_first_message_seconds_count", **method),
        )
        assert len([message async for message in stub.WatchInvalidations(pb.WatchInvalidationsRequest())]) == 3
        while value("gaji_rpc_messages_sent_total", **method) != sent + 3:
            await asyncio.sleep(0.01)
        assert value("gaji_rpc_first_message_seconds_count", **method) == first + 1
        labels = {**method, "grpc_status": "OK", "grpc_target": f"dns:///{server.address}"}
        assert value("grpc_client_call_duration_seconds_count", **labels) == 1


async def test_methods_that_nobody_offers_are_one_series(serve: Serve) -> None:
    def series() -> int:
        return sum(
            len(family.samples) for family in REGISTRY.collect() if family.name.startswith(("grpc_", "gaji_rpc"))
        )

    async with serve(lookup=hit) as (server, _), grpc.aio.insecure_channel(server.address) as channel:

        async def ask(method: str) -> grpc.StatusCode:
            call: Any = channel.unary_unary(method)
            return await code_of(call(b"", timeout=10))

        assert await ask("/a.Service/Method") is grpc.StatusCode.UNIMPLEMENTED
        before, seen = series(), value("grpc_server_call_started_total", grpc_method="other")
        for number in range(30):
            assert await ask(f"/hostile.Service{number}/Method{{}}%{number}") is grpc.StatusCode.UNIMPLEMENTED
        assert series() == before
        assert value("grpc_server_call_started_total", grpc_method="other") == seen + 30


async def exemplars(serve: Serve, flags: str, headers: dict[str, str]) -> list[dict[str, str]]:
    """Of the calls of Lookup that this process has answered, after a call with a trace."""
    async with serve(lookup=hit) as (server, stub), httpx.AsyncClient(trust_env=False) as http:
        trace.enter("r-1", f"00-{'c' * 31}{flags[-1]}-{'d' * 16}-{flags}")
        await stub.Lookup(pb.LookupRequest(key="k"))
        answer = await http.get(f"http://{server.admin_address}/metrics", headers=headers)
    if "openmetrics" not in answer.headers["content-type"]:
        assert "trace_id" not in answer.text
        return []
    return [
        sample.exemplar.labels
        for family in text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]  # it has no types
        for sample in family.samples
        if family.name == "grpc_server_call_duration_seconds"
        and sample.exemplar
        and sample.labels["grpc_status"] == "OK"
    ]


async def test_a_sampled_trace_is_an_exemplar_for_who_asks_for_openmetrics(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.telemetry.histogram.EVERY_SECONDS", 0.0)
    assert "c" * 31 + "1" in {labels["trace_id"] for labels in await exemplars(serve, "01", OPEN_METRICS)}
    assert "c" * 31 + "0" not in {labels["trace_id"] for labels in await exemplars(serve, "00", OPEN_METRICS)}
    assert await exemplars(serve, "01", {}) == []


@given(st.lists(st.one_of(st.floats(0, 200), st.sampled_from(LATENCIES)), max_size=50))
def test_a_histogram_counts_as_prometheus_does(amounts: list[float]) -> None:
    registry = CollectorRegistry()
    ours = Histogram("ours", "-", buckets=LATENCIES, registry=registry)
    theirs = prometheus_client.Histogram("theirs", "-", buckets=LATENCIES, registry=registry)
    for amount in amounts:
        ours.observe(amount)
        theirs.observe(amount)
    mine, other = ([(sample.labels, sample.value) for sample in family.samples] for family in registry.collect())
    assert mine == other


def test_a_bucket_keeps_its_exemplar_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("mesh.telemetry.histogram.time.time", lambda: now[0])
    histogram = Histogram("a", "-", buckets=(1, 2), registry=None)

    def seen(identity: str) -> str:
        histogram.observe(1.5, {"trace_id": identity})
        exemplar = histogram._buckets[1].get_exemplar()
        assert exemplar is not None
        return str(exemplar.labels["trace_id"])

    assert seen("first") == "first"
    now[0] += EVERY_SECONDS / 2
    assert seen("second") == "first"
    now[0] += EVERY_SECONDS
    assert seen("third") == "third"


def test_targets_are_named_with_their_scheme() -> None:
    assert canonical_target("search:50052") == "dns:///search:50052"
    assert canonical_target("dns:///search:50052") == "dns:///search:50052"
    assert canonical_target("127.0.0.1:1,127.0.0.1:2") == "ipv4:127.0.0.1:1,127.0.0.1:2"


async def test_the_lag_is_how_long_the_loop_takes() -> None:
    assert 0 <= await asyncio.to_thread(loop_lag, asyncio.get_running_loop()) < 1
    stopped = asyncio.new_event_loop()
    assert math.isnan(loop_lag(stopped))
    stopped.close()


def test_the_memory_limit_is_the_control_groups(tmp_path: Path) -> None:
    new, old = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    assert memory_limit([new, old]) == math.inf
    old.write_text("9223372036854771712\n")
    assert memory_limit([new, old]) == math.inf
    new.write_text("536870912\n")
    assert memory_limit([new, old]) == 536870912
    new.write_text("max\n")
    assert memory_limit([new, old]) == math.inf
