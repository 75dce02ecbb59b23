"""A name stands for replicas that come and go: each gets a relay, and what runs on one that goes ends by itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as search_pb

from gateway.contract import Contract
from gateway.names import FollowedName, following_name
from gateway.relays import Relays, open_relays
from gateway.status.peers import open_peers
from mesh.config import MeshSettings
from mesh.names import named, resolve
from mesh.relay import PushedCall
from tests.gateway.probe_servicer import Probe, open_probe
from tests.gateway.test_gateway_relays import WATCH, Kept, opened
from tests.gateway.waiting import until

QUICK = 0.02


class Names:
    """A name server that says what it is told to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.down = False
        self.asked = Counter[tuple[str, int]]()

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked[host, port] += 1
        if self.down:
            raise OSError("the name server is down")
        return list(self.addresses)


@asynccontextmanager
async def followed(names: Names, probe: Probe, settings: MeshSettings) -> AsyncIterator[Relays]:
    async with open_relays(
        "dns:///rooms:50052", settings, [probe.descriptor], resolve_seconds=QUICK, resolve_=names.resolve
    ) as relays:
        yield relays


@pytest.fixture
async def probe(contract: Contract) -> Probe:
    return Probe(contract)


async def test_streams_are_spread_over_all_replicas_behind_a_name(probe: Probe, mesh_settings: MeshSettings) -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(open_probe(probe, mesh_settings)) for _ in range(3)]
        names = Names(*(server.address for server in servers))
        relays = await stack.enter_async_context(followed(names, probe, mesh_settings))
        await until(lambda: len([r for r in relays._replicas if r.usable()]) == 3)
        calls = [await opened(relays, probe, Kept(), to=10_000, interval_ms=50) for _ in range(6)]
        assert sorted(Counter(call.relay for call in calls).values()) == [2, 2, 2]
        for call in calls:
            call.cancel()
    assert names.asked.keys() == {("rooms", 50052)}


async def test_a_replica_that_comes_gets_streams_and_one_that_goes_keeps_its_own_to_their_end(
    probe: Probe, mesh_settings: MeshSettings
) -> None:
    async with open_probe(probe, mesh_settings) as old, open_probe(probe, mesh_settings) as new:
        names = Names(old.address)
        async with followed(names, probe, mesh_settings) as relays:
            running = Kept()
            first = await opened(relays, probe, running, to=40, interval_ms=20)
            names.addresses = [new.address]
            second: PushedCall | None = None
            async with asyncio.timeout(10):
                while second is None or second.relay is first.relay:
                    if second is not None:
                        second.cancel()
                    second = await opened(relays, probe, Kept(), to=10_000, interval_ms=50)
                    await asyncio.sleep(QUICK)
            await asyncio.wait_for(running.ended.wait(), 10)
            assert running.error is None
            assert running.text.count(b"event: token") == 40
            second.cancel()


async def test_a_name_server_that_is_down_changes_nothing(probe: Probe, mesh_settings: MeshSettings) -> None:
    async with open_probe(probe, mesh_settings) as server:
        names = Names(server.address)
        async with followed(names, probe, mesh_settings) as relays:
            (await opened(relays, probe, Kept(), to=10_000, interval_ms=50)).cancel()
            names.down = True
            before = names.asked.total()
            await until(lambda: names.asked.total() > before + 2)
            (await opened(relays, probe, Kept(), to=10_000, interval_ms=50)).cancel()


async def test_a_name_that_stands_for_nobody_leaves_plain_calls(probe: Probe, mesh_settings: MeshSettings) -> None:
    async with followed(Names(), probe, mesh_settings) as relays:
        assert relays.open(WATCH, b"", Kept(), timeout=1, instead_of=None) is None
        assert not relays.ready()


async def test_what_is_left_is_closed_when_nothing_runs_on_it_and_at_the_end() -> None:
    closed: list[str] = []

    class Thing:
        def __init__(self) -> None:
            self.idle = False

    @asynccontextmanager
    async def open_(address: str) -> AsyncIterator[Thing]:
        if address == "broken":
            raise ValueError("no certificates")
        yield Thing()
        closed.append(address)

    names, current = Names("a", "b", "broken"), list[Any]()
    follow: FollowedName[Any] = FollowedName(
        ("rooms", 1), open_, lambda found: current.__setitem__(slice(None), found), names.resolve
    )
    await follow.look()
    thing = current[0]
    assert len(current) == 2
    names.addresses = ["b"]
    await follow.look()
    assert (len(current), closed) == (1, [])
    thing.idle = True
    await follow.look()
    assert closed == ["a"]
    await follow.close()
    assert closed == ["a", "b"]


async def test_the_status_shows_every_replica_behind_a_name_and_that_there_is_none(
    probe: Probe, mesh_settings: MeshSettings
) -> None:
    async with open_probe(probe, mesh_settings) as first, open_probe(probe, mesh_settings) as second:
        names = Names(first.address, second.address)
        settings = mesh_settings.model_copy(update={"search_target": "dns:///search.nobody.invalid:50052"})
        search = search_pb.DESCRIPTOR.services_by_name["SearchService"]
        async with open_peers(settings, [search], resolve_seconds=QUICK, resolve_=names.resolve) as peers:
            told = [await peer.ask(10) for peer in peers]
            assert {one["address"] for one in told} == {first.address, second.address}
            assert {one["health"] for one in told} == {"SERVING"}
            names.addresses = []
            await until(lambda: len(peers) == 1)
            missing = await peers[0].ask(10)
            assert (missing["service"], missing["health"]) == ("search", "UNREACHABLE")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("dns:///search:50052", ("search", 50052)),
        ("dns:///search.gaji.svc:1", ("search.gaji.svc", 1)),
        ("dns://8.8.8.8/search:50052", None),
        ("127.0.0.1:50052", None),
        ("search:50052", None),
        ("xds:///search", None),
    ],
)
def test_names_are_those_that_the_system_can_look_up(target: str, name: tuple[str, int] | None) -> None:
    assert named(target) == name


async def test_addresses_of_this_machine_are_found_and_unknown_names_refused() -> None:
    assert "127.0.0.1:50052" in await resolve("localhost", 50052)
    with pytest.raises(OSError, match=r".+"):
        await resolve("nobody.invalid", 50052)


async def test_a_name_server_that_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.names._LOOK_SECONDS", QUICK)
    heard: list[str] = []

    class Silent:
        idle = True

    @asynccontextmanager
    async def open_one(address: str) -> AsyncIterator[Silent]:
        heard.append(address)
        if address == "broken:1":
            raise RuntimeError("what nobody thought of")
        yield Silent()

    looks = iter([[], ["broken:1"], ["good:1"]])

    async def resolve_(_host: str, _port: int) -> list[str]:
        found = next(looks, ["good:1"])
        if not found:
            await asyncio.Event().wait()
        return found

    name = FollowedName(("rooms", 1), open_one, lambda _replicas: None, resolve_)
    async with asyncio.timeout(10), following_name(name, QUICK):
        await until(lambda: "good:1" in heard)
    assert heard[0] == "broken:1"
