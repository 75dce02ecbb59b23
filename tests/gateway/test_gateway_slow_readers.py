"""Clients that ask for much and read little of it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config import GatewaySettings
from gateway.door import SLOWEST_READER, cut_slow_readers
from gateway.errors import ClientLeft
from gateway.metrics import SLOW_READERS_CUT
from gateway.reader import Reader
from gateway.server import RunningGateway
from mesh.errors import Unauthenticated
from tests.gateway.conftest import Gateway
from tests.gateway.waiting import until

LARGE = json.dumps({"string_value": "a" * 12_000_000}).encode()  # more than the kernel's buffers take


def cuts() -> float:
    value: float = SLOW_READERS_CUT._value.get()
    return value


@asynccontextmanager
async def asked(running: RunningGateway, connection: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has sent a request for a large answer."""
    host, _, port = running.address.rpartition(":")
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=client, limit=4096)
    head = b"POST /probe/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: %b\r\n" % connection
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE)
    try:
        await writer.drain()
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"], ids=["keep-alive", "close"])
async def test_who_does_not_read_an_answer_is_cut(gateway: Gateway, connection: bytes) -> None:
    before = cuts()
    async with gateway(stall_seconds=0.4, max_body_bytes=16_000_000) as (_, running), asyncio.timeout(30):
        async with asked(running, connection) as reader:
            assert b" 200 " in await reader.readline()
            while cuts() == before:
                await asyncio.sleep(0.05)
            received = 0
            with suppress(ConnectionError):
                while chunk := await reader.read(65536):
                    received += len(chunk)
            assert received < len(LARGE)


@pytest.mark.not_through_edge("in its buffers a slow reader stands still for longer than this test's 0.3 s")
async def test_who_reads_slowly_has_all_of_it(gateway: Gateway) -> None:
    before = cuts()
    async with gateway(stall_seconds=0.3, max_body_bytes=16_000_000) as (_, running), asyncio.timeout(60):
        async with asked(running, b"close") as reader:
            received = 0
            while chunk := await reader.read(65536):
                received += len(chunk)
                await asyncio.sleep(0.001)
    assert received > len(LARGE)
    assert cuts() == before


class Client:
    def __init__(self, *owed: int) -> None:
        self.owed = list(owed)
        self.was_cut = False

    def owes(self) -> int:
        return self.owed.pop(0) if len(self.owed) > 1 else self.owed[0]

    def cut(self) -> None:
        self.was_cut = True


async def test_a_client_is_held_to_a_rate_and_one_that_owes_nothing_to_none() -> None:
    much = 100 * SLOWEST_READER
    idle = Client(0)
    stuck = Client(much)
    drop_by_drop = Client(*range(much, much - 200, -1))
    fast = Client(*range(100 * much, -1, -much))
    clients: set[Any] = {idle, stuck, drop_by_drop, fast}
    cutting = asyncio.create_task(cut_slow_readers(clients, 0.1))
    try:
        async with asyncio.timeout(20):
            while not (stuck.was_cut and drop_by_drop.was_cut):
                await asyncio.sleep(0.01)
    finally:
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)
    assert not idle.was_cut
    assert not fast.was_cut


class SlowWire:
    """A connection whose client takes a byte now and then."""

    paused, waiting, was_cut = True, 100_000, False

    def attach(self, reader: Reader) -> None:
        reader.full()

    def detach(self) -> None:
        """Nobody looks any more."""

    def write(self, data: bytes) -> None:
        raise AssertionError("it is full")

    def cut(self) -> None:
        self.was_cut = True


def slow_reader(settings: GatewaySettings) -> tuple[Reader, SlowWire]:
    wire: Any = SlowWire()
    request: Any = SimpleNamespace(wire=wire, reader=None, sent=0, began=0.0, label="test", start=nothing)
    return Reader(request, settings), wire


async def nothing(*_arguments: Any) -> None:
    """Begins no answer."""


class Endless:
    """A source that says something once and never ends."""

    def open(self, sink: Reader) -> None:
        sink.data(b"event: token\ndata: {}\n\n")

    def taken(self, count: int) -> None:
        """Nothing more comes."""

    def cancel(self) -> None:
        """Nothing comes."""


async def test_drops_are_no_reading(settings: GatewaySettings) -> None:
    reader, wire = slow_reader(settings.model_copy(update={"stall_seconds": 0.2, "heartbeat_seconds": 0.1}))
    source: Any = Endless()
    running = asyncio.create_task(reader.run(source))
    async with asyncio.timeout(20):
        while not wire.was_cut:
            wire.waiting -= 1
            await asyncio.sleep(0.01)
    reader.lost()
    await asyncio.wait([running])
    assert isinstance(running.exception(), ClientLeft)


async def test_who_may_no_longer_read_and_does_not_read_is_cut_at_once(settings: GatewaySettings) -> None:
    reader, wire = slow_reader(settings)
    source: Any = Endless()
    running = asyncio.create_task(reader.run(source))
    await until(lambda: reader._begun, 5)
    refusal = Unauthenticated("no more", reason="TOKEN_REVOKED")
    reader.end(None)  # what has come waits for the client
    reader.fail(refusal)
    assert not wire.was_cut
    reader.fail(refusal, at_once=True)
    assert wire.was_cut
    reader.lost()
    await asyncio.wait([running])
