"""Lookups over a stream that stands, on real sockets and a real store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc
from google.rpc import status_pb2

from mesh.breaker import Breakers, BreakerSettings
from mesh.breaker.state import State
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.errors import DeadlineExceeded, InvalidArgument, Unavailable, from_status
from mesh.read_through import CacheAbsent, CacheContended, CacheHit, CacheLease
from mesh.server import Service, open_server
from mesh.standing import MOST_AT_ONCE
from mesh.telemetry import trace
from services.cache.__main__ import serving
from services.cache.config import CacheSettings
from services.cache.lookups import MAX_LOOKUPS
from services.peers.cache import CacheClient
from tests.cache.conftest import OpenRoom, Room, make_stale, novel_key, passages_key, refusal
from tests.cache.test_cache_outages import command
from tests.fixtures.cache_process import open_cache_process
from tests.fixtures.otlp import recording
from tests.fixtures.servers import JwtKeys

LOOKUP = "gaji.cache.v1.CacheService/Lookup"
CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]


class Heard:
    """What a server has been asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.messages: list[list[str]] = []
        self.ended = asyncio.Event()
        self.left: float | None = None

    async def something(self) -> None:
        """Returns when a message has come."""
        while not self.messages:
            await asyncio.sleep(0.001)


class Recording(rpc.CacheServiceServicer):
    """Finds the key itself as the value of each key, but of one that holds its answer back."""

    def __init__(self, heard: Heard, held: asyncio.Event | None = None) -> None:
        self._heard = heard
        self._held = held

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:  # noqa: N802 - the contract's name
        self._heard.calls.append(request.key)
        return pb.LookupResponse(hit=pb.Hit(value=request.key.encode(), ttl_ms=10, fresh_ms=10))

    async def LookupMany(  # noqa: N802 - the contract's name
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[pb.LookupManyResponse]:
        self._heard.left = context.time_remaining()
        try:
            async for request in request_iterator:
                self._heard.messages.append([one.key for one in request.lookups])
                if self._held is not None:
                    await self._held.wait()
                found = [
                    pb.NumberedResult(number=one.number, found=pb.LookupResponse(hit=pb.Hit(value=one.key.encode())))
                    for one in reversed(request.lookups)
                ]
                # Some are told twice, and something that nobody has asked.
                half = len(found) // 2
                yield pb.LookupManyResponse(results=found[:half])
                yield pb.LookupManyResponse(results=[*found, pb.NumberedResult(number=10**9, found=found[0].found)])
        finally:
            self._heard.ended.set()


@asynccontextmanager
async def listening(held: asyncio.Event | None = None) -> AsyncIterator[tuple[Heard, CacheClient]]:
    heard, settings = Heard(), MeshSettings(drain_seconds=0.1)
    servicer = Recording(heard, held)  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(CACHE, servicer, rpc.add_CacheServiceServicer_to_server)
    async with (
        open_server(settings, [service], name="test") as server,
        open_channel(server.address, settings, [CACHE]) as channel,
    ):
        client = CacheClient(channel)
        await client.lookup("first", 0, 30)
        yield heard, client
        await client.close()


async def values(client: CacheClient, keys: list[str], timeout: float = 30.0) -> list[Any]:
    found = await asyncio.gather(*(client.lookup(key, 0, timeout) for key in keys))
    return [one.value if isinstance(one, CacheHit) else one for one in found]


async def test_the_first_is_a_call_and_what_follows_shares_messages() -> None:
    async with listening() as (heard, client):
        keys = [f"k{number}" for number in range(1000)]
        assert await values(client, keys) == [key.encode() for key in keys]
        assert heard.calls == ["first"]
        assert sorted(key for message in heard.messages for key in message) == sorted(keys)
        assert len(heard.messages) <= 5
        assert max(map(len, heard.messages)) == MOST_AT_ONCE <= MAX_LOOKUPS


async def test_what_is_asked_meanwhile_goes_together() -> None:
    held = asyncio.Event()
    async with listening(held) as (heard, client):
        first = asyncio.create_task(client.lookup("a", 0, 30))
        await heard.something()
        others = [asyncio.create_task(client.lookup(key, 0, 30)) for key in "bcd"]
        await asyncio.sleep(0.01)
        others.pop(1).cancel()  # nobody waits for it any more: it is not asked
        held.set()
        await asyncio.gather(first, *others)
        assert heard.messages == [["a"], ["b", "d"]]


async def test_the_stream_has_a_deadline() -> None:
    async with listening() as (heard, client):
        await client.lookup("a", 0, 30)
        assert heard.left is not None
        assert 3_500 < heard.left <= 3_600 * 1.02


async def test_a_lookup_that_waits_is_a_call_of_its_own() -> None:
    async with listening() as (heard, client):
        await client.lookup("a", 1_000, 30)
        assert (heard.calls, heard.messages) == (["first", "a"], [])


async def test_after_a_late_answer_calls_are_made_and_what_is_under_way_may_be_answered_yet() -> None:
    held = asyncio.Event()
    async with listening(held) as (heard, client):
        patient = asyncio.create_task(client.lookup("patient", 0, 30))
        await heard.something()
        with pytest.raises(DeadlineExceeded) as caught:
            await client.lookup("hasty", 0, 0.05)
        assert caught.value.reason == "CACHE_TOO_SLOW"
        assert isinstance(await client.lookup("next", 0, 30), CacheHit)
        assert heard.calls == ["first", "next"]
        held.set()
        assert isinstance(await patient, CacheHit)
        assert heard.messages == [["patient"]]


async def test_a_broken_stream_fails_what_was_on_its_way_and_nothing_else() -> None:
    heard, settings = Heard(), MeshSettings(drain_seconds=0)
    servicer = Recording(heard, asyncio.Event())  # type: ignore[abstract]  # the rest stays unimplemented
    service = Service(CACHE, servicer, rpc.add_CacheServiceServicer_to_server)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(settings, [service], name="test"))
        async with open_channel(server.address, settings, [CACHE]) as channel:
            client = CacheClient(channel)
            await client.lookup("first", 0, 30)
            on_its_way = asyncio.create_task(client.lookup("a", 0, 30))
            await heard.something()
            queued = asyncio.create_task(client.lookup("b", 0, 30))
            await asyncio.sleep(0)
            await stack.aclose()
            for task in (on_its_way, queued):
                with pytest.raises(Unavailable) as caught:
                    await task
                assert caught.value.reason == "CACHE_UNAVAILABLE"
            assert heard.messages == [["a"]]
            await client.close()


async def test_a_peer_of_an_earlier_release_is_asked_by_calls() -> None:
    heard, settings = Heard(), MeshSettings()
    answering = Recording(heard)  # type: ignore[abstract]  # the rest is not offered
    answer: Any = answering.Lookup  # the stubs type handlers as of the synchronous server
    lookup = grpc.unary_unary_rpc_method_handler(
        answer, pb.LookupRequest.FromString, pb.LookupResponse.SerializeToString
    )
    offered = grpc.method_handlers_generic_handler(CACHE.full_name, {"Lookup": lookup})
    service = Service(CACHE, answering, lambda _, server: server.add_generic_rpc_handlers((offered,)))
    async with (
        open_server(settings, [service], name="test") as server,
        open_channel(server.address, settings, [CACHE]) as channel,
    ):
        client = CacheClient(channel)
        for key in "abcd":
            assert await values(client, [key]) == [key.encode()]
        assert heard.calls == ["a", "b", "c", "d"]


@pytest.fixture
async def client(room: Room) -> AsyncIterator[CacheClient]:
    """With a stream that stands."""
    made = CacheClient(room.channel)
    await made.lookup(novel_key(), 0, 5)
    yield made
    await made.close()


async def test_every_result_comes_to_whom_it_is_for(room: Room, client: CacheClient, redis_url: str) -> None:
    present, missing = [novel_key() for _ in range(40)], [passages_key(novel_key()[6:]) for _ in range(40)]
    for number, key in enumerate(present):
        await room.put(key, b"%d" % number)
    absent, stale, held = novel_key(), novel_key(), novel_key()
    await room.store_absent(absent, await room.lease(absent))
    await room.put(stale, b"old")
    await make_stale(redis_url, stale)
    await room.lease(held)
    wanted = [*present, *missing, absent, stale, held]
    bad = asyncio.gather(*(client.lookup(key, 0, 30) for key in ("conversation:1", "novel:x")), return_exceptions=True)
    found = dict(zip(wanted, await asyncio.gather(*(client.lookup(key, 0, 30) for key in wanted)), strict=True))
    assert [found[key].value for key in present] == [b"%d" % number for number in range(40)]  # type: ignore[union-attr]  # hits
    leases = {found[key].lease_id for key in missing}  # type: ignore[union-attr]  # leases
    assert len(leases) == 40
    assert isinstance(found[absent], CacheAbsent)
    assert isinstance(found[held], CacheContended)
    old = found[stale]
    assert isinstance(old, CacheHit)
    assert (old.value, old.fresh_seconds) == (b"old", 0)
    assert old.renewal is not None
    for error, words in zip(await bad, ("never cached", "with a UUID"), strict=True):
        assert isinstance(error, InvalidArgument)
        assert words in error.fields["key"]


async def test_values_that_fill_no_message(room: Room, client: CacheClient) -> None:
    keys = [novel_key() for _ in range(30)]
    for number, key in enumerate(keys):
        await room.put(key, b"%02d" % number * (512 * 1024))  # 30 MiB, where a message may have 24
    assert [value[:2] for value in await values(client, keys)] == [b"%02d" % number for number in range(30)]


async def test_counts_are_those_of_calls(room: Room, client: CacheClient) -> None:
    key = novel_key()
    await room.put(key, b"x")
    before = await room.stats("novel")
    await values(client, [key] * 3)
    after = await room.stats("novel")
    assert (after.hits - before.hits, after.misses - before.misses) == (3, 0)
    assert 'gaji_cache_lookups_total{kind="novel",result="hit"}' in await room.metrics()


async def test_a_lease_that_nobody_waits_for_any_more_is_given_back(
    room: Room, client: CacheClient, redis_url: str
) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as store:
        await command(store, "CLIENT", "PAUSE", "10000", "WRITE")
        key = novel_key()
        leaving = asyncio.create_task(client.lookup(key, 0, 30))
        staying = asyncio.create_task(client.lookup(novel_key(), 0, 30))
        await asyncio.sleep(0.2)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await command(store, "CLIENT", "UNPAUSE")
        assert isinstance(await staying, CacheLease)
        assert (await room.lookup(key, wait_ms=5_000)).HasField("lease")


async def test_a_stream_that_is_cut_off_gives_its_leases_back(room: Room, redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as store:
        await room.lookup(novel_key())
        await command(store, "CLIENT", "PAUSE", "10000", "WRITE")
        keys = [novel_key(), novel_key()]
        call = room.stub.LookupMany(timeout=30)
        lookups = [pb.NumberedLookup(number=number, key=key) for number, key in enumerate(keys, 1)]
        await call.write(pb.LookupManyRequest(lookups=lookups))
        await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.sleep(0.1)
        await command(store, "CLIENT", "UNPAUSE")
        for key in keys:
            assert (await room.lookup(key, wait_ms=5_000)).HasField("lease")


async def test_a_store_that_is_down_is_told_of_each(open_room: OpenRoom, server_folder: Path) -> None:
    async with open_room(f"unix://{server_folder}/nobody.sock", redis_timeout=0.3) as room:
        call = room.stub.LookupMany(timeout=30)
        lookups = [pb.NumberedLookup(number=number, key=novel_key()) for number in (1, 2)]
        await call.write(pb.LookupManyRequest(lookups=lookups))
        response: Any = await call.read()
        assert [result.number for result in response.results] == [1, 2]
        for result in response.results:
            error = from_status(status_pb2.Status.FromString(result.status))
            assert isinstance(error, Unavailable)
            assert error.reason == "CACHE_STORE_UNAVAILABLE"
        call.cancel()


@pytest.mark.parametrize("count", [0, MAX_LOOKUPS + 1])
async def test_the_number_of_lookups_in_a_message(room: Room, count: int) -> None:
    call = room.stub.LookupMany(timeout=30)
    await call.write(pb.LookupManyRequest(lookups=[pb.NumberedLookup(key=novel_key())] * count))
    error = await refusal(call.read())
    assert isinstance(error, InvalidArgument)
    assert "from 1 to 256" in error.fields["lookups"]


async def test_what_is_no_request_is_the_callers_mistake(room: Room) -> None:
    call: Any = room.channel.stream_stream("/gaji.cache.v1.CacheService/LookupMany")(timeout=30)
    await call.write(b"\xff\xff\xff")
    error = await refusal(call.read())
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_a_replica_that_stops_ends_the_stream_at_once_and_another_is_asked(redis_url: str) -> None:
    settings = CacheSettings(
        listen="127.0.0.1:0", admin_listen="127.0.0.1:0", redis_url=redis_url, redis_timeout=5, drain_seconds=60
    )
    async with serving(settings) as staying:
        context = serving(settings)
        going = await context.__aenter__()
        async with open_channel(f"{going.address},{staying.address}", settings, [CACHE]) as channel:
            await channel.channel_ready()
            client, key = CacheClient(channel), novel_key()
            for _ in range(4):
                await client.lookup(key, 0, 30)
            async with asyncio.timeout(settings.drain_seconds):  # which it would wait for the stream
                await context.__aexit__(None, None, None)
            for _ in range(4):
                assert isinstance(await client.lookup(key, 0, 30), CacheContended | CacheLease)
            await client.close()


async def test_a_cache_that_freezes_with_its_stream_opens_its_circuit_and_is_used_again(
    server_folder: Path, redis_url: str, jwt_keys: JwtKeys
) -> None:
    settings = MeshSettings(breaker_window=4, breaker_minimum_calls=4, breaker_open_seconds=0.2)
    breakers = Breakers(BreakerSettings.of(settings))
    async with (
        open_cache_process(server_folder, redis_url, jwt_keys.public) as cache,
        open_channel(cache.address, settings, [CACHE], gate=breakers.before(CACHE)) as channel,
    ):
        client, key = CacheClient(channel), novel_key()
        for _ in range(3):
            await client.lookup(key, 0, 30)
        cache.freeze()
        state: Callable[[], State] = lambda: breakers.breaker("cache", "CacheService/unary").state  # noqa: E731 - a name
        for _ in range(6):
            with pytest.raises((DeadlineExceeded, Unavailable)):
                await client.lookup(key, 0, 0.1)
        assert state() is State.OPEN
        cache.thaw()
        async with asyncio.timeout(10):
            while True:
                try:
                    found = await client.lookup(key, 0, 30)
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        assert isinstance(found, CacheContended | CacheLease)
        await client.close()


async def test_a_traced_lookup_has_its_spans_on_both_sides(room: Room, client: CacheClient) -> None:
    key = novel_key()
    await room.put(key, b"x")
    with recording(1.0) as recorder:
        context = trace.enter("r-1", None, name="a test")
        assert await values(client, [key, key]) == [b"x", b"x"]
        trace.enter()  # what follows is another's
        assert await values(client, [key]) == [b"x"]
    spans = recorder.ended(context.trace_id)
    clients = [span for span in spans if span.name == LOOKUP and span.kind == "CLIENT"]
    servers = [span for span in spans if span.name == LOOKUP and span.kind == "SERVER"]
    assert len(clients) == len(servers) == 2
    assert {span.parent_id for span in servers} == {span.span_id for span in clients}
    assert {span.attributes["gaji.request_id"] for span in servers} == {"r-1"}
    asked = [span for span in spans if span.name == "redis cache.lookup"]
    assert {span.parent_id for span in asked} == {span.span_id for span in servers}
