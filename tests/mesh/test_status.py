"""How a process is, over gRPC: its own figures, read from its metrics when somebody asks."""

import asyncio
import importlib
import math
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.mesh.v1 import breaker_service_pb2 as breaker_pb
from gaji.mesh.v1 import status_service_pb2 as pb
from gaji.mesh.v1 import status_service_pb2_grpc as rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from prometheus_client import CollectorRegistry, Counter, Gauge

from mesh.breaker import Breakers, BreakerSettings, State
from mesh.config import MeshSettings
from mesh.server import open_server
from mesh.status import ProcessStatus
from mesh.status.measures import IN_FLIGHT, TOLD, read_into
from mesh.telemetry.metrics import REGISTRY
from tests.contract.test_contract_grpcurl import ok as grpcurl
from tests.mesh.conftest import Serve

SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]


async def status_at(address: str) -> pb.Status:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = rpc.StatusServiceStub(channel)
        answer: pb.GetStatusResponse = await stub.GetStatus(pb.GetStatusRequest(), timeout=10)
        return answer.status


async def test_a_server_tells_how_it_is(settings: MeshSettings) -> None:
    breakers = Breakers(BreakerSettings())
    breakers.gate("search", [SEARCH])
    breakers.force(State.FORCED_OPEN, "search", "SearchService/unary")
    before = time.time()
    async with open_server(settings, [], name="library", breakers=breakers) as server:
        status = await status_at(server.address)
        assert (status.service, status.version) == ("library", version("gaji"))
        assert before - 1 <= status.started_at.ToNanoseconds() / 1e9 <= time.time()
        assert status.health == pb.HEALTH_SERVING
        assert [(one.peer, one.group, one.state) for one in status.breakers] == [
            ("search", "SearchService/stream", breaker_pb.BREAKER_STATE_CLOSED),
            ("search", "SearchService/unary", breaker_pb.BREAKER_STATE_FORCED_OPEN),
        ]
        assert status.memory_bytes > 1024 * 1024
        assert 0 <= status.loop_seconds < 60
        await server.set_serving(False)
        assert (await status_at(server.address)).health == pb.HEALTH_NOT_SERVING


async def test_open_streams_are_counted(serve: Serve) -> None:
    go_on = asyncio.Event()

    async def watch(_request: Any) -> AsyncIterator[cache_pb.WatchInvalidationsResponse]:
        yield cache_pb.WatchInvalidationsResponse()
        await go_on.wait()

    async with serve(watch=watch) as (server, stub):
        before = (await status_at(server.address)).active_streams
        calls = [stub.WatchInvalidations(cache_pb.WatchInvalidationsRequest()) for _ in range(3)]
        for call in calls:
            await call.read()
        assert (await status_at(server.address)).active_streams == before + 3
        go_on.set()
        for call in calls:
            assert await call.read() is grpc.aio.EOF
        while (await status_at(server.address)).active_streams != before:
            await asyncio.sleep(0.01)


async def test_grpcurl_asks_for_it(settings: MeshSettings) -> None:
    async with open_server(settings, [], name="test") as server:
        assert "gaji.mesh.v1.StatusService" in await grpcurl(server.address, "list")
        answer = await grpcurl(server.address, "gaji.mesh.v1.StatusService/GetStatus")
        assert '"health": "HEALTH_SERVING"' in answer


@pytest.fixture
def registry() -> CollectorRegistry:
    """The metrics of a process that has something of everything."""
    registry = CollectorRegistry()
    flying = Gauge(IN_FLIGHT, "-", ("grpc_method",), registry=registry)
    for method, count in (("Watch", 4), ("Follow", 2), ("Get", 9)):
        flying.labels(f"a.Service/{method}").set(count)
    lookups = Counter("gaji_read_through", "-", ("kind", "result"), registry=registry)
    for result, count in (("near", 6), ("hit", 3), ("stale", 1), ("absent", 2), ("stored", 5), ("bypassed", 1)):
        lookups.labels("novel", result).inc(count)
    lookups.labels("user", "contended").inc()
    lengths = Gauge("gaji_jobs_queue_length", "-", ("queue",), registry=registry)
    lengths.labels("high_priority").set(7)
    lengths.labels("low_priority").set(0)
    Gauge("gaji_jobs_queue_age_seconds", "-", ("queue",), registry=registry).labels("high_priority").set(12.5)
    Gauge("gaji_jobs_taken", "-", registry=registry).set(math.nan)
    pool = "db_client_connection_pool_name"
    used = Gauge("db_client_connection_count", "-", (pool, "db_client_connection_state"), registry=registry)
    used.labels("library", "idle").set(5)
    used.labels("library", "used").set(3)
    Gauge("db_client_connection_max", "-", (pool,), registry=registry).labels("library").set(20)
    partitions = Gauge("gaji_limit_in_flight", "-", ("partition",), registry=registry)
    partitions.labels("interactive").set(2)
    partitions.labels("batch").set(1)
    Gauge("gaji_limit", "-", registry=registry).set(0)
    Gauge("gaji_model_slots", "-", ("provider",), registry=registry).labels("local").set(4)
    Gauge("gaji_model_slots_in_use", "-", ("provider",), registry=registry).labels("local").set(4)
    Gauge("gaji_model_queue_length", "-", ("provider",), registry=registry).labels("local").set(11)
    return registry


def test_each_metric_has_its_place(registry: CollectorRegistry) -> None:
    status = pb.Status()
    read_into(status, {"a.Service/Watch", "a.Service/Follow"}, registry)
    assert status.active_streams == 6
    assert {one.kind: (one.hits, one.misses, one.near) for one in status.caches} == {
        "novel": (12, 6, 6),
        "user": (0, 1, 0),
    }
    queues = {one.name: one for one in status.queues}
    assert {name: one.length for name, one in queues.items()} == {
        "high_priority": 7,
        "low_priority": 0,
        "model local": 11,
    }
    assert queues["high_priority"].oldest_seconds == 12.5
    assert not queues["low_priority"].HasField("oldest_seconds")
    assert {one.name: (one.used, one.limit if one.HasField("limit") else None) for one in status.pools} == {
        "database": (3, 20),
        "calls": (3, None),
        "model local": (4, 4),
    }


def test_a_process_without_metrics_says_nothing() -> None:
    status = pb.Status()
    read_into(status, (), CollectorRegistry())
    assert status == pb.Status()


def test_what_is_told_is_what_processes_measure() -> None:
    """A metric that gets another name would be missed by nobody."""
    for module in (
        "gateway.metrics",
        "mesh.limiter.metrics",
        "mesh.read_through.metrics",
        "services.cache.metrics",
        "services.generation.metrics",
        "services.jobs.metrics",
        "services.library.stores.database",
    ):
        importlib.import_module(module)
    registered = set(REGISTRY._names_to_collectors)
    assert {*TOLD, IN_FLIGHT} <= registered


async def test_a_process_that_is_no_server_has_a_status_as_well(registry: CollectorRegistry) -> None:
    async def serving() -> bool:
        return True

    status = await ProcessStatus("gateway", Breakers(BreakerSettings()), serving, registry=registry).now()
    assert (status.service, status.active_streams, len(status.queues)) == ("gateway", 0, 3)
