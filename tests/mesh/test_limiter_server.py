"""The limit around real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import grpc
import httpx
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh import errors, limiter, priority
from mesh.config import MeshSettings
from mesh.interceptors.limit import OVERLOADED, limited
from mesh.interceptors.pipeline import Call
from mesh.limiter.metrics import LIMIT
from mesh.relay import RelayClient
from tests.mesh.conftest import Serve, code_of

ONE = {"limit_initial": 1, "limit_min": 1, "limit_max": 1}


class House:
    """A handler whose calls stay until they are let go."""

    def __init__(self) -> None:
        self.inside = 0
        self.priorities: list[str] = []
        self.open = asyncio.Event()

    async def lookup(self, request: pb.LookupRequest) -> pb.LookupResponse:
        self.inside += 1
        self.priorities.append(priority.current())
        if request.key == "waits":
            limiter.waits()
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return pb.LookupResponse(hit=pb.Hit(value=b"yes"))

    async def full(self, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.inside < count:
                await asyncio.sleep(0.005)


async def refused(call: Any) -> errors.MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return errors.from_rpc_error(caught.value)


async def test_a_call_too_many_is_told_when_to_come_back(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, **ONE) as (_, stub):
        first = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await house.full()
        error = await refused(stub.Lookup(pb.LookupRequest(key="k")))
        assert isinstance(error, errors.ResourceExhausted)
        assert error.reason == OVERLOADED
        assert error.retryable
        assert error.retry_after is not None
        assert 0.4 < error.retry_after < 2.1
        house.open.set()
        assert (await first).hit.value == b"yes"
        assert (await stub.Lookup(pb.LookupRequest(key="k"))).hit.value == b"yes"


async def test_times_to_come_back_differ(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, **ONE) as (_, stub):
        first = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await house.full()
        found = {(await refused(stub.Lookup(pb.LookupRequest(key="k")))).retry_after for _ in range(20)}
        assert len(found) > 3
        house.open.set()
        await first


async def test_background_work_has_its_share_and_no_more(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, limit_initial=10, limit_min=10, limit_max=10) as (_, stub):
        readers = [asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k"))) for _ in range(10)]
        await house.full(10)
        batch = ((priority.KEY, priority.BATCH),)
        first = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k"), metadata=batch))
        await house.full(11)
        assert (await refused(stub.Lookup(pb.LookupRequest(key="k"), metadata=batch))).reason == OVERLOADED
        assert (await refused(stub.Lookup(pb.LookupRequest(key="k")))).reason == OVERLOADED
        assert sorted(house.priorities) == [priority.BATCH, *[priority.INTERACTIVE] * 10]
        house.open.set()
        await asyncio.gather(first, *readers)


async def test_the_priority_goes_from_hop_to_hop(serve: Serve) -> None:
    house = House()
    house.open.set()
    async with serve(lookup=house.lookup) as (_, far):

        async def near(request: pb.LookupRequest) -> pb.LookupResponse:
            response: pb.LookupResponse = await far.Lookup(request)
            return response

        async with serve(lookup=near) as (_, stub):
            await stub.Lookup(pb.LookupRequest(key="k"), metadata=((priority.KEY, priority.BATCH),))
            await stub.Lookup(pb.LookupRequest(key="k"))
    assert house.priorities == [priority.BATCH, priority.INTERACTIVE]


async def test_health_is_answered_and_so_is_the_relay_opened(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, **ONE) as (server, stub):
        first = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await house.full()
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub_of_health: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub_of_health.Check(health_pb2.HealthCheckRequest(), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            relay = RelayClient(channel)
            call = relay.open("/gaji.cache.v1.CacheService/WatchInvalidations", b"", metadata={}, timeout=20)
            with pytest.raises(errors.ResourceExhausted) as caught:  # the carrier runs, what it carries is counted
                await anext(aiter(call))
            assert caught.value.reason == OVERLOADED
            assert relay.offered
            await relay.close()
        house.open.set()
        await first


async def test_a_stream_holds_its_permit_to_its_first_message(serve: Serve) -> None:
    begun, house = asyncio.Event(), House()
    house.open.set()

    async def watch(_: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        house.inside += 1
        await begun.wait()
        yield pb.WatchInvalidationsResponse(sequence=1)
        await asyncio.Event().wait()

    async with serve(lookup=house.lookup, watch=watch, **ONE) as (_, stub):
        stream = stub.WatchInvalidations(pb.WatchInvalidationsRequest())
        reading = asyncio.ensure_future(stream.read())
        await house.full()
        assert (await refused(stub.Lookup(pb.LookupRequest(key="k")))).reason == OVERLOADED
        begun.set()
        assert (await reading).sequence == 1
        async with asyncio.timeout(20):
            while True:
                with suppress(grpc.aio.AioRpcError):  # its message is here before its server knows
                    assert (await stub.Lookup(pb.LookupRequest(key="k"))).hit.value == b"yes"
                    break
        stream.cancel()


async def test_a_call_that_only_waits_gives_its_permit_back(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, **ONE) as (_, stub):
        waiting = [asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="waits"))) for _ in range(1)]
        await house.full()
        waiting.append(asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="waits"))))
        await house.full(2)
        house.open.set()
        await asyncio.gather(*waiting)


async def test_permits_come_back_however_a_call_ends(serve: Serve) -> None:
    house = House()

    async def lookup(request: pb.LookupRequest) -> pb.LookupResponse:
        if request.key == "bad":
            raise errors.NotFound("no such key")
        if request.key == "broken":
            raise KeyError
        return await house.lookup(request)

    async with serve(lookup=lookup, **ONE) as (_, stub):
        assert await code_of(stub.Lookup(pb.LookupRequest(key="bad"))) is grpc.StatusCode.NOT_FOUND
        assert await code_of(stub.Lookup(pb.LookupRequest(key="broken"))) is grpc.StatusCode.INTERNAL
        late = stub.Lookup(pb.LookupRequest(key="k"), timeout=0.2)
        assert await code_of(late) is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(20):
            while house.inside:  # the server hears of it a moment later
                await asyncio.sleep(0.005)
        leaving = stub.Lookup(pb.LookupRequest(key="k"))
        await house.full()
        leaving.cancel()
        async with asyncio.timeout(20):
            while house.inside:
                await asyncio.sleep(0.005)
        house.open.set()
        assert (await stub.Lookup(pb.LookupRequest(key="k"))).hit.value == b"yes"


async def test_it_can_be_switched_off(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, limit=False, **ONE) as (_, stub):
        calls = [asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k"))) for _ in range(5)]
        await house.full(5)
        house.open.set()
        await asyncio.gather(*calls)


LOOKUP = 'grpc_method="gaji.cache.v1.CacheService/Lookup"'


async def test_refusals_are_counted(serve: Serve) -> None:
    house = House()
    async with serve(lookup=house.lookup, **ONE) as (server, stub):
        first = asyncio.ensure_future(stub.Lookup(pb.LookupRequest(key="k")))
        await house.full()
        async with httpx.AsyncClient(trust_env=False) as http:
            before = await _counts(http, server.admin_address)
            await refused(stub.Lookup(pb.LookupRequest(key="k")))
            after = await _counts(http, server.admin_address)
        assert before["gaji_limit"] == 1
        assert after['gaji_limit_in_flight{partition="interactive"}'] == 1
        for name in (
            'gaji_limit_shed_total{partition="interactive"}',
            f'grpc_server_call_duration_seconds_count{{{LOOKUP},grpc_status="RESOURCE_EXHAUSTED"}}',
        ):
            assert after[name] == before.get(name, 0) + 1
        house.open.set()
        await first


async def _counts(http: httpx.AsyncClient, address: str) -> dict[str, float]:
    text = (await http.get(f"http://{address}/metrics")).text
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


@pytest.mark.parametrize(
    ("error", "sampled"),
    [(None, True), (errors.NotFound("no"), False), (asyncio.CancelledError(), False), (KeyError(), False)],
    ids=["well", "mistake", "left", "bug"],
)
def test_only_calls_that_end_well_say_how_busy_it_is(
    settings: MeshSettings, error: BaseException | None, *, sampled: bool
) -> None:
    """Calls that take ever longer; the limit is in the gauge."""
    now = 0.0
    around = limited(settings.model_copy(update={"limit_initial": 20, "limit_min": 1}), lambda: now)
    for step in range(100):
        contexts = [around(Call("/a.B/C", {}, None, streaming=False)) for _ in range(15)]
        taken = [context for context in contexts if _entered(context)]
        now += 0.03 * 1.1**step
        for context in taken:
            with suppress(type(error) if error else ValueError):
                context.__exit__(type(error) if error else None, error, None)
    assert (_limit() < 20) is sampled


def _entered(context: AbstractContextManager[None]) -> bool:
    try:
        context.__enter__()
    except errors.ResourceExhausted:
        return False
    return True


def _limit() -> float:
    return float(next(iter(LIMIT.collect())).samples[0].value)
