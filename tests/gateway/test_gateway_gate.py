"""The circuit of a room before the gateway's calls, over the relay and over calls of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.contract import Contract
from mesh.config import MeshSettings
from mesh.errors import Unavailable
from mesh.server import MeshServer
from tests.gateway.conftest import Gateway, ProbeSettings, error_of, gateway_factory
from tests.gateway.probe_process import probe_process
from tests.gateway.probe_servicer import SERVICE, Probe, open_probe
from tests.gateway.sse_client import Event, open_stream
from tests.gateway.waiting import until
from tests.mesh.raw_server import FakeGate

WATCH = f"/{SERVICE}/Watch"
OK = grpc.StatusCode.OK
OPEN = Unavailable("probe is left alone for a while", reason="CIRCUIT_OPEN", retry_after=7.2)


@pytest.fixture(scope="module", params=[True, False], ids=["relay", "plain"])
def settings(settings: ProbeSettings, request: pytest.FixtureRequest) -> ProbeSettings:
    return settings.model_copy(update={"relay": request.param})


@pytest.fixture(scope="module")
def gateway(settings: ProbeSettings) -> Gateway:
    return gateway_factory(settings)


@pytest.fixture
def gate() -> FakeGate:
    return FakeGate()


class Own(Probe):
    """A probe that knows where it is served."""

    address = ""


Opened = Callable[..., Any]


@pytest.fixture
def own(gateway: Gateway, contract: Contract, mesh_settings: MeshSettings, gate: FakeGate) -> Opened:
    """A gateway with the gate before a probe of its own."""

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[tuple[httpx.AsyncClient, str, Own, AsyncExitStack]]:
        probe = Own(contract)
        async with AsyncExitStack() as stack:
            quick = mesh_settings.model_copy(update={"drain_seconds": 0.1})
            server: MeshServer = await stack.enter_async_context(open_probe(probe, quick))
            probe.address = server.address
            async with gateway(lambda _room, _services: gate, probe_target=server.address, **changes) as (
                client,
                running,
            ):
                async with asyncio.timeout(10):
                    while (await client.get("/ready")).status_code != 200:
                        await asyncio.sleep(0.02)
                yield client, running.address, probe, stack

    return run


async def test_a_call_asks_and_tells(own: Opened, gate: FakeGate) -> None:
    async with own() as (client, _, _, _):
        assert (await client.get("/probe/echo", params={"string_value": "a"})).status_code == 200
    assert (gate.methods, gate.ends) == ([f"/{SERVICE}/Echo"], [OK])


async def test_an_open_circuit_is_503_with_a_time_to_come_back(own: Opened, gate: FakeGate) -> None:
    gate.shut = OPEN
    async with own() as (client, _, probe, _):
        for path in ("/probe/echo", "/probe/watch?to=3", "/probe/count?to=3"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert error_of(answer)["reason"] == "CIRCUIT_OPEN"
            assert 8 <= int(answer.headers["retry-after"]) <= 18  # they do not all come back at once
        assert probe.seen == []
        assert (await client.get("/ready")).status_code == 200  # health is no call of the room's


async def test_a_stream_ends_its_permit_at_its_first_event(own: Opened, gate: FakeGate) -> None:
    async with own() as (_, address, probe, _):
        probe.gate.clear()
        async with open_stream(address, "/probe/watch?to=3000&interval_ms=5") as stream:
            await until(lambda: probe.streams == 1)
            assert gate.held == 1
            probe.gate.set()
            events = stream.events()
            while (await anext(events)).name != "token":
                pass
            assert gate.ends == [OK]
        await until(lambda: probe.streams == 0)
    assert (gate.ends, gate.observed, gate.methods) == ([OK], [], [WATCH])


async def test_a_reader_who_leaves_before_the_first_event_gives_the_permit_back(own: Opened, gate: FakeGate) -> None:
    async with own() as (_, address, probe, _):
        probe.gate.clear()
        async with open_stream(address, "/probe/watch?to=3"):
            await until(lambda: probe.streams == 1)
        await until(lambda: bool(gate.ends))
        probe.gate.set()
    assert gate.ends == [None]


async def test_a_stream_that_fails_later_is_observed(own: Opened, gate: FakeGate) -> None:
    async with own() as (_, address, _, _):
        async with open_stream(address, "/probe/watch?to=2&fail_with=13") as stream:
            assert [event.name for event in await stream.rest()] == ["token", "token", "failed"]
    assert gate.ends == [OK]
    assert [(method, code) for method, code, _ in gate.observed] == [(WATCH, grpc.StatusCode.INTERNAL)]


async def test_a_stream_that_stands_still_is_observed(own: Opened, gate: FakeGate) -> None:
    async with own(still_seconds=0.2) as (_, address, _, _):
        async with open_stream(address, "/probe/watch?to=2&interval_ms=1000") as stream:
            assert len(await stream.rest()) == 3
    assert gate.ends == [OK]
    assert len(gate.observed) >= 1
    assert {(method, code) for method, code, _ in gate.observed} == {(WATCH, OK)}
    assert min(seconds for _, _, seconds in gate.observed) >= 0.2


async def test_a_reader_in_mid_stream_waits_while_the_circuit_is_open(
    own: Opened, gate: FakeGate, contract: Contract, mesh_settings: MeshSettings
) -> None:
    async with own() as (_, address, probe, stack):
        async with open_stream(address, "/probe/watch?to=100&interval_ms=10") as stream:
            events: list[Event] = []
            seen = asyncio.Event()

            async def read() -> None:
                async for event in stream.events():
                    if event.name:
                        events.append(event)
                        seen.set()

            reading = asyncio.create_task(read())
            await seen.wait()
            gate.shut = Unavailable("left alone", reason="CIRCUIT_OPEN", retry_after=0.3)
            asked = len(gate.methods)
            await stack.aclose()
            quick = mesh_settings.model_copy(update={"listen": probe.address, "drain_seconds": 0.1})
            async with open_probe(Probe(contract), quick):
                await until(lambda: len(gate.methods) > asked + 1)  # asked again and again, and refused
                assert not reading.done()
                gate.shut = None
                await reading
    assert [event.name for event in events] == ["token"] * 100 + ["complete"]


async def test_a_frozen_room_does_not_hold_a_stream_beyond_its_deadline(
    gateway: Gateway, descriptors_file: Path, jwt_keys: Any, gate: FakeGate
) -> None:
    async with (
        probe_process(descriptors_file, jwt_keys.public) as frozen,
        gateway(lambda _room, _services: gate, probe_target=frozen.address) as (client, running),
    ):
        async with asyncio.timeout(20):
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.02)
        async with open_stream(running.address, "/probe/short-count?to=500&interval_ms=20") as stream:
            events = stream.events()
            while (await anext(events)).name != "token":
                pass
            frozen.freeze()
            last = [event async for event in events if event.name][-1]
    assert last.name == "failed"
    assert last.data["code"] == "DEADLINE_EXCEEDED"
    assert last.data["reason"] == "PROBE_TOO_SLOW"
    assert "ProbeService.CountShortly within its 1 s" in last.data["message"]
