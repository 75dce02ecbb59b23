"""Reading through the real cache, through one in trouble, and through none."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc
import pytest

from mesh import deadlines, errors
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.read_through import CachePort, Found, ReadThrough
from services.peers.cache import CacheClient
from tests.cache.conftest import Room, novel_key


class Client(CacheClient):
    """The port of a room; counts its lookups."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.lookups = 0

    async def lookup(self, key: str, wait_ms: int, timeout: float) -> Found:
        self.lookups += 1
        return await super().lookup(key, wait_ms, timeout)


class Work:
    """A computation that the test holds in its hands."""

    def __init__(self, value: bytes = b"computed", *, held: bool = False) -> None:
        self.runs = 0
        self.cancelled = 0
        self.error: Exception | None = None
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self._value = value
        if not held:
            self.go.set()

    async def __call__(self) -> bytes:
        self.runs += 1
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return self._value


@pytest.fixture
def client(room: Room) -> Client:
    return Client(room.channel)


def reader(client: CachePort, *, wait: float = 5.0) -> ReadThrough:
    """Patient, so that a slow machine is not taken for a dead cache."""
    return ReadThrough(client, wait=wait, patience=5.0)


async def test_computed_once_then_found(client: Client) -> None:
    through, key, work = reader(client), novel_key(), Work()
    assert [await through.get(key, work) for _ in range(3)] == [b"computed"] * 3
    assert work.runs == 1


async def test_equal_keys_share_one_flight(client: Client) -> None:
    through, key, work = reader(client), novel_key(), Work(held=True)
    callers = [asyncio.create_task(through.get(key, work)) for _ in range(100)]
    await work.began.wait()
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {b"computed"}
    assert (work.runs, client.lookups) == (1, 1)


async def test_processes_share_one_computation(room: Room) -> None:
    key, work = novel_key(), Work(held=True)
    processes = [reader(Client(room.channel), wait=9.0) for _ in range(10)]
    callers = [asyncio.create_task(through.get(key, work)) for through in processes for _ in range(10)]
    await work.began.wait()
    await asyncio.sleep(0.1)
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {b"computed"}
    assert work.runs == 1


async def test_who_has_waited_long_enough_computes_without_storing(client: Client, room: Room) -> None:
    key = novel_key()
    lease = await room.lease(key)
    assert await reader(client, wait=0.05).get(key, Work(b"mine")) == b"mine"
    await room.store(key, lease, b"theirs")
    assert (await room.lookup(key)).hit.value == b"theirs"


async def test_a_failure_is_everybodys_and_gives_the_lease_back(client: Client, room: Room) -> None:
    through, key, work = reader(client), novel_key(), Work(held=True)
    work.error = errors.NotFound("there is no such novel")
    callers = [asyncio.create_task(through.get(key, work)) for _ in range(5)]
    await work.began.wait()
    work.go.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert results == [work.error] * 5
    assert work.runs == 1
    await room.lease(key)


async def test_a_leader_that_leaves_does_not_fail_its_followers(client: Client, room: Room) -> None:
    through, key, work = reader(client), novel_key(), Work(held=True)
    leader = asyncio.create_task(through.get(key, work))
    await work.began.wait()
    followers = [asyncio.create_task(through.get(key, work)) for _ in range(3)]
    await asyncio.sleep(0)
    leader.cancel()
    assert isinstance((await asyncio.gather(leader, return_exceptions=True))[0], asyncio.CancelledError)
    work.go.set()
    assert await asyncio.gather(*followers) == [b"computed"] * 3
    assert (work.runs, work.cancelled) == (1, 0)
    assert (await room.lookup(key)).hit.value == b"computed"


async def test_when_the_last_caller_leaves_the_work_stops_and_the_lease_is_given_back(
    client: Client, room: Room
) -> None:
    through, key, work = reader(client), novel_key(), Work(held=True)
    callers = [asyncio.create_task(through.get(key, work)) for _ in range(3)]
    await work.began.wait()
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    # Nobody boards the flight that is being cancelled: this is a new one.
    assert await through.get(key, Work(b"anew")) == b"anew"
    assert work.cancelled == 1
    assert (await room.lookup(key, wait_ms=5_000)).WhichOneof("result") in {"lease", "hit"}


@pytest.mark.parametrize("error", [errors.DeadlineExceeded, errors.Cancelled, errors.PermissionDenied])
async def test_a_leader_that_lacked_time_or_rights_fails_alone(client: Client, error: type[errors.MeshError]) -> None:
    through, key, poor, rich = reader(client), novel_key(), Work(held=True), Work()
    poor.error = error("not for you")
    leader = asyncio.create_task(through.get(key, poor))
    await poor.began.wait()
    followers = [asyncio.create_task(through.get(key, rich)) for _ in range(3)]
    await asyncio.sleep(0)
    poor.go.set()
    with pytest.raises(error):
        await leader
    assert await asyncio.gather(*followers) == [b"computed"] * 3
    assert (poor.runs, rich.runs) == (1, 1)


async def test_a_write_in_between_keeps_the_value_out_of_the_cache(client: Client, room: Room) -> None:
    through, key, work = reader(client), novel_key(), Work(b"before the write", held=True)
    reading = asyncio.create_task(through.get(key, work))
    await work.began.wait()
    await room.invalidate(key)
    through.forget(key)
    # Whoever asks after the write does not get what was read before it, though that is still on its way.
    assert await through.get(key, Work(b"after the write")) == b"after the write"
    work.go.set()
    assert await reading == b"before the write"
    assert (await room.lookup(key)).hit.value == b"after the write"


async def test_forgetting_by_prefix_leaves_others_on_their_way(client: Client) -> None:
    through, mine, other = reader(client), f"passages:{uuid.uuid4()}:{'a' * 32}:5", novel_key()
    works = {mine: Work(held=True), other: Work(held=True)}
    callers = [asyncio.create_task(through.get(key, work)) for key, work in works.items()]
    for work in works.values():
        await work.began.wait()
    through.forget(prefixes=[mine.rpartition(":")[0]])
    late = Work()
    callers += [asyncio.create_task(through.get(key, late)) for key in works]
    for work in works.values():
        work.go.set()
    assert await asyncio.gather(*callers) == [b"computed"] * 4
    assert works[other].runs == 1


async def test_a_value_too_large_to_keep_is_returned_and_blocks_nobody(client: Client, room: Room) -> None:
    through, key = reader(client), novel_key()
    large = bytes(1024 * 1024 + 1)
    assert await through.get(key, Work(large)) == large
    await room.lease(key)


async def test_a_key_that_the_cache_refuses_does_not_count_as_trouble(client: Client) -> None:
    through, work = reader(client), Work()
    assert await through.get("conversation:1", work) == b"computed"
    key = novel_key()
    for _ in range(2):
        assert await through.get(key, work) == b"computed"
    assert work.runs == 2


async def test_a_lease_is_given_back_even_by_a_call_that_is_out_of_time(client: Client, room: Room) -> None:
    through, key, work = reader(client), novel_key(), Work(held=True)
    work.error = ValueError("no")
    with deadlines.scope(0.2):
        reading = asyncio.create_task(through.get(key, work))
        await work.began.wait()
        await asyncio.sleep(0.25)
        work.go.set()
        with pytest.raises(ValueError, match="no"):
            await reading
    await room.lease(key)


async def test_who_has_little_time_does_not_spend_it_on_waiting(client: Client, room: Room) -> None:
    key = novel_key()
    await room.lease(key)
    with deadlines.scope(1.0):
        async with asyncio.timeout(1.0):
            assert await reader(client, wait=9.0).get(key, Work()) == b"computed"


@asynccontextmanager
async def silent_port() -> AsyncIterator[str]:
    """Takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def closed_port() -> AsyncIterator[str]:
    """Takes no connections."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    yield f"127.0.0.1:{port}"


@pytest.mark.parametrize("address", [silent_port, closed_port])
async def test_without_a_cache_values_are_computed_and_it_is_hardly_asked(
    address: Callable[[], AbstractAsyncContextManager[str]],
) -> None:
    work = Work()
    async with address() as target, open_channel(target, MeshSettings()) as channel:
        client = Client(channel)
        through = ReadThrough(client, wait=0.05, patience=0.05, pause=60)
        for _ in range(50):
            assert await through.get(novel_key(), work) == b"computed"
        assert (work.runs, client.lookups) == (50, 1)


async def test_a_cache_that_comes_back_is_used_again(room: Room) -> None:
    class Flaky(Client):
        down = True

        async def lookup(self, key: str, wait_ms: int, timeout: float) -> Found:
            if self.down:
                self.lookups += 1
                raise errors.Unavailable("no cache")
            return await super().lookup(key, wait_ms, timeout)

    client, key, work = Flaky(room.channel), novel_key(), Work()
    through = ReadThrough(client, patience=5.0, pause=0.05)
    await through.get(key, work)
    await through.get(key, work)
    assert (work.runs, client.lookups) == (2, 1)
    client.down = False
    await asyncio.sleep(0.06)
    await through.get(key, work)
    await through.get(key, work)
    assert (work.runs, client.lookups) == (3, 3)


async def test_a_lost_lease_is_no_trouble_of_the_cache(room: Room) -> None:
    through = ReadThrough(Client(room.channel), patience=5.0, pause=60)
    key, work = novel_key(), Work(held=True)
    reading = asyncio.create_task(through.get(key, work))
    await work.began.wait()
    await room.invalidate(key)  # the lease is lost: the value is not stored, and nothing is wrong with the cache
    work.go.set()
    assert await reading == b"computed"
    assert await through.get(key, Work(b"stored")) == b"stored"
    assert (await room.lookup(key)).hit.value == b"stored"
