"""A store that is missing, killed, restarted, hung, or cut off in part: slower, never wrong, never for long."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.exceptions import RedisError

from mesh.client import open_channel
from mesh.errors import Aborted, MeshError, Unavailable, from_rpc_error
from mesh.redis_client import open_redis
from mesh.streams import opened
from services.cache.ports import Place, StoreUnavailableError, Wanted
from services.cache.stores.line import MOST_SCRIPTS, Line
from services.cache.stores.redis import RedisStore
from stack.embedded.valkey import ValkeyServer, prepare_valkey
from stack.logs import LogFile
from stack.ports import Ports
from stack.processes import Process
from tests.cache.conftest import OpenRoom, Room, novel_key, passages_key, refusal
from tests.cache.test_cache_near import following, gone
from tests.cache.test_cache_read_through import Work


class Valkey:
    """A server of this test's own, which it may treat badly. Keeps its data in an append-only file."""

    def __init__(self, server: ValkeyServer) -> None:
        self.url = server.url
        self._program = server.program
        self._process: Process | None = None

    async def start(self) -> None:
        self._process = await Process.start(self._program)
        await self._process.wait_ready()

    async def kill(self) -> None:
        if self._process:
            self._process.signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None

    @asynccontextmanager
    async def hung(self) -> AsyncIterator[None]:
        assert self._process
        self._process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.signal(signal.SIGCONT)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = prepare_valkey(
        tmp_path / "valkey",
        port=Ports().free(),
        secrets_dir=tmp_path / "secrets",
        log=LogFile(tmp_path / "valkey.log"),
    )
    own = Valkey(server)
    try:
        yield own
    finally:
        await own.kill()


async def command(client: Any, *words: str) -> None:
    """A command that the client has no method for."""
    await client.execute_command(*words)


async def recovered(room: Room, look: Callable[[pb.LookupResponse], bool], key: str) -> pb.LookupResponse:
    """The first answer of the kind that is looked for; until then the store may be away."""
    while True:
        try:
            found = await room.lookup(key)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
        else:
            if look(found):
                return found
        await asyncio.sleep(0.02)


async def watching(room: Room) -> "asyncio.Task[MeshError]":
    """A watch that is in place; the task's result is the error that ends it."""
    in_place = asyncio.Event()

    async def watch() -> MeshError:
        while True:
            try:
                async with opened(room.stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=60)) as messages:
                    async for _ in messages:
                        in_place.set()
            except grpc.aio.AioRpcError as error:
                if in_place.is_set():
                    return from_rpc_error(error)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    await in_place.wait()
    return task


async def test_a_cache_without_a_store_says_so_at_once_and_recovers(open_room: OpenRoom, valkey: Valkey) -> None:
    async with open_room(valkey.url) as room, open_channel(room.server.address, room.settings) as channel:
        key = novel_key()
        # Within the channel's deadline, that is: a hundred callers do not queue for a store that is not there.
        for error in await asyncio.gather(*(refusal(room.lookup(key)) for _ in range(100))):
            assert isinstance(error, Unavailable)
            assert error.reason == "CACHE_STORE_UNAVAILABLE"
        for call in (room.store(key, "lease", b"x"), room.release(key, "lease"), room.invalidate(key)):
            assert isinstance(await refusal(call), Unavailable)
        assert not (await room.stub.GetStats(pb.GetStatsRequest())).store_available
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="gaji.cache.v1.CacheService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await valkey.start()
        found = await recovered(room, lambda found: found.HasField("lease"), key)
        await room.store(key, found.lease.lease_id, b"back")
        assert (await room.lookup(key)).hit.value == b"back"
        assert (await room.stub.GetStats(pb.GetStatsRequest())).store_available


async def test_a_store_that_is_killed_and_restarted_begins_empty(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url) as room, open_room(valkey.url) as other:
        stored, leased, novel_id = novel_key(), novel_key(), str(uuid.uuid4())
        grouped = passages_key(novel_id)
        await room.put(stored, b"before")
        await room.put(grouped, b"before")
        lease = await room.lease(leased)
        ended = await watching(room)
        await valkey.kill()
        assert isinstance(await ended, Unavailable)
        assert isinstance(await refusal(room.lookup(stored)), Unavailable)
        await valkey.start()
        async with redis.asyncio.Redis.from_url(valkey.url) as client:
            assert await client.dbsize() >= 3, "the append-only file brings the old values back"
        # ... but it might as well not have brought back an invalidation, so none of them counts.
        for replica, key in ((room, stored), (other, grouped)):
            await recovered(replica, lambda found: found.HasField("lease"), key)
        assert isinstance(await refusal(other.store(leased, lease, b"of another life")), Aborted)
        assert await other.invalidate(prefixes=(f"passages:{novel_id}:",)) == 0
        (await watching(room)).cancel()


async def test_traffic_goes_on_over_a_restart(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url) as room:
        keys = [novel_key() for _ in range(10)]
        stop = asyncio.Event()
        answers = 0

        async def reader(key: str) -> None:
            nonlocal answers
            while not stop.is_set():
                try:
                    found = await room.lookup(key, wait_ms=200)
                    if found.HasField("lease"):
                        await room.store(key, found.lease.lease_id, key.encode())
                    elif found.HasField("hit"):
                        assert found.hit.value == key.encode()
                        answers += 1
                except grpc.aio.AioRpcError as error:
                    if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}:
                        raise
                await asyncio.sleep(0.005)

        async def answered(more: int) -> None:
            enough = answers + more
            while answers < enough:
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as readers:
            for key in [key for key in keys for _ in range(3)]:
                readers.create_task(reader(key))
            for _ in range(3):
                await answered(100)
                await valkey.kill()
                await asyncio.sleep(0.1)
                await valkey.start()
            await answered(100)
            stop.set()


async def test_an_invalidation_that_a_hung_store_missed_is_made_up_for(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url, redis_timeout=1) as room, open_room(valkey.url, redis_timeout=1) as other:
        novel_id = str(uuid.uuid4())
        keys = [f"novel:{novel_id}", passages_key(novel_id)]
        kept = novel_key()
        for key in (*keys, kept):
            await room.put(key, b"before the write")
        async with valkey.hung():
            error = await refusal(room.invalidate(keys[0], prefixes=(f"passages:{novel_id}:",)))
            assert isinstance(error, Unavailable)
            assert isinstance(await refusal(room.lookup(keys[0])), Unavailable)
        # The replica that owes it never shows the old value again ...
        for key in keys:
            found = await recovered(room, lambda _: True, key)
            assert not found.HasField("hit")
        # ... and neither does any other, soon after.
        await recovered(other, lambda found: not found.HasField("hit"), keys[0])
        assert (await recovered(room, lambda found: found.HasField("hit"), kept)).hit.value == b"before the write"


async def test_owed_invalidations_are_made_up_for_without_being_asked(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url, redis_timeout=1) as room, open_room(valkey.url) as other:
        key = novel_key()
        await room.put(key, b"before the write")
        async with valkey.hung():
            assert isinstance(await refusal(room.invalidate(key)), Unavailable)
        await recovered(other, lambda found: not found.HasField("hit"), key)


async def test_what_is_near_is_passed_over_while_the_store_hangs(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url) as room, following(room.channel) as near:
        key = passages_key(str(uuid.uuid4()))
        await near.read(key, Work(b"before"))
        assert near.values.get(key) == b"before"
        async with valkey.hung():
            await gone(near, key)
            assert near.values.bytes_kept > 0, "nothing was missed: it is only not known that nothing was"
        await near.followed()


async def test_without_news_waiters_look_for_themselves_and_watches_end(open_room: OpenRoom, valkey: Valkey) -> None:
    await valkey.start()
    async with open_room(valkey.url) as room, redis.asyncio.Redis.from_url(valkey.url) as client:
        ended = await watching(room)
        await command(client, "ACL", "SETUSER", "default", "-subscribe")
        key = novel_key()
        lease = await room.lease(key)
        waiting = asyncio.create_task(room.lookup(key, wait_ms=10_000))
        await asyncio.sleep(0.1)
        await command(client, "CLIENT", "KILL", "TYPE", "pubsub")
        error = await ended
        assert isinstance(error, Unavailable)
        assert "stale" in error.message
        await room.store(key, lease, b"found by looking")
        assert (await waiting).hit.value == b"found by looking"
        await command(client, "ACL", "SETUSER", "default", "+subscribe")
        (await watching(room)).cancel()


async def test_a_caller_that_leaves_while_its_lease_is_granted_does_not_keep_it(
    open_room: OpenRoom, valkey: Valkey
) -> None:
    await valkey.start()
    async with (
        open_room(valkey.url, redis_timeout=5) as room,
        redis.asyncio.Redis.from_url(valkey.url) as client,
    ):
        key = novel_key()
        await room.lookup(novel_key())
        await command(client, "CLIENT", "PAUSE", "10000", "WRITE")
        leaving = asyncio.create_task(room.lookup(key))
        await asyncio.sleep(0.2)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(0.1)
        await command(client, "CLIENT", "UNPAUSE")
        found = await room.lookup(key, wait_ms=5_000)
        assert found.HasField("lease")
        assert found.lease.ttl_ms > 9_000


async def test_scripts_that_the_server_lost_are_loaded_again(room: Room, redis_url: str) -> None:
    key = novel_key()
    await room.put(key, b"x")
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.script_flush()
    assert (await room.lookup(key)).hit.value == b"x"


async def test_a_store_that_refuses_us_counts_as_down(valkey: Valkey) -> None:
    await valkey.start()
    wrong = valkey.url.replace("@", "x@")
    async with open_redis(wrong, timeout=0.5, connections=2, name="test") as client:
        assert not await RedisStore(client, timeout=0.5).available()


async def test_nobody_waits_for_the_turn_of_others_while_the_store_hangs(valkey: Valkey) -> None:
    await valkey.start()
    async with (
        open_redis(valkey.url, timeout=0.2, connections=2, name="test") as client,
        valkey.hung(),
        asyncio.timeout(20),  # one after the other they would wait twice as long
    ):
        store = RedisStore(client, timeout=0.2)
        looking = [store.lookup_many([Wanted(Place("novel:1"), "lease", renews=False)], 1_000) for _ in range(200)]
        for error in await asyncio.gather(*looking, return_exceptions=True):
            assert isinstance(error, StoreUnavailableError)


async def test_who_waits_for_the_next_round_fails_with_the_one_that_the_store_does_not_answer(valkey: Valkey) -> None:
    await valkey.start()
    async with open_redis(valkey.url, timeout=0.5, connections=2, name="test") as client, valkey.hung():
        line = Line(client, 0.5)
        rounds = [line.evaluated([("digest", (), ())] * MOST_SCRIPTS) for _ in range(3)]
        with pytest.raises((RedisError, OSError, TimeoutError)):
            await rounds[0]
        assert all(answers.done() and answers.exception() for answers in rounds)
