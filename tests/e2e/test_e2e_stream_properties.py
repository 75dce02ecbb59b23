"""Server-sent events under whatever order of events, drawn by hypothesis.

Two gateways and two replicas of generation stand on real sockets, with a real Valkey and a library that keeps its rows
in memory. Hypothesis is synchronous, so the steps run on the loop of all tests from outside: gRPC bears neither a
second loop nor that its objects are collected in another thread. For the same reason no replica is restarted here: the
fault tests kill and restart real processes.

Readers are cut off at any byte and come back at any gateway, by Last-Event-ID or ``?after=``, on any route; replies are
stopped, taken from their writers, and forgotten by Redis. In the end each reader holds the stored text.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import orjson
import pytest
import redis.asyncio
from gaji.library.v1 import conversation_service_pb2 as library_pb
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.streamlog.redis_log import names
from services.generation.__main__ import serving
from services.generation.config import GenerationSettings
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import Bearer, JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.rooms import CONVERSATION, READER, Peers, Row, open_peers

T = TypeVar("T")

SCENARIOS, DISTINCT = 260, 100
STEPS = 10
WORDS = 30
WHOLE = " ".join(f"word{number}" for number in range(1, WORDS + 1))
_SECONDS = 30.0
_ENDS = {"complete", "stopped", "failed"}


class World:
    """The servers of all scenarios."""

    def __init__(self, runner: asyncio.Runner, peers: Peers, token: str, redis_url: str, ports: list[int]) -> None:
        self.runner = runner
        self.peers = peers
        self.token = token
        self.redis_url = redis_url
        self.targets = [f"127.0.0.1:{port}" for port in ports]
        self.replicas = [AsyncExitStack(), AsyncExitStack()]
        self.gateways: list[str] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a step of a scenario."""
        return self.runner.run(asyncio.wait_for(work, _SECONDS))

    async def start(self, number: int) -> None:
        settings_ = self.peers.settings.model_copy(update={"listen": self.targets[number]})
        await self.replicas[number].enter_async_context(serving(settings_, ScriptedModel(WORDS, 400)))

    async def depose(self, row: Row) -> None:
        """The writer of a reply counts as dead, and goes on as a zombie until it learns of its successor."""
        row.take()
        async with redis.asyncio.Redis.from_url(self.redis_url) as client:
            await client.hset(names(UUID(row.message.message_id))[1], mapping={"epoch": row.epoch, "lease": 0})

    async def forget(self, row: Row) -> None:
        """Redis forgets a log, as it does after its time or under memory pressure."""
        async with redis.asyncio.Redis.from_url(self.redis_url) as client:
            await client.delete(*names(UUID(row.message.message_id)))


@asynccontextmanager
async def open_world(
    runner: asyncio.Runner, generation: GenerationSettings, keys: JwtKeys, token: str, ports: list[int]
) -> AsyncIterator[World]:
    """Two gateways in front of two replicas."""
    async with open_peers(generation) as peers, AsyncExitStack() as stack:
        world = World(runner, peers, token, generation.redis_url, ports)
        for number, replica in enumerate(world.replicas):
            stack.push_async_callback(replica.aclose)
            await world.start(number)
        gateway = GatewaySettings(
            listen="127.0.0.1:0",
            admin_listen="127.0.0.1:0",
            jwt_public_key_file=keys.public,
            generation_target=",".join(world.targets),
            drain_seconds=0.5,
            rate_limit=0,
            max_streams_per_user=0,
        )
        for _ in range(2):
            world.gateways.append((await stack.enter_async_context(open_gateway(gateway))).address)
        yield world


class Reader:
    """Reads over a bare socket and counts nothing but whole events."""

    def __init__(self, world: World, request_id: str) -> None:
        self.world = world
        self.request_id = request_id
        self.message_id = ""
        self.text = ""
        self.last_id = ""
        self.end: dict[str, Any] | None = None
        self.finished = False
        self.seams = 0

    def path(self, way: int) -> str:
        """One of the ways to the same reply."""
        if not self.message_id or way == 0:
            return f"/api/conversations/{CONVERSATION}/messages-stream?content=Hello&request_id={self.request_id}"
        path = f"/api/conversations/{CONVERSATION}/messages/{self.message_id}/events"
        return f"{path}?after={self.last_id}" if way == 2 and self.last_id else path

    async def read(self, gateway: int, way: int, cut: int | None) -> None:
        """One connection, cut after so many bytes of answer; None: to the end of the answer."""
        host, _, port = self.world.gateways[gateway].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [f"GET {self.path(way)} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.world.token}"]
        if self.last_id and way != 2:
            lines.append(f"Last-Event-ID: {self.last_id}")
        elif not self.last_id:
            self.text = ""
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            assert status in {200, 204}, (head, await reader.read(2000))
            if status == 204:
                assert self.end is not None, "204 comes behind the end alone"
                self.finished = True
                return
            await self._body(reader, cut)
        finally:
            writer.transport.abort()

    async def _body(self, reader: asyncio.StreamReader, cut: int | None) -> None:
        buffer = b""
        while not self.finished:
            size = int(await reader.readline(), 16)
            if not size:
                return
            chunk = await reader.readexactly(size)
            await reader.readexactly(2)
            if cut is not None and size >= cut:
                self._take(buffer + chunk[:cut])
                return
            cut = None if cut is None else cut - size
            buffer = self._take(buffer + chunk)

    def _take(self, data: bytes) -> bytes:
        *blocks, rest = data.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            if b"id" in fields:
                self.last_id = fields[b"id"].decode()
                self.message_id = str(UUID(self.last_id.split(".")[0]))
            name = fields.get(b"event", b"").decode()
            if name:
                self._event(name, orjson.loads(fields[b"data"]), b"id" in fields)
        return rest

    def _event(self, name: str, data: dict[str, Any], resumable: bool) -> None:
        assert not self.finished, "nothing comes behind the end"
        if name == "token":
            self.text += data["content"]
        elif name == "seam":
            assert data["keep"] <= len(self.text)
            self.text = self.text[: data["keep"]]
            self.seams += 1
        elif name in _ENDS and resumable:
            self.end = data
            self.finished = True


class SseMachine(RuleBasedStateMachine):
    """Draws scenarios."""

    world: World
    scenarios: set[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.readers: list[Reader] = []
        self.stopped: set[str] = set()

    def step(self, work: Coroutine[Any, Any, T], *words: object) -> T:
        self.steps.append(" ".join(map(str, words)))
        return self.world.run(work)

    def _reader(self, which: int) -> Reader:
        return self.readers[which % len(self.readers)]

    def _row(self, which: int) -> Row | None:
        return self.world.peers.library.rows.get(self._reader(which).request_id)

    @rule(gateway=st.integers(0, 1), cut=st.integers(1, 4000))
    def begin(self, gateway: int, cut: int) -> None:
        reader = Reader(self.world, uuid.uuid4().hex)
        self.readers.append(reader)
        self.step(reader.read(gateway, 0, cut), "begin", gateway, cut)

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9), gateway=st.integers(0, 1), cut=st.integers(1, 4000))
    def another_reader(self, which: int, gateway: int, cut: int) -> None:
        reader = Reader(self.world, self._reader(which).request_id)
        self.readers.append(reader)
        self.step(reader.read(gateway, 0, cut), "another", which, gateway, cut)

    @precondition(lambda self: bool(self.readers))
    @rule(
        which=st.integers(0, 9),
        gateway=st.integers(0, 1),
        way=st.integers(0, 2),
        cut=st.one_of(st.none(), st.integers(1, 4000)),
    )
    def resume(self, which: int, gateway: int, way: int, cut: int | None) -> None:
        reader = self._reader(which)
        if not reader.finished:
            self.step(reader.read(gateway, way, cut), "resume", which, gateway, way, cut)

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9), gateway=st.integers(0, 1))
    def stop(self, which: int, gateway: int) -> None:
        reader = self._reader(which)
        if reader.message_id:
            self.stopped.add(reader.request_id)
            self.step(self._stop(reader, gateway), "stop", which, gateway)

    async def _stop(self, reader: Reader, gateway: int) -> None:
        host, _, port = self.world.gateways[gateway].rpartition(":")
        connection, writer = await asyncio.open_connection(host, int(port))
        path = f"/api/conversations/{CONVERSATION}/messages/{reader.message_id}:stop"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.world.token}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        answer = await connection.readuntil(b"\r\n\r\n")
        assert answer.split()[1] == b"200", answer
        writer.transport.abort()

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9))
    def depose_the_writer(self, which: int) -> None:
        row = self._row(which)
        if row is not None and row.epoch and row.message.status == library_pb.MESSAGE_STATUS_PENDING:
            self.step(self.world.depose(row), "depose", which)

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9))
    def redis_forgets(self, which: int) -> None:
        row = self._row(which)
        if row is not None:
            self.step(self.world.forget(row), "forget", which)

    @rule()
    def pause(self) -> None:
        self.step(asyncio.sleep(0.03), "pause")

    def teardown(self) -> None:
        for number, reader in enumerate(self.readers):
            for attempt in range(20):
                if reader.finished:
                    break
                self.step(reader.read((number + attempt) % 2, attempt % 3, None), "finish", number)
            self._check(reader)
        self.scenarios.add(tuple(self.steps))

    def _check(self, reader: Reader) -> None:
        row = self.world.peers.library.rows[reader.request_id]
        stored = row.message.content
        assert reader.finished
        assert reader.end is not None
        assert reader.text == stored == reader.end["content"]
        if row.message.status == library_pb.MESSAGE_STATUS_STOPPED:
            assert reader.request_id in self.stopped
            assert WHOLE.startswith(stored)
        else:
            assert row.message.status == library_pb.MESSAGE_STATUS_COMPLETE
            assert stored == WHOLE
        assert sum(1 for each in self.world.peers.library.completed if each.message_id == row.message.message_id) <= 1


@pytest.mark.timeout(600)
def test_every_reader_ends_with_the_stored_text(
    request: pytest.FixtureRequest, jwt_keys: JwtKeys, bearer: Bearer, redis_url: str, unused_tcp_port_factory: Any
) -> None:
    # The runner of pytest-asyncio's session loop; it has no public name.
    runner: asyncio.Runner = request.getfixturevalue("_session_scoped_runner")
    generation = make_settings(
        jwt_public_key_file=jwt_keys.public, redis_url=redis_url, log_lease_seconds=0.6, drain_seconds=0.2
    )
    ports = [unused_tcp_port_factory(), unused_tcp_port_factory()]
    opened = open_world(runner, generation, jwt_keys, bearer(READER, ttl=3600), ports)
    world_ = runner.run(opened.__aenter__())

    class Machine(SseMachine):
        world = world_
        scenarios: set[tuple[str, ...]] = set()  # noqa: RUF012 - of this run

    options = settings(
        max_examples=SCENARIOS,
        stateful_step_count=STEPS,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes; the steps are printed anyway
        suppress_health_check=list(HealthCheck),  # a scenario takes as long as its servers do
    )
    try:
        run_state_machine_as_test(Machine, settings=options)
    finally:
        runner.run(opened.__aexit__(None, None, None))
    assert len(Machine.scenarios) >= DISTINCT
