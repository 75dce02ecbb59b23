import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.probe_servicer import Probe


@pytest.fixture(autouse=True)
def counting(probe: Probe) -> Iterator[None]:
    probe.calls = 0
    probe.gate.set()
    yield
    probe.gate.set()


@pytest.fixture
def reader(client: httpx.AsyncClient, bearer: Bearer) -> httpx.AsyncClient:
    client.headers["authorization"] = f"Bearer {bearer()}"
    return client


async def test_identical_calls_are_answered_once_a_time_to_live(reader: httpx.AsyncClient, probe: Probe) -> None:
    first = await reader.post("/probe/calls", json={"name": "a"})
    again = await reader.post(
        "/probe/calls", content=b'{ "name" : "\\u0061" }', headers={"content-type": "application/json"}
    )
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert first.json() == again.json() == {"times": "1"}
    await asyncio.sleep(1.05)
    late = await reader.post("/probe/calls", json={"name": "a"})
    assert late.headers["x-cache"] == "miss"
    assert probe.calls == 2


async def test_another_request_and_another_reader_are_other_calls(
    reader: httpx.AsyncClient, probe: Probe, bearer: Bearer
) -> None:
    await reader.post("/probe/calls", json={"name": "b"})
    assert (await reader.post("/probe/calls", json={"name": "c"})).headers["x-cache"] == "miss"
    other = {"authorization": f"Bearer {bearer()}"}
    assert (await reader.post("/probe/calls", json={"name": "b"}, headers=other)).headers["x-cache"] == "miss"
    assert probe.calls == 3


async def test_calls_at_the_same_time_are_one(reader: httpx.AsyncClient, probe: Probe) -> None:
    probe.gate.clear()
    calls = [asyncio.create_task(reader.post("/probe/calls", json={"name": "d"})) for _ in range(10)]
    while not probe.calls:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    probe.gate.set()
    answers = await asyncio.gather(*calls)
    assert [answer.json() for answer in answers] == [{"times": "1"}] * 10
    assert sorted(answer.headers["x-cache"] for answer in answers) == ["hit"] * 9 + ["miss"]


async def test_errors_are_told_and_not_kept(reader: httpx.AsyncClient, probe: Probe) -> None:
    for times in (1, 2):
        answer = await reader.post("/probe/calls", json={"name": "fail"})
        assert answer.status_code == 503
        assert error_of(answer)["message"]
        assert probe.calls == times


async def test_the_cache_can_be_switched_off_and_is_bounded(gateway: Gateway, probe: Probe, bearer: Bearer) -> None:
    headers = {"authorization": f"Bearer {bearer()}"}
    async with gateway(edge_cache_bytes=0) as (client, _):
        answer = await client.post("/probe/calls", json={"name": "e"}, headers=headers)
        assert "x-cache" not in answer.headers
    async with gateway(edge_cache_bytes=600) as (client, _):  # room for two answers
        for name in ("e", "f", "g", "e"):
            answer = await client.post("/probe/calls", json={"name": name}, headers=headers)
        assert answer.headers["x-cache"] == "miss", "the oldest had to go"


async def test_other_routes_are_not_cached(client: httpx.AsyncClient) -> None:
    assert "x-cache" not in (await client.get("/probe/echo")).headers
