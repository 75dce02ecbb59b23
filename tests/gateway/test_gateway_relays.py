"""The relay streams to several replicas, and calls on them whose output is pushed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.contract import Contract
from gateway.relays import Relays, open_relays
from mesh.config import MeshSettings
from mesh.errors import Internal, MeshError, Unavailable
from mesh.relay import PushedCall
from mesh.relay.calls import WINDOW
from tests.gateway.probe_servicer import SERVICE, Probe, open_probe
from tests.gateway.waiting import until
from tests.mesh.raw_server import FakeGate

WATCH = f"/{SERVICE}/Watch"


class Kept:
    """A sink that keeps what comes; it takes it at once unless it is told not to."""

    def __init__(self, *, takes: bool = True) -> None:
        self.blocks: list[bytes] = []
        self.error: MeshError | None = None
        self.ended = asyncio.Event()
        self._takes = takes

    def data(self, data: bytes) -> bool:
        self.blocks.append(data)
        return self._takes

    def end(self, error: MeshError | None) -> None:
        self.error = error
        self.ended.set()

    @property
    def text(self) -> bytes:
        return b"".join(self.blocks)


class Broken(Kept):
    """A sink with a mistake in it."""

    def data(self, data: bytes) -> bool:
        raise KeyError("a mistake")


@pytest.fixture
async def probe(contract: Contract) -> Probe:
    return Probe(contract)


@pytest.fixture
def relays(probe: Probe, mesh_settings: MeshSettings) -> Any:
    @asynccontextmanager
    async def run(*addresses: str) -> AsyncIterator[Relays]:
        async with open_relays(",".join(addresses), mesh_settings, [probe.descriptor]) as relays:
            yield relays

    return run


async def opened(relays: Relays, probe: Probe, sink: Any, *, instead_of: object = None, **fields: Any) -> PushedCall:
    """A call, as soon as a replica offers the relay."""
    request = probe.message("WatchRequest", **fields).SerializeToString()
    async with asyncio.timeout(10):
        while (call := relays.open(WATCH, request, sink, timeout=20, instead_of=instead_of)) is None:
            await asyncio.sleep(0.01)
    return call


async def test_output_is_pushed_whole_and_in_order(relays: Any, probe: Probe, mesh_settings: MeshSettings) -> None:
    async with open_probe(probe, mesh_settings) as server, relays(server.address) as open_:
        sink = Kept()
        await opened(open_, probe, sink, to=5000, padding=500)  # far more than a window
        await asyncio.wait_for(sink.ended.wait(), 10)
        assert sink.error is None
        assert [sink.text.count(b'{"content":"%dx' % number) for number in (1, 2500, 5000)] == [1, 1, 1]
        assert sink.text.count(b"event: token") == 5000


async def test_what_is_not_taken_holds_the_producer_back(
    relays: Any, probe: Probe, mesh_settings: MeshSettings
) -> None:
    async with open_probe(probe, mesh_settings) as server, relays(server.address) as open_:
        sink = Kept(takes=False)
        call = await opened(open_, probe, sink, to=2000, padding=1000)
        await until(lambda: len(sink.text) >= WINDOW)
        await asyncio.sleep(0.1)  # it would run on if it could
        assert len(sink.text) < WINDOW + 5000
        credited = 0
        while not sink.ended.is_set():
            size = len(sink.text)
            call.taken(size - credited)
            credited = size
            await asyncio.sleep(0.005)
        assert sink.text.count(b"event: token") == 2000


async def test_a_sink_that_fails_ends_its_own_call_and_no_other(
    relays: Any, probe: Probe, mesh_settings: MeshSettings
) -> None:
    async with open_probe(probe, mesh_settings) as server, relays(server.address) as open_:
        good, broken = Kept(), Broken()
        await opened(open_, probe, good, to=50, interval_ms=5)
        await opened(open_, probe, broken, to=50, interval_ms=5)
        await asyncio.wait_for(broken.ended.wait(), 10)
        assert isinstance(broken.error, Internal)
        await asyncio.wait_for(good.ended.wait(), 10)
        assert good.text.count(b"event: token") == 50
        await until(lambda: probe.streams == 0)


async def test_a_cancelled_call_is_heard_of_no_more(relays: Any, probe: Probe, mesh_settings: MeshSettings) -> None:
    async with open_probe(probe, mesh_settings) as server, relays(server.address) as open_:
        sink = Kept()
        call = await opened(open_, probe, sink, to=5000, interval_ms=1)
        await until(lambda: bool(sink.blocks))
        call.cancel()
        size = len(sink.text)
        await until(lambda: probe.streams == 0)
        assert len(sink.text) == size
        assert not sink.ended.is_set()
        call.cancel()


async def test_a_call_in_the_place_of_another_goes_elsewhere(
    relays: Any, probe: Probe, contract: Contract, mesh_settings: MeshSettings
) -> None:
    other = Probe(contract)
    async with (
        open_probe(probe, mesh_settings) as first,
        open_probe(other, mesh_settings) as second,
        relays(first.address, second.address) as open_,
    ):
        call = await opened(open_, probe, Kept(), to=5000, interval_ms=10)
        # All connections are there once calls spread by themselves.
        await until(lambda: probe.streams + other.streams == 1)
        calls = [call]
        while not (probe.streams and other.streams):
            calls.append(await opened(open_, probe, Kept(), to=5000, interval_ms=10))
            await asyncio.sleep(0.05)
        for _ in range(10):
            again = await opened(open_, probe, Kept(), instead_of=calls[-1], to=5000, interval_ms=10)
            assert again.relay is not calls[-1].relay
            calls.append(again)
        for each in calls:
            each.cancel()


async def test_a_replica_that_has_drained_and_comes_back_is_used_again(
    relays: Any, probe: Probe, mesh_settings: MeshSettings, unused_tcp_port: int
) -> None:
    settings = mesh_settings.model_copy(update={"listen": f"127.0.0.1:{unused_tcp_port}", "drain_seconds": 0.2})
    async with relays(settings.listen) as open_:
        sink = Kept()
        async with open_probe(probe, settings):
            await opened(open_, probe, sink, to=5000, interval_ms=10)
            await until(lambda: bool(sink.blocks))
        await asyncio.wait_for(sink.ended.wait(), 10)
        assert isinstance(sink.error, Unavailable)
        assert sink.error.reason == "RELAY_CLOSED"
        async with open_probe(probe, settings):
            again = Kept()
            await opened(open_, probe, again, to=3)
            await asyncio.wait_for(again.ended.wait(), 10)
            assert again.error is None


async def test_calls_are_spread_over_replicas_and_go_past_those_that_do_not_serve(
    relays: Any, contract: Contract, mesh_settings: MeshSettings
) -> None:
    probes = [Probe(contract) for _ in range(3)]
    async with AsyncExitStack() as stack:
        stacks = [await stack.enter_async_context(AsyncExitStack()) for _ in probes]
        quick = mesh_settings.model_copy(update={"drain_seconds": 0.1})
        servers = [await each.enter_async_context(open_probe(p, quick)) for each, p in zip(stacks, probes, strict=True)]
        async with relays(*(server.address for server in servers)) as open_:

            def streams() -> list[int]:
                return [probe.streams for probe in probes]

            async def begin(count: int) -> list[PushedCall]:
                return [await opened(open_, probes[0], Kept(), to=5000, interval_ms=10) for _ in range(count)]

            await until(lambda: sum(each.usable() for each in open_._replicas) == 3)
            calls = await begin(6)
            await until(lambda: streams() == [2, 2, 2])

            await servers[1].set_serving(False)
            await until(lambda: sum(each.usable() for each in open_._replicas) == 2)
            calls += await begin(4)
            await until(lambda: streams() == [4, 2, 4])  # what runs there goes on

            await stacks[2].aclose()
            await until(lambda: sum(each.usable() for each in open_._replicas) == 1)
            calls += await begin(2)
            await until(lambda: streams() == [6, 2, 0])

            await servers[1].set_serving(True)
            await until(lambda: sum(each.usable() for each in open_._replicas) == 2)
            calls += await begin(4)
            await until(lambda: streams() == [6, 6, 0])
            for call in calls:
                call.cancel()
            await until(lambda: streams() == [0, 0, 0])


async def test_a_gate_hears_of_a_lost_connection_once(probe: Probe, mesh_settings: MeshSettings) -> None:
    gate = FakeGate()
    async with AsyncExitStack() as stack:
        quick = mesh_settings.model_copy(update={"drain_seconds": 0.1})
        server = await stack.enter_async_context(open_probe(probe, quick))
        async with open_relays(server.address, mesh_settings, [probe.descriptor], gate=gate) as open_:
            probe.gate.clear()
            sinks = [Kept() for _ in range(5)]
            for sink in sinks:
                await opened(open_, probe, sink, to=5000, interval_ms=10)
            await until(lambda: probe.streams == 5)
            await stack.aclose()
            for sink in sinks:
                await asyncio.wait_for(sink.ended.wait(), 10)
                assert isinstance(sink.error, Unavailable)
    assert gate.held == 0
    assert sorted(gate.ends, key=str) == [None] * 4 + [grpc.StatusCode.UNAVAILABLE]


async def test_a_producer_that_is_held_back_does_not_stand_still(probe: Probe, mesh_settings: MeshSettings) -> None:
    gate = FakeGate()
    settings = mesh_settings.model_copy(update={"still_seconds": 0.1})
    async with (
        open_probe(probe, settings) as server,
        open_relays(server.address, settings, [probe.descriptor], gate=gate) as open_,
    ):
        sink = Kept(takes=False)
        call = await opened(open_, probe, sink, to=2000, padding=1000)
        await until(lambda: len(sink.text) >= WINDOW)
        await asyncio.sleep(0.4)
        assert gate.observed == []
        call.cancel()
    assert gate.ends == [grpc.StatusCode.OK]
