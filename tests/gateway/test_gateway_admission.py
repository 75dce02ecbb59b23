"""What a gateway refuses when there is too much, and how."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from gateway.errors import error_headers, http_status
from gateway.http_metrics import SECONDS
from gateway.server import RunningGateway
from mesh.errors import ResourceExhausted
from mesh.interceptors.limit import OVERLOADED
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.probe_servicer import Probe
from tests.gateway.raw_socket import connected

ONE = {"limit_initial": 1, "limit_min": 1, "limit_max": 1}
GET = b"GET /probe/anybody HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def busy(gateway: Gateway, probe: Probe) -> AsyncIterator[tuple[httpx.AsyncClient, RunningGateway]]:
    """A gateway that answers one request at a time, and is at one."""
    async with gateway(**ONE, cors_origins=("https://gaji.example",)) as (client, running):
        probe.gate.clear()
        seen = len(probe.seen)
        held = asyncio.create_task(client.post("/probe/make", json={"key": "held"}))
        async with asyncio.timeout(20):
            while len(probe.seen) == seen:
                await asyncio.sleep(0.005)
        try:
            yield client, running
        finally:
            probe.gate.set()
            assert (await held).status_code == 200


async def test_a_request_too_many_is_503_with_a_time_to_come_back(
    busy: tuple[httpx.AsyncClient, RunningGateway],
) -> None:
    client, _ = busy
    counted = SECONDS.labels("GET", "", "503", "503")  # of what is refused before anything is known of it
    before = counted._sum.get(), sum(bucket.get() for bucket in counted._buckets)
    answers = [await client.get("/probe/anybody") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {503}
    assert (counted._sum.get(), sum(bucket.get() for bucket in counted._buckets)) == (before[0], before[1] + 30)
    assert {int(answer.headers["retry-after"]) for answer in answers} == {1, 2, 3}
    error = error_of(answers[0])
    assert (error["code"], error["reason"]) == ("UNAVAILABLE", OVERLOADED)
    for name in ("x-content-type-options", "x-frame-options", "content-security-policy", "cache-control"):
        assert name in answers[0].headers


async def test_what_is_refused_is_refused_before_it_is_read(busy: tuple[httpx.AsyncClient, RunningGateway]) -> None:
    client, _ = busy
    for answer in (
        await client.get("/nowhere"),
        await client.post("/probe/make", content=b"no JSON", headers={"content-type": "application/json"}),
        await client.get("/probe/me", headers={"authorization": "Bearer nonsense"}),
        await client.get("/probe/watch?to=3"),
    ):
        assert answer.status_code == 503


@pytest.mark.parametrize("path", ["/health", "/ready", "/ready?verbose=1"])
async def test_those_who_restart_processes_are_answered(
    busy: tuple[httpx.AsyncClient, RunningGateway], path: str
) -> None:
    client, _ = busy
    assert (await client.get(path)).status_code == 200


async def test_a_page_of_an_allowed_origin_may_read_the_refusal(
    busy: tuple[httpx.AsyncClient, RunningGateway],
) -> None:
    client, _ = busy
    answer = await client.get("/probe/anybody", headers={"origin": "https://gaji.example"})
    assert answer.headers["access-control-allow-origin"] == "https://gaji.example"
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
    answer = await client.get("/probe/anybody", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.not_through_edge("the edge closes a connection whose body nobody has read to its end")
async def test_a_connection_lives_on_after_a_refusal(busy: tuple[httpx.AsyncClient, RunningGateway]) -> None:
    _, running = busy
    async with connected(running) as (reader, writer):
        for body in (b"", b'{"key":"k"}', b"x" * 300_000):
            head = b"POST /probe/make HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert await status_of(reader) == 503
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await status_of(reader) == 200


async def test_a_refused_head_has_no_body(busy: tuple[httpx.AsyncClient, RunningGateway]) -> None:
    _, running = busy
    async with connected(running) as (reader, writer):
        writer.write(b"HEAD /probe/anybody HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await status_of(reader) == 200


async def test_a_connection_that_is_refused_again_and_again_is_kept(gateway: Gateway, probe: Probe) -> None:
    async with gateway(**ONE, head_seconds=0.4) as (client, running), connected(running) as (reader, writer):
        probe.gate.clear()
        seen = len(probe.seen)
        held = asyncio.create_task(client.post("/probe/make", json={"key": "held"}))
        async with asyncio.timeout(20):
            while len(probe.seen) == seen:
                await asyncio.sleep(0.005)
        for _ in range(8):
            writer.write(GET)
            assert await status_of(reader) == 503
            await asyncio.sleep(0.1)
        probe.gate.set()
        await held


@pytest.mark.not_through_edge("nginx answers Expect itself", edge="nginx")
async def test_a_client_that_asks_whether_to_send_is_told_not_to(
    busy: tuple[httpx.AsyncClient, RunningGateway],
) -> None:
    _, running = busy
    async with connected(running) as (reader, writer):
        writer.write(
            b"POST /probe/make HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        received = await reader.read()
    assert received.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in received


async def test_it_takes_requests_again(gateway: Gateway, probe: Probe) -> None:
    async with gateway(**ONE) as (client, running):
        for _ in range(3):  # well, badly, and by leaving
            assert (await client.get("/probe/anybody")).status_code == 200
            assert (await client.get("/nowhere")).status_code == 404
            assert (await client.get("/probe/fail?code=13")).status_code == 500
            probe.gate.clear()
            seen = len(probe.seen)
            async with connected(running) as (_, writer):
                writer.write(b"GET /probe/watch?to=1 HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(20):
                    while len(probe.seen) == seen:
                        await asyncio.sleep(0.005)
            probe.gate.set()


async def test_a_body_that_does_not_come_keeps_nobody_out(gateway: Gateway) -> None:
    async with gateway(**ONE) as (client, running), AsyncExitStack() as stack:
        for _ in range(5):
            _, writer = await stack.enter_async_context(connected(running))
            writer.write(
                b"POST /probe/make HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
            await asyncio.sleep(0.02)
        async with asyncio.timeout(20):
            while (await client.get("/probe/anybody")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_streams_have_a_bound_of_their_own(gateway: Gateway) -> None:
    async with gateway(**ONE, max_streams=3) as (client, running), AsyncExitStack() as stack:
        for _ in range(3):
            reader, writer = await stack.enter_async_context(connected(running))
            writer.write(b"GET /probe/watch?to=1000&interval_ms=50 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
        answer = await client.get("/probe/watch?to=1")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert error_of(answer)["reason"] == OVERLOADED
        assert (await client.get("/probe/anybody")).status_code == 200
        await stack.aclose()
        async with asyncio.timeout(20):
            while (await client.get("/probe/watch?to=1")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_a_stream_is_not_refused_for_requests_and_only_a_stream_is_not(
    busy: tuple[httpx.AsyncClient, RunningGateway], probe: Probe
) -> None:
    """A native EventSource that is refused never comes back."""
    client, running = busy
    source = {"accept": "text/event-stream"}
    assert (await client.get("/probe/count?to=1", headers=source)).status_code == 200
    for path in ("/probe/anybody", "/probe/me"):
        answer = await client.get(path, headers=source)
        assert answer.status_code == 503
        assert error_of(answer)["reason"] == OVERLOADED
        assert "retry-after" in answer.headers
    async with connected(running) as (reader, writer):  # more than one at a time on one connection
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nAccept: text/event-stream\r\n\r\n") + GET)
        assert [await status_of(reader), await status_of(reader)] == [503, 503]


@pytest.mark.not_through_edge("the edge holds the readers' connections")
async def test_connections_have_a_bound(gateway: Gateway) -> None:
    async with gateway(max_connections=2) as (_, running), AsyncExitStack() as stack:
        for _ in range(2):
            reader, writer = await stack.enter_async_context(connected(running))
            writer.write(GET)
            assert await status_of(reader) == 200
        async with connected(running) as (reader, _):
            received = await reader.read()
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in received
        assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["reason"] == OVERLOADED
        writer.write(GET)
        await stack.aclose()
        async with asyncio.timeout(20):
            while True:
                async with connected(running) as (reader, writer):
                    writer.write(GET)
                    if await status_of(reader) == 200:
                        break
                await asyncio.sleep(0.01)


async def test_it_can_be_switched_off(gateway: Gateway, probe: Probe) -> None:
    async with gateway(**ONE, limit=False) as (client, _):
        probe.gate.clear()
        held = asyncio.create_task(client.post("/probe/make", json={"key": "held"}))
        assert (await client.get("/probe/anybody")).status_code == 200
        probe.gate.set()
        assert (await held).status_code == 200


def test_a_room_that_is_overloaded_is_503_and_a_quota_429() -> None:
    overload = ResourceExhausted("too much", reason=OVERLOADED, retry_after=0.7)
    assert http_status(overload) == 503
    assert error_headers(overload) == [(b"retry-after", b"1")]
    assert http_status(ResourceExhausted("too often", reason="RATE_LIMITED", retry_after=0.7)) == 429


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of one answer, which is read to its end."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        await reader.readexactly(int(length.partition(b": ")[2]))
    return int(head.split()[1])


@pytest.mark.not_through_edge("the edge makes a path of it, or refuses it")
async def test_what_turns_out_to_be_no_request_takes_no_permit(gateway: Gateway) -> None:
    async with gateway(**ONE) as (client, running):
        for _ in range(3):
            async with connected(running) as (reader, writer):
                writer.write(b"GET http://elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
                assert await status_of(reader) == 400
        assert (await client.get("/probe/anybody")).status_code == 200


@pytest.mark.parametrize(
    "target", ["GET /openapi.json", "GET /nowhere", "PUT /probe/anybody", "OPTIONS /probe/anybody"]
)
async def test_what_only_says_that_it_is_a_stream_is_refused(
    busy: tuple[httpx.AsyncClient, RunningGateway], target: str
) -> None:
    client, _ = busy
    method, path = target.split()
    assert (await client.request(method, path, headers={"accept": "text/event-stream"})).status_code == 503
    health = await client.get("/health", headers={"accept": "text/event-stream"})
    assert health.status_code == 200
