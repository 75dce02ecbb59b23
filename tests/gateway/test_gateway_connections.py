"""What comes over a connection before it is a request."""

import asyncio
import json

import pytest

from gateway.protocol import MAX_HEAD_BYTES
from gateway.server import RunningGateway
from tests.gateway.conftest import Gateway
from tests.gateway.raw_socket import connected

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.not_through_edge("the edge waits for heads, and for as long as it likes")
@pytest.mark.parametrize("beginning", [b"", b"GET /hea", GET + b"X-Slow: ", b"\r\n"])
async def test_a_client_that_never_says_what_it_wants_is_let_go(gateway: Gateway, beginning: bytes) -> None:
    async with gateway(head_seconds=0.2) as (_, running), connected(running) as (reader, writer):
        writer.write(beginning)
        assert await reader.read() == b""


@pytest.mark.not_through_edge("the edge waits for heads")
async def test_the_time_for_headers_is_for_each_request_and_not_for_its_answer(gateway: Gateway) -> None:
    async with gateway(head_seconds=0.2) as (_, running), connected(running) as (reader, writer):
        for _ in range(3):
            writer.write(GET + b"\r\n")
            assert b"200 OK" in await reader.readuntil(b'alive"}')
            await asyncio.sleep(0.15)
        writer.write(GET)
        assert await reader.read() == b""


async def test_headers_without_end_are_431(running: RunningGateway) -> None:
    async with connected(running) as (reader, writer):
        writer.write(GET + b"X-Long: ")
        for _ in range(20):
            writer.write(b"a" * (MAX_HEAD_BYTES // 4))
            await asyncio.sleep(0.01)  # in pieces, as from afar
        assert b" 431 " in await reader.readline()


async def test_headers_as_long_as_any_that_are_sent_are_taken(running: RunningGateway) -> None:
    async with connected(running) as (reader, writer):
        writer.write(GET + b"Connection: close\r\nX-Long: " + b"a" * 60_000 + b"\r\n\r\n")
        assert b" 200 " in await reader.readline()


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\xa5\x01\x00", b"BREW /pot HTTP/1.1\r\n\r\n", b"\0" * 100])
async def test_what_is_not_http_is_400_in_the_shape_of_all_errors(running: RunningGateway, sent: bytes) -> None:
    async with connected(running) as (reader, writer):
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error"]["reason"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("target", [b"OPTIONS *", b"GET *", b"GET http://elsewhere"])
async def test_a_target_that_is_no_path_is_404(running: RunningGateway, target: bytes) -> None:
    async with connected(running) as (reader, writer):
        writer.write(target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = await reader.read()
    assert received.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
