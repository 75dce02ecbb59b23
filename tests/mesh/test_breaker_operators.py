"""What operators see and set: over gRPC, with grpcurl, on the admin port, in Prometheus, with `gaji breaker`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.mesh.v1 import breaker_service_pb2 as pb
from gaji.mesh.v1 import breaker_service_pb2_grpc as rpc
from gaji.search.v1 import search_service_pb2 as search_pb
from google.protobuf.duration_pb2 import Duration
from prometheus_client.parser import text_string_to_metric_families

from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.breaker import Breakers, BreakerSettings, State
from mesh.config import MeshSettings
from mesh.server import open_server
from tests.contract.test_contract_grpcurl import ok as grpcurl
from tests.fixtures.stack import clean_environment
from tests.mesh.breaker_clock import Clock
from tests.mesh.conftest import code_of

DOWN, OK = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK
SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]
CACHE = cache_pb.DESCRIPTOR.services_by_name["CacheService"]
FIND = "/gaji.search.v1.SearchService/SearchPassages"
UNARY = "SearchService/unary"
NO_STATE = pb.SetBreakerStateRequest.FromString(b"\x18\x4d")  # 77


@dataclass
class Room:
    """A process's server with breakers before two peers."""

    breakers: Breakers
    clock: Clock
    address: str
    admin: str
    stub: Any

    def fail(self, times: int = 10) -> None:
        """Has calls to search fail."""
        for _ in range(times):
            self.breakers.gate("search", [SEARCH]).acquire(FIND).end(DOWN, 0.1)


OpenRoom = Callable[[], AbstractAsyncContextManager[Room]]


@pytest.fixture
def open_room(settings: MeshSettings) -> OpenRoom:
    @asynccontextmanager
    async def run() -> AsyncIterator[Room]:
        clock = Clock()
        breakers = Breakers(BreakerSettings(), clock)
        breakers.gate("search", [SEARCH])
        breakers.gate("cache", [CACHE])
        async with (
            open_server(settings, [], name="test", breakers=breakers) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            stub: Any = rpc.BreakerServiceStub(channel)
            yield Room(breakers, clock, server.address, server.admin_address, stub)

    return run


@pytest.fixture
async def room(open_room: OpenRoom) -> AsyncIterator[Room]:
    async with open_room() as opened:
        yield opened


async def test_the_list_tells_how_each_breaker_is(room: Room) -> None:
    room.breakers.gate("search").acquire(FIND).end(OK, 10)
    room.fail(9)
    room.clock.now += 12
    answer = await room.stub.ListBreakers(pb.ListBreakersRequest())
    assert [(one.peer, one.group) for one in answer.breakers] == [
        ("cache", "CacheService/stream"),
        ("cache", "CacheService/unary"),
        ("search", "SearchService/stream"),
        ("search", UNARY),
    ]
    assert answer.breakers[3] == pb.Breaker(
        peer="search",
        group=UNARY,
        state=pb.BREAKER_STATE_OPEN,
        calls=10,
        failed_calls=9,
        slow_calls=1,
        failure_rate=90,
        slow_rate=10,
        state_duration=Duration(seconds=12),
        retry_delay=Duration(seconds=18),
        openings=1,
    )
    assert not answer.breakers[0].HasField("failure_rate")
    assert not answer.breakers[0].HasField("retry_delay")


async def test_the_list_comes_in_pages(room: Room) -> None:
    found, token = [], ""
    for _ in range(4):
        answer = await room.stub.ListBreakers(pb.ListBreakersRequest(page_size=1, page_token=token))
        found += [one.group for one in answer.breakers]
        token = answer.next_page_token
    assert (len(set(found)), token) == (4, "")
    answer = await room.stub.ListBreakers(pb.ListBreakersRequest(peer="search", group=UNARY))
    assert [one.group for one in answer.breakers] == [UNARY]


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
async def test_every_state_can_be_set(room: Room, state: State) -> None:
    value = f"BREAKER_STATE_{state.name}"
    answer = await room.stub.SetBreakerState(pb.SetBreakerStateRequest(peer="search", group=UNARY, state=value))
    assert [pb.BreakerState.Name(one.state) for one in answer.breakers] == [value]
    assert room.breakers.breaker("search", UNARY).state is state
    assert room.breakers.breaker("cache", "CacheService/unary").state is State.CLOSED


async def test_no_state_resets(room: Room) -> None:
    room.fail()
    answer = await room.stub.SetBreakerState(pb.SetBreakerStateRequest(peer="search"))
    assert {one.state for one in answer.breakers} == {pb.BREAKER_STATE_CLOSED}
    assert sum(one.calls for one in answer.breakers) == 0


@pytest.mark.parametrize(
    ("call", "request_", "code"),
    [
        ("ListBreakers", pb.ListBreakersRequest(page_size=101), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListBreakers", pb.ListBreakersRequest(page_token="?"), grpc.StatusCode.INVALID_ARGUMENT),
        ("SetBreakerState", pb.SetBreakerStateRequest(peer="nobody"), grpc.StatusCode.NOT_FOUND),
        ("SetBreakerState", NO_STATE, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["page size", "page token", "peer", "state"],
)
async def test_mistakes_are_the_callers(room: Room, call: str, request_: Any, code: grpc.StatusCode) -> None:
    assert await code_of(getattr(room.stub, call)(request_)) is code


async def test_grpcurl_lists_and_sets(room: Room) -> None:
    assert "gaji.mesh.v1.BreakerService" in await grpcurl(room.address, "list")
    answer = json.loads(await grpcurl(room.address, "gaji.mesh.v1.BreakerService/ListBreakers"))
    assert len(answer["breakers"]) == 4
    body = '{"peer": "search", "state": "BREAKER_STATE_FORCED_OPEN"}'
    await grpcurl("-d", body, room.address, "gaji.mesh.v1.BreakerService/SetBreakerState")
    assert room.breakers.breaker("search", UNARY).state is State.FORCED_OPEN


async def test_the_admin_port_lists_and_sets(room: Room) -> None:
    room.fail()
    async with httpx.AsyncClient(base_url=f"http://{room.admin}", trust_env=False) as http:
        listed = (await http.get("/breakers", params={"peer": "search", "group": UNARY})).json()
        assert [(one["state"], one["failed_calls"]) for one in listed["breakers"]] == [("BREAKER_STATE_OPEN", 10)]
        body = {"peer": "search", "state": "BREAKER_STATE_CLOSED"}
        answer = await http.post("/breakers", json=body)
        assert (answer.status_code, len(answer.json()["breakers"])) == (200, 2)
    assert room.breakers.breaker("search", UNARY).state is State.CLOSED


@pytest.mark.parametrize(
    ("method", "headers", "body", "refusal"),
    [
        ("POST", {"content-type": "text/plain"}, b"{}", (400, "application/json")),
        ("POST", {}, b"{}", (400, "application/json")),
        ("POST", {"content-type": "application/json"}, b"{", (400, "not JSON")),
        ("POST", {"content-type": "application/json"}, b"[]", (400, "must be an object")),
        ("POST", {"content-type": "application/json"}, b'{"pear": "x"}', (400, "pear")),
        ("POST", {"content-type": "application/json"}, b'{"state": "AJAR"}', (400, "state")),
        ("POST", {"content-type": "application/json"}, b'{"peer": "nobody"}', (404, "no breaker for nobody")),
        ("POST", {"content-type": "application/json"}, b" " * 20_000, (400, "Content-Length")),
        ("GET", {"host": "rebound.example"}, b"", (403, "rebound.example")),
        ("POST", {"host": "rebound.example", "content-type": "application/json"}, b"{}", (403, "use its address")),
        ("POST", {"origin": "http://a.example", "content-type": "application/json"}, b"{}", (403, "gaji breaker")),
        ("DELETE", {}, b"", (400, "DELETE is not offered")),
    ],
    ids=[
        "type",
        "no type",
        "json",
        "array",
        "field",
        "state",
        "peer",
        "size",
        "host",
        "host of a post",
        "origin",
        "method",
    ],
)
async def test_the_admin_port_refuses(
    room: Room, method: str, headers: dict[str, str], body: bytes, refusal: tuple[int, str]
) -> None:
    async with httpx.AsyncClient(base_url=f"http://{room.admin}", trust_env=False) as http:
        answer = await http.request(method, "/breakers", headers=headers, content=body)
    assert answer.status_code == refusal[0], answer.text
    assert refusal[1] in answer.json()["message"]
    assert all(breaker.state is State.CLOSED for breaker in room.breakers.matching())


async def test_prometheus_sees_states_transitions_refusals_and_rates(open_room: OpenRoom) -> None:
    async with open_room() as room:
        gate = room.breakers.gate("a peer of this test", [SEARCH])
        for _ in range(7):
            gate.acquire(FIND).end(DOWN, 0.1)
        for _ in range(3):
            gate.acquire(FIND).end(OK, 10)
        for _ in range(2):
            with pytest.raises(Exception, match="is not called"):
                gate.acquire(FIND)
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://{room.admin}/metrics")).text
    samples = {
        (sample.name, *(sample.labels[name] for name in ("state", "from", "to") if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("peer") == "a peer of this test" and sample.labels.get("group") == UNARY
    }
    assert {name[1]: value for name, value in samples.items() if name[0] == "gaji_breaker_state"} == {
        state.value: float(state is State.OPEN) for state in State
    }
    assert samples["gaji_breaker_transitions_total", "closed", "open"] == 1
    assert samples["gaji_breaker_rejected_total",] == 2
    assert samples["gaji_breaker_failure_ratio",] == 0.7
    assert samples["gaji_breaker_slow_ratio",] == 0.3
    assert samples["gaji_breaker_window_calls",] == 10


async def test_a_gateway_has_the_page_too(jwt_keys: Any) -> None:
    settings = GatewaySettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", jwt_public_key_file=jwt_keys.public)
    async with open_gateway(settings) as gateway, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{gateway.admin_address}/breakers")
        assert (answer.status_code, list(answer.json())) == (200, ["breakers", "next_page_token"])
        assert (await http.get(f"http://{gateway.address}/breakers")).status_code == 404


@dataclass
class Command:
    """`gaji breaker` on a stack of two rooms and a worker that nobody answers for."""

    rooms: dict[str, Room]
    folder: Path

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output, errors."""
        command = [sys.executable, "-m", "stack.cli", "breaker", *arguments, "--data-dir", str(self.folder)]
        env = clean_environment(self.folder, COLUMNS="200")
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=100, env=env, check=False
        )
        return done.returncode, done.stdout, done.stderr.strip()

    def states(self, name: str) -> dict[str, State]:
        """The states of a room's breakers before search."""
        return {breaker.group: breaker.state for breaker in self.rooms[name].breakers.matching("search")}


@pytest.fixture
async def command(open_room: OpenRoom, tmp_path: Path) -> AsyncIterator[Command]:
    async with open_room() as generation, open_room() as gateway:
        rooms = {"generation": generation, "gateway": gateway}
        services = {name: [{"pid": os.getpid(), "admin": room.admin}] for name, room in rooms.items()}
        (tmp_path / "run").mkdir()
        state = {"gateway": "http://127.0.0.1:1", "pid": os.getpid(), "services": services}
        (tmp_path / "run" / "stack.json").write_text(json.dumps(state))
        yield Command(rooms, tmp_path)


async def test_the_command_shows_all_processes(command: Command) -> None:
    command.rooms["gateway"].fail()
    code, out, err = await command("list")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if "Service/" in line]
    assert len(rows) == 8
    assert ["gateway", "search", UNARY, "open", "10", "10", "(100", "%)", "0", "(0", "%)", "0", "30", "s"] in rows


async def test_the_command_sets_them_everywhere_or_where_it_is_told(command: Command) -> None:
    both = {"SearchService/stream": State.FORCED_OPEN, UNARY: State.FORCED_OPEN}
    code, out, _ = await command("open", "search")
    assert (code, out.count("forced open")) == (0, 4)
    assert command.states("generation") == command.states("gateway") == both
    assert (await command("disable", "search", UNARY, "--service", "gateway"))[0] == 0
    assert command.states("gateway") == {**both, UNARY: State.DISABLED}
    assert command.states("generation") == both
    assert (await command("metrics-only", "search"))[0] == 0
    assert set(command.states("generation").values()) == {State.METRICS_ONLY}
    assert (await command("reset", "--all"))[0] == 0
    assert set(command.states("gateway").values()) == {State.CLOSED}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("open",), "name a PEER, or say --all"),
        (("open", "nobody"), "there is no breaker for nobody; gaji breaker list shows those there are"),
        (("list", "--service", "nothing"), "no service nothing runs; those that do: generation, gateway"),
    ],
    ids=["all by mistake", "peer", "service"],
)
async def test_the_command_refuses(command: Command, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = await command(*arguments)
    assert code > 0
    assert words in err


async def test_the_command_shows_the_rest_when_a_process_is_away(command: Command) -> None:
    path = command.folder / "run" / "stack.json"
    state = json.loads(path.read_text())
    state["services"]["search"] = [{"pid": 1, "admin": "127.0.0.1:1"}]
    path.write_text(json.dumps(state))
    code, out, err = await command("list")
    assert (code, out.count("Service/")) == (1, 8)
    assert "search does not answer at 127.0.0.1:1" in err


async def test_the_command_needs_a_stack(tmp_path: Path) -> None:
    code, _, err = await Command({}, tmp_path)("list")
    assert (code, err) == (
        1,
        "gaji: no stack runs on this data folder; start one with gaji up, or name it with --data-dir",
    )
