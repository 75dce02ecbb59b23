import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from gateway.server import RunningGateway
from tests.gateway.conftest import Gateway, ProbeSettings, error_of, gateway_factory, open_client
from tests.gateway.probe_servicer import Probe
from tests.gateway.sse_client import Event, open_stream
from tests.gateway.waiting import until


@pytest.fixture(scope="module", params=[True, False], ids=["relay", "plain"])
def settings(settings: ProbeSettings, request: pytest.FixtureRequest) -> ProbeSettings:
    """Every test here runs over the shared stream and over calls of its own."""
    return settings.model_copy(update={"relay": request.param})


@pytest.fixture(scope="module")
def gateway(settings: ProbeSettings) -> Gateway:
    return gateway_factory(settings)


@pytest.fixture(scope="module")
async def running(gateway: Gateway) -> AsyncIterator[RunningGateway]:
    async with gateway() as (_, running):
        yield running


async def test_arms_become_events_with_data_and_id(running: RunningGateway) -> None:
    async with open_stream(running.address, "/probe/count?to=2") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["x-request-id"]
        events = [event async for event in stream.events()]
    assert events == [
        Event(others=["retry: 2000"]),
        Event("token", {"content": "1"}, "1"),
        Event("token", {"content": "2"}, "2"),
        Event("complete", {"name": "end", "size": "2"}, "3"),
    ]


async def test_post_streams_as_well(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/count", json={"to": 1})
    assert answer.text.count("event: ") == 2


async def test_a_bad_request_is_an_http_error(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/count?to=many")
    assert answer.status_code == 400
    assert "to" in error_of(answer)["fields"]


async def test_a_status_before_the_first_event_is_an_http_error(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/count?fail_with=5")
    assert answer.status_code == 404
    assert error_of(answer) == {
        "code": "NOT_FOUND",
        "reason": "PROBE",
        "message": "it went wrong",
        "fields": {"code": "is bad"},
    }


async def test_a_status_after_the_first_event_is_an_event(running: RunningGateway) -> None:
    async with open_stream(running.address, "/probe/count?to=1&fail_with=14") as stream:
        assert stream.status == 200
        events = [event async for event in stream.events()]
    assert [event.name for event in events] == ["", "token", "failed"]
    assert events[-1].id == "", "nobody resumes after an error"
    assert events[-1].data == {
        "code": "UNAVAILABLE",
        "reason": "PROBE",
        "message": "it went wrong",
        "retryable": True,
    }


async def test_headers_do_not_wait_for_a_slow_first_event(gateway: Gateway) -> None:
    async with gateway(first_event_seconds=0.1) as (_, running):
        async with open_stream(running.address, "/probe/count?to=1&wait_ms=1500") as stream:
            assert stream.status == 200
            events = stream.events()
            assert await anext(events) == Event(others=["retry: 2000"])
            assert (await anext(events)).name == "token"
        async with open_stream(running.address, "/probe/count?wait_ms=300&fail_with=7") as stream:
            names = [(event.name, event.data) async for event in stream.events()]
            assert names[-1][0] == "failed"
            assert names[-1][1]["code"] == "PERMISSION_DENIED"
            assert names[-1][1]["retryable"] is False


async def test_events_come_one_by_one_as_they_are_made(running: RunningGateway) -> None:
    async with open_stream(running.address, "/probe/count?to=5&interval_ms=60") as stream:
        times = [time.monotonic() async for event in stream.events() if event.name == "token"]
    assert times[-1] - times[0] > 0.15, "they did not come at once"


async def test_silence_is_broken_by_comments(gateway: Gateway) -> None:
    async with gateway(heartbeat_seconds=0.05) as (_, running):
        async with open_stream(running.address, "/probe/count?to=2&interval_ms=500") as stream:
            blocks = [event async for event in stream.events()]
    comments = [block for block in blocks if block.others == [":"]]
    assert len(comments) >= 4
    assert [block.name for block in blocks if block.name] == ["token", "token", "complete"]


async def test_a_heartbeat_comes_before_any_event_too(gateway: Gateway) -> None:
    async with gateway(heartbeat_seconds=0.05, first_event_seconds=0.05) as (_, running):
        async with open_stream(running.address, "/probe/count?to=1&wait_ms=600") as stream:
            blocks = [event async for event in stream.events()]
    assert blocks[1].others == [":"]


@pytest.mark.parametrize("path", ["/probe/count?to=1000&interval_ms=20", "/probe/count?to=9&wait_ms=15000"])
async def test_a_reader_who_leaves_frees_the_call_at_once(running: RunningGateway, probe: Probe, path: str) -> None:
    await until(lambda: probe.streams == 0, 5)
    host, _, port = running.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: probe.streams == 1, 5)
    writer.transport.abort()
    await until(lambda: probe.streams == 0, 5)  # left alone it would take 15 s and more


async def test_the_deadline_of_the_policy_ends_a_stream(running: RunningGateway, client: httpx.AsyncClient) -> None:
    async with open_stream(running.address, "/probe/short-count?to=1000&interval_ms=30") as stream:
        events = [event async for event in stream.events()]
    assert events[-1].name == "failed"
    assert events[-1].data["code"] == "DEADLINE_EXCEEDED"
    assert len(events) > 5


async def test_a_hundred_streams_at_once_are_ordered_and_whole(running: RunningGateway, probe: Probe) -> None:
    async def one(number: int) -> list[str]:
        path = f"/probe/count?to={20 + number}&interval_ms={number % 3}"
        async with open_stream(running.address, path) as stream:
            return [event.id async for event in stream.events() if event.name]

    results = await asyncio.gather(*(one(number) for number in range(100)))
    for number, ids in enumerate(results):
        assert ids == [str(sequence) for sequence in range(1, 20 + number + 2)]
    await until(lambda: probe.streams == 0, 5)


async def test_a_burst_shares_writes_and_loses_nothing(gateway: Gateway) -> None:
    async with (
        gateway(sse_window_seconds=0.2) as (_, running),
        open_stream(running.address, "/probe/count?to=3000") as stream,
    ):
        ids = [int(event.id) async for event in stream.events() if event.name]
    assert ids == list(range(1, 3002))
    assert stream.chunks < 1500


async def test_the_end_of_a_burst_is_not_held_back(gateway: Gateway) -> None:
    async with gateway(sse_window_seconds=0.1) as (_, running):
        async with open_stream(running.address, "/probe/count?to=3&interval_ms=1&fail_with=0") as stream:
            assert [event.id async for event in stream.events() if event.name] == ["1", "2", "3", "4"]
        # Three events within the window, then nothing for long: the last two come by the timer.
        async with open_stream(running.address, "/probe/count?to=2&interval_ms=2000") as stream:
            events = stream.events()
            assert [(await anext(events)).name for _ in range(2)] == ["", "token"]


async def test_a_slow_reader_slows_the_producer_down_and_nobody_else(running: RunningGateway, probe: Probe) -> None:
    path = "/probe/count?to=20000&padding=2000"  # 40 MB, more than all buffers on the way
    async with open_stream(running.address, path, limit=2**14) as slow:
        slow.stop_reading()
        async with open_stream(running.address, "/probe/count?to=50&interval_ms=10") as other:
            assert len([event async for event in other.events() if event.name]) == 51
        assert probe.streams == 1, "the producer waits"


async def test_a_reader_who_takes_nothing_is_cut_off(gateway: Gateway, probe: Probe) -> None:
    await until(lambda: probe.streams == 0, 5)
    async with gateway(stall_seconds=0.3, heartbeat_seconds=0.1) as (_, running):
        async with open_stream(running.address, "/probe/count?to=20000&padding=2000", limit=2**14) as slow:
            slow.stop_reading()
            await until(lambda: probe.streams == 0, 10)


async def test_a_reader_who_takes_a_little_now_and_then_is_cut_off(gateway: Gateway, probe: Probe) -> None:
    await until(lambda: probe.streams == 0, 5)
    loop = asyncio.get_running_loop()
    async with gateway(stall_seconds=0.3, heartbeat_seconds=0.1) as (_, running):
        host, _, port = running.address.rpartition(":")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            await loop.sock_connect(slow, (host, int(port)))
            await loop.sock_sendall(slow, b"GET /probe/count?to=20000&padding=2000 HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: probe.streams == 1, 10)

            async def read() -> None:
                with suppress(ConnectionError):
                    while await loop.sock_recv(slow, 1024):
                        await asyncio.sleep(0.02)

            reading = asyncio.create_task(read())
            await until(lambda: probe.streams == 0, 10)
            reading.cancel()
            await asyncio.wait([reading])


async def test_draining_ends_streams_politely(gateway: Gateway) -> None:
    async with gateway(drain_seconds=0.3) as (_, running):
        entered = asyncio.Event()

        async def read() -> list[Event]:
            async with open_stream(running.address, "/probe/count?to=1000&interval_ms=20") as stream:
                entered.set()
                return [event async for event in stream.events()]

        reading = asyncio.create_task(read())
        await entered.wait()
    events = await reading
    assert events[-1].name == "failed"
    assert events[-1].data == {
        "code": "UNAVAILABLE",
        "reason": "GATEWAY_RESTARTING",
        "message": "the gateway is restarting; connect again",
        "retryable": True,
    }
    assert [int(event.id) for event in events if event.id] == list(range(1, len(events) - 1))


async def test_a_stream_that_ends_in_time_is_not_disturbed_by_draining(gateway: Gateway) -> None:
    async with gateway(drain_seconds=10) as (_, running):
        entered = asyncio.Event()

        async def read() -> list[str]:
            async with open_stream(running.address, "/probe/count?to=10&interval_ms=30") as stream:
                entered.set()
                return [event.name async for event in stream.events()]

        reading = asyncio.create_task(read())
        await entered.wait()
    assert (await reading)[-1] == "complete"
    with pytest.raises(httpx.ConnectError):
        async with open_client(running.address) as client:
            await client.get("/health")
