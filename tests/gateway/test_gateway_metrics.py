"""What the gateway counts of requests and streams, whatever clients send."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from gateway.server import RunningGateway
from mesh.telemetry.metrics import REGISTRY
from tests.gateway.conftest import Gateway
from tests.gateway.sse_client import open_stream

COUNT = "/probe/count"
ODD = ("PROPFIND", "MKCOL", "LOCK", "UNLOCK", "PURGE", "REPORT", "MERGE", "M-SEARCH", "NOTIFY", "MKCALENDAR", "BIND")
"""Methods that the parser knows, and nobody else."""
OURS = ("http_", "gaji_sse", "gaji_edge", "gaji_rate")


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def series() -> int:
    return sum(len(family.samples) for family in REGISTRY.collect() if family.name.startswith(OURS))


def requests(status: str, route: str = "/probe/numbers/{int32_value}", method: str = "GET", error: str = "") -> float:
    return value(
        "http_server_request_duration_seconds_count",
        http_request_method=method,
        http_route=route,
        http_response_status_code=status,
        error_type=error,
    )


def streams(outcome: str, route: str = COUNT) -> float:
    return value("gaji_sse_stream_duration_seconds_count", http_route=route, outcome=outcome)


async def until_more(outcome: str, before: float) -> None:
    async with asyncio.timeout(10):
        while streams(outcome) <= before:
            await asyncio.sleep(0.01)


async def test_a_request_is_counted_with_its_sizes(client: httpx.AsyncClient) -> None:
    labels = {"http_request_method": "GET", "http_route": "/probe/numbers/{int32_value}"}
    before, sent = requests("200"), value("http_server_response_body_size_bytes_sum", **labels)
    answer = await client.get("/probe/numbers/1")
    assert requests("200") == before + 1
    assert value("http_server_response_body_size_bytes_sum", **labels) == sent + len(answer.content)
    assert value("http_server_active_requests", http_request_method="GET") == 0


@pytest.mark.not_through_edge("Envoy refuses a method that it does not know", edge="envoy")
async def test_what_clients_make_up_makes_no_series(running: RunningGateway, client: httpx.AsyncClient) -> None:
    async def ask(method: str, path: str) -> int:
        return (await client.request(method, path, headers={"x-request-id": f"id-{path}"[:100]})).status_code

    assert await ask("GET", "/nothing") == 404
    assert await ask("PURGE", "/nothing") == 404
    assert await ask("PURGE", "/probe/numbers/1") == 405
    assert await ask("GET", "/probe/numbers/x") == 400
    assert await ask("MADEUP", "/nothing") == 400  # refused by the parser, and no request
    before, unknown = series(), requests("404", route="", method="_OTHER")
    for number, method in enumerate(ODD):
        await ask("GET", f"/nothing/{number}/%7Bnovel_id%7D/{'x' * number}")
        await ask(method, f"/nothing/{number}")
        await ask(method, "/probe/numbers/1")
        await ask("GET", f"/probe/numbers/{number}-x")
        await ask(f"MADEUP{number}", "/nothing")
    assert series() == before
    assert requests("404", route="", method="_OTHER") == unknown + len(ODD)


async def test_a_stream_is_no_request_and_its_end_has_a_name(
    running: RunningGateway, client: httpx.AsyncClient
) -> None:
    whole, first = streams("complete"), value("gaji_sse_first_event_seconds_count", http_route=COUNT)
    async with open_stream(running.address, f"{COUNT}?to=3&interval_ms=1") as stream:
        async for _ in stream.events():
            pass
    await until_more("complete", whole)
    assert value("gaji_sse_first_event_seconds_count", http_route=COUNT) == first + 1
    assert requests("200", route=COUNT) == 0
    left = streams("client_left")
    async with open_stream(running.address, f"{COUNT}?to=1000&interval_ms=20") as stream:
        await anext(aiter(stream.events()))
    await until_more("client_left", left)


async def test_a_stream_that_is_refused_is_a_request(client: httpx.AsyncClient) -> None:
    before = requests("400", route=COUNT)
    assert (await client.get(f"{COUNT}?to=many")).status_code == 400
    assert requests("400", route=COUNT) == before + 1


async def test_streams_that_are_let_go_are_told_apart(gateway: Gateway) -> None:
    before = streams("handed_over", "/probe/watch")
    async with AsyncExitStack() as stack:
        async with gateway() as (_, running):
            stream = await stack.enter_async_context(
                open_stream(running.address, "/probe/watch?to=1000&interval_ms=20")
            )
            await anext(aiter(stream.events()))
    assert streams("handed_over", "/probe/watch") == before + 1


async def test_limits_are_there_to_compare_with(gateway: Gateway) -> None:
    async with gateway(max_streams=7, max_connections=9) as (client, _):
        await client.get("/health")
        assert value("gaji_sse_connections_limit") == 7
        assert value("gaji_connections_limit") == 9
        assert value("gaji_connections") >= 1
    async with gateway(max_streams=0):
        assert value("gaji_sse_connections_limit") == float("inf")
