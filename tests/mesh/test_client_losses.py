"""Calls that end together with a connection: one loss, however many they are."""

import asyncio
import socket

import grpc
import pytest

from benchmarks.faults.proxy import Mode, open_proxy
from mesh.call_report import Losses
from mesh.client import PING_SECONDS, channel_options, open_channel
from mesh.config import MeshSettings
from mesh.sockets import LOST_SECONDS, loss_options
from stack.ports import Ports
from tests.mesh.raw_server import FakeGate, open_raw
from tests.mesh.test_client_gate import GENERATION, LIST, UNAVAILABLE, WATCH, Room, until

CALLS = 12


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_lost_connection_is_told_once_and_each_call_to_nobody_once_more(kind: str) -> None:
    gate, room = FakeGate(), Room()
    settings = MeshSettings(retries=False)
    async with (
        open_raw(unary={LIST: room.unary}, streams={WATCH: room.stream}) as address,
        open_proxy(int(address.rpartition(":")[2]), Ports()) as proxy,
        open_channel(f"127.0.0.1:{proxy.port}", settings, [GENERATION], gate=gate) as channel,
    ):

        async def call(request: bytes) -> None:
            if kind == "unary":
                await channel.unary_unary(LIST)(request, timeout=20)
            else:
                await channel.unary_stream(WATCH)(request, timeout=20).read()

        waiting = b"wait" if kind == "unary" else b"silent"
        calls = [asyncio.ensure_future(call(waiting)) for _ in range(CALLS)]
        await until(lambda: room.calls == CALLS)
        await proxy.become(Mode.REFUSE)  # what stands is reset, and nobody listens any more
        for failed in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(failed, grpc.aio.AioRpcError)
            assert failed.code() is UNAVAILABLE
        assert sorted(gate.ends, key=str) == [None] * (CALLS - 1) + [UNAVAILABLE]
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"")
        assert gate.ends.count(UNAVAILABLE) == 4
        room.go.set()
    assert gate.held == 0


def test_a_call_that_was_begun_after_the_last_loss_tells_of_another() -> None:
    losses = Losses()
    assert losses.another(0.0)
    assert not losses.another(0.0)
    assert losses.another(float("inf"))


def test_half_of_a_calls_time_is_left_when_its_host_is_found_lost() -> None:
    settings = MeshSettings()
    options = dict(channel_options(settings))
    assert options["grpc.keepalive_timeout_ms"] == LOST_SECONDS * 1000 <= settings.default_timeout * 1000 / 2
    assert options["grpc.keepalive_time_ms"] == PING_SECONDS * 1000 > 10_000  # what servers of an earlier release bear
    assert options["grpc.http2.max_pings_without_data"] == 0


def test_sockets_take_the_options() -> None:
    with socket.socket() as sock:
        for level, name, value in loss_options():
            sock.setsockopt(level, name, value)
            assert sock.getsockopt(level, name)
