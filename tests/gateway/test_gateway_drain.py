"""What becomes of streams when the gateway stops, and of readers that do not read."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.server import RunningGateway
from mesh.telemetry.metrics import REGISTRY
from tests.gateway.conftest import Gateway, ProbeSettings, gateway_factory
from tests.gateway.probe_servicer import Probe, cursor
from tests.gateway.sse_client import Event, open_stream
from tests.gateway.waiting import until


@pytest.fixture(scope="module", params=[True, False], ids=["relay", "plain"])
def settings(settings: ProbeSettings, request: pytest.FixtureRequest) -> ProbeSettings:
    return settings.model_copy(update={"relay": request.param})


@pytest.fixture(scope="module")
def gateway(settings: ProbeSettings) -> Gateway:
    return gateway_factory(settings)


@pytest.fixture(scope="module")
async def running(gateway: Gateway) -> AsyncIterator[RunningGateway]:
    async with gateway() as (_, running):
        yield running


async def read(address: str, path: str, *headers: str) -> list[Event]:
    async with open_stream(address, path, *headers) as stream:
        assert stream.status == 200
        return [event async for event in stream.events()]


def ids(events: list[Event]) -> list[str]:
    return [event.id for event in events if event.id]


def cursors(first: int, last: int) -> list[str]:
    return [cursor(number) for number in range(first, last + 1)]


async def test_streams_that_can_be_resumed_are_handed_over_without_a_word(
    gateway: Gateway, running: RunningGateway, probe: Probe
) -> None:
    await until(lambda: probe.streams == 0)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        _, stopping = await stack.enter_async_context(gateway(drain_seconds=1.0))
        path = "/probe/watch?to=200&interval_ms=20"
        readings = [tasks.create_task(read(stopping.address, path)) for _ in range(40)]
        await until(lambda: probe.streams == 40)
        left = []
        stop = tasks.create_task(stack.aclose())
        while probe.streams:
            left.append(probe.streams)
            await asyncio.sleep(0.02)
        await stop
    assert len(set(left)) > 5, "they did not end in one moment"
    retries = set()
    for reading in readings:
        events = reading.result()
        assert {event.name for event in events} == {"", "token"}
        retry = int(events[-1].others[0].removeprefix("retry: "))
        assert 500 <= retry <= 3000
        retries.add(retry)
        seen = ids(events)
        assert seen == cursors(1, len(seen))
    assert len(retries) > 10, "they do not come back in one moment"
    seen = ids(readings[0].result())
    rest = ids(await read(running.address, "/probe/watch?to=200", f"Last-Event-ID: {seen[-1]}"))
    assert seen + rest == cursors(1, 201)


async def test_however_long_draining_may_take_streams_are_handed_over_within_five_seconds(
    gateway: Gateway, probe: Probe
) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        _, stopping = await stack.enter_async_context(gateway(drain_seconds=3600))
        readings = [tasks.create_task(read(stopping.address, "/probe/watch?to=1000&interval_ms=20")) for _ in range(5)]
        await until(lambda: probe.streams == 5)
        async with asyncio.timeout(15):  # an hour is far more
            await stack.aclose()
    assert all(event.name != "failed" for reading in readings for event in reading.result())


async def test_a_stream_without_an_id_yet_gets_the_time_that_there_is(gateway: Gateway, probe: Probe) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        _, stopping = await stack.enter_async_context(gateway(drain_seconds=1.0))
        reading = tasks.create_task(read(stopping.address, "/probe/watch?to=100&interval_ms=100&wait_ms=500"))
        await until(lambda: probe.streams == 1)
        await stack.aclose()
    assert ids(reading.result()), "its reader would have had to begin anew"
    assert reading.result()[-1].others[0].startswith("retry: ")


async def test_a_reader_that_takes_nothing_does_not_hold_up_the_draining(gateway: Gateway, probe: Probe) -> None:
    async with AsyncExitStack() as stack:
        _, stopping = await stack.enter_async_context(gateway(drain_seconds=0.5))
        path = "/probe/watch?to=20000&padding=2000"
        stream = await stack.enter_async_context(open_stream(stopping.address, path, limit=2**14))
        stream.stop_reading()
        await until(lambda: probe.streams == 1)
    assert probe.streams == 0


@pytest.mark.not_through_edge("12 MB fit into the buffers of two connections")
async def test_one_reader_of_two_hundred_that_takes_nothing_is_cut_and_goes_on_where_it_was(
    gateway: Gateway, running: RunningGateway, probe: Probe
) -> None:
    await until(lambda: probe.streams == 0)
    large = "/probe/watch?to=6000&padding=2000"  # 12 MB, more than all buffers on the way
    others = "/probe/watch?to=60&interval_ms=20&padding=500"
    async with (
        gateway(stall_seconds=1.0, heartbeat_seconds=0.2) as (_, serving),
        open_stream(serving.address, large, limit=2**14) as slow,
        asyncio.TaskGroup() as tasks,
    ):
        slow.stop_reading()
        await until(lambda: probe.streams == 1)
        readings = [tasks.create_task(read(serving.address, others)) for _ in range(199)]
        for reading in readings:
            assert ids(await reading) == cursors(1, 61)
        await until(lambda: probe.streams == 0)  # it is cut off
        slow.read_on()
        events: list[Event] = []
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ValueError)):
            async for event in slow.events():
                events.append(event)
    seen = ids(events)
    assert 0 < len(seen) < 6000
    assert seen == cursors(1, len(seen))
    rest = ids(await read(running.address, large, f"Last-Event-ID: {seen[-1]}"))
    assert seen + rest == cursors(1, 6001)


async def test_a_slow_reader_gets_everything_in_order(running: RunningGateway) -> None:
    path = "/probe/watch?to=3000&padding=2000"
    events: list[Event] = []
    async with open_stream(running.address, path, limit=2**14) as stream:
        async for event in stream.events():
            events.append(event)
            if len(events) % 500 == 0:
                await asyncio.sleep(0.1)  # meanwhile all buffers fill
    assert ids(events) == cursors(1, 3001)
    assert all(event.data["content"] == f"{n}" + "x" * 2000 for n, event in enumerate(events[1:3001], 1))


async def test_events_bytes_and_connections_are_counted(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.access")

    def count(name: str) -> float:
        return REGISTRY.get_sample_value(name) or 0.0

    before = count("gaji_sse_events_total")
    async with gateway() as (_, running):
        async with open_stream(running.address, "/probe/watch?to=50&interval_ms=1") as stream:
            assert count("gaji_sse_connections") >= 1
            assert len(await stream.rest()) == 51
            received = stream.received
        await until(lambda: count("gaji_sse_connections") == 0)
    assert count("gaji_sse_events_total") == before + 51
    (line,) = (record for record in caplog.records if record.name == "gateway.access")
    assert line.__dict__["bytes"] == received > 0
