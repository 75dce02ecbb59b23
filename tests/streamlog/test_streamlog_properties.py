"""The log under whatever order of events: each scenario is drawn by hypothesis and run on a real Valkey.

Hubs stand for processes. A crash drops a hub as SIGKILL would: nothing is flushed, no lease is given back. Whatever
happens, what a reader has put together in the end is the log, and nothing that a fenced producer wrote is in it, unless
Redis has forgotten that it was fenced (what is stored in the end is then guarded by the lease in the database).
"""

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
import redis.asyncio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from mesh.process import ended
from mesh.redis_client import open_redis
from mesh.streamlog import COMPLETE, Cursor, FencedError, Hub, Lapse, Mode, Producer
from mesh.streamlog.news import News
from mesh.streamlog.redis_log import RedisLog
from stack.embedded.valkey import ValkeyServer
from tests.streamlog.conftest import Texts

T = TypeVar("T")

SCENARIOS, DISTINCT = 240, 200
STEPS = 14
_SECONDS = 20.0


class Replica:
    """A process: its hub can crash."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self.hub: Hub[str]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        client = await self._stack.enter_async_context(open_redis(self._url, timeout=5, connections=8, name="test"))
        log = RedisLog(client, Texts(), timeout=5, lease_seconds=60, ttl_seconds=60)
        self.hub = Hub(log, News(client, timeout=5), 60)
        self._tasks = self.hub.start()

    async def crash(self) -> None:
        await ended(*self._tasks)
        for local in self.hub._locals.values():
            if local.follower is not None:
                await local.follower.stop()
        await self._stack.aclose()


class Reader:
    """Somebody who reads, is cut off and comes back; what he has is a list of events and the last cursor."""

    def __init__(self, stream_id: uuid.UUID) -> None:
        self.stream_id = stream_id
        self.seen: list[str] = []
        self.after: Cursor | None = None
        self.finished = False
        self.task: asyncio.Task[None] | None = None

    def read(self, hub: Hub[str]) -> None:
        self.task = asyncio.create_task(self._read(hub))

    async def cut(self) -> None:
        if self.task is not None:
            await ended(self.task)
            self.task = None

    async def _read(self, hub: Hub[str]) -> None:
        async with hub.watching(self.stream_id) as stream:
            async for item in stream.read(self.after):
                if isinstance(item, Lapse):
                    assert item.stand <= len(self.seen)
                    del self.seen[item.stand :]
                else:
                    assert item.sequence == len(self.seen) + 1, "no event is lost or repeated"
                    self.seen.append(item.event)
                    self.after = stream.cursor(item)
            self.finished = True


class LogMachine(RuleBasedStateMachine):
    """Draws scenarios."""

    url = ""
    scenarios: set[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.steps: list[str] = []
        self.stream_id = uuid.uuid4()
        self.epoch = 0
        self.words = 0
        self.replicas: list[Replica] = []
        self.producer: Producer[str] | None = None
        self.home: Replica | None = None
        self.zombies: list[Producer[str]] = []
        self.readers: list[Reader] = []
        self.amnesia = False

    def run(self, work: Coroutine[Any, Any, T], *step: object) -> T:
        self.steps.append(" ".join(map(str, step)))
        return self.runner.run(asyncio.wait_for(work, _SECONDS))

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            for _ in range(3):
                self.replicas.append(Replica(self.url))
                await self.replicas[-1].start()

        self.run(begin(), "begin")
        self.take(0)

    def _index(self, number: int) -> Replica:
        return self.replicas[number % len(self.replicas)]

    @rule(number=st.integers(0, 2))
    def take(self, number: int) -> None:
        """Somebody takes the log up: at first, after a crash, or from a producer that still lives."""

        async def take() -> None:
            self.epoch += 1
            replica = self._index(number)
            if self.producer is not None:
                self.zombies.append(self.producer)
            mode: Mode = "fresh" if self.epoch == 1 else "restart"
            self.producer = await replica.hub.produce(self.stream_id, self.epoch, mode)
            self.home = replica

        self.run(take(), "take", number)

    @rule(count=st.integers(1, 5), pause=st.booleans())
    def append(self, count: int, pause: bool) -> None:
        async def append() -> None:
            for _ in range(count):
                self.words += 1
                if self.producer is not None:
                    self.producer.append(f"{self.epoch}:{self.words} ")
                await asyncio.sleep(0.002 if pause else 0)

        self.run(append(), "append", count, pause)

    @precondition(lambda self: bool(self.zombies))
    @rule(count=st.integers(1, 3))
    def zombie_appends(self, count: int) -> None:
        async def append() -> None:
            for zombie in self.zombies:
                for _ in range(count):
                    zombie.append("ZOMBIE ")
            await asyncio.sleep(0)

        self.run(append(), "zombie", count)

    @precondition(lambda self: self.producer is not None)
    @rule()
    def flush(self) -> None:
        async def flush() -> None:
            assert self.producer is not None
            assert await self.producer.flushed(_SECONDS)

        self.run(flush(), "flush")

    @rule(number=st.integers(0, 2))
    def new_reader(self, number: int) -> None:
        async def read() -> None:
            reader = Reader(self.stream_id)
            self.readers.append(reader)
            reader.read(self._index(number).hub)
            await asyncio.sleep(0)

        self.run(read(), "reader", number)

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9), number=st.integers(0, 2))
    def reconnect(self, which: int, number: int) -> None:
        async def reconnect() -> None:
            reader = self.readers[which % len(self.readers)]
            await reader.cut()
            reader.read(self._index(number).hub)
            await asyncio.sleep(0)

        self.run(reconnect(), "reconnect", which, number)

    @precondition(lambda self: bool(self.readers))
    @rule(which=st.integers(0, 9))
    def disconnect(self, which: int) -> None:
        self.run(self.readers[which % len(self.readers)].cut(), "disconnect", which)

    @rule()
    def pause(self) -> None:
        self.run(asyncio.sleep(0.01), "pause")

    @precondition(lambda self: self.home is not None)
    @rule()
    def crash(self) -> None:
        """The producer's process is killed, and with it the connections of its readers."""

        async def crash() -> None:
            assert self.home is not None
            at = self.replicas.index(self.home)
            for reader in self.readers:
                if reader.task is not None and not reader.finished:
                    await reader.cut()
            await self.home.crash()
            self.replicas[at] = Replica(self.url)
            await self.replicas[at].start()
            self.producer = self.home = None
            self.zombies.clear()

        self.run(crash(), "crash")

    @rule()
    def redis_loses_everything(self) -> None:
        async def flush() -> None:
            self.amnesia = self.amnesia or bool(self.zombies)
            async with redis.asyncio.Redis.from_url(self.url) as client:
                await client.flushall()
                await client.script_flush()

        self.run(flush(), "flushall")

    @rule(number=st.integers(0, 2))
    def stop(self, number: int) -> None:
        self.run(self._index(number).hub.stop(self.stream_id), "stop", number)

    def teardown(self) -> None:
        try:
            if self.replicas:
                self.run(self._finish(), "end")
                self.scenarios.add(tuple(self.steps))
        finally:
            self.runner.run(self._close())
            self.runner.close()

    async def _finish(self) -> None:
        if self.producer is None or self.producer.fenced.is_set():
            self.epoch += 1
            self.producer = await self.replicas[0].hub.produce(self.stream_id, self.epoch)
        self.producer.append("last ")
        self.producer.end("end", COMPLETE)
        assert await self.producer.flushed(_SECONDS)
        for zombie in self.zombies:
            zombie.append("ZOMBIE")
        for number, reader in enumerate(self.readers):
            if not reader.finished:
                await reader.cut()
                reader.read(self.replicas[number % 3].hub)
        for reader in self.readers:
            if reader.task is not None:
                await reader.task
        witness = Reader(self.stream_id)
        witness.read(self.replicas[2].hub)
        assert witness.task is not None
        await witness.task
        assert witness.seen[-2:] == ["last ", "end"]
        assert self.amnesia or not any("ZOMBIE" in event for event in witness.seen)
        for reader in self.readers:
            assert reader.finished
            assert reader.seen == witness.seen
        for zombie in self.zombies:
            try:
                await self.replicas[1].hub.produce(self.stream_id, zombie.epoch)
            except FencedError:
                continue
            raise AssertionError("an old epoch has taken the log")

    async def _close(self) -> None:
        for reader in self.readers:
            await reader.cut()
        for replica in self.replicas:
            await replica.crash()


@pytest.mark.timeout(600)  # 240 scenarios on a real server, on a machine that may be busy
def test_every_reader_ends_with_the_log(valkey_server: ValkeyServer) -> None:
    class Machine(LogMachine):
        url = valkey_server.url
        scenarios: set[tuple[str, ...]] = set()  # noqa: RUF012 - of this run

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=SCENARIOS,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes; the steps are printed anyway
            suppress_health_check=list(HealthCheck),  # a scenario takes as long as its servers do
        ),
    )
    assert len(Machine.scenarios) >= DISTINCT
