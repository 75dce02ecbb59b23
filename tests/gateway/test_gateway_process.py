import asyncio
import json
import os
import signal
import socket
import struct
import sys
import time
from contextlib import AsyncExitStack

import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.server import open_gateway
from tests.gateway.conftest import ProbeSettings


async def test_the_process_serves_the_contract_and_stops_at_sigterm() -> None:
    env = os.environ | {"GAJI_LISTEN": "127.0.0.1:0", "GAJI_ADMIN_LISTEN": "127.0.0.1:0", "GAJI_DRAIN_SECONDS": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr
        address = ""
        async with asyncio.timeout(30):
            while not address:
                line = json.loads(await process.stderr.readline())
                address = line.get("address", "")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{address}/health")).status_code == 200
            await asyncio.to_thread(leave_in_the_middle, address)
            assert (await client.get(f"http://{address}/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            rest = await process.stderr.read()
            assert await process.wait() == 0
        assert b'"stopped"' in rest
        assert b"Traceback" not in rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def leave_in_the_middle(address: str) -> None:
    """Asks for much at once, reads little of it and resets the connection."""
    host, _, port = address.rpartition(":")
    for _ in range(5):
        with socket.socket() as client:
            client.settimeout(20)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.connect((host, int(port)))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60)
            assert client.recv(1)
            time.sleep(0.2)  # until the gateway waits for the client to read


async def test_a_port_that_is_taken_is_said(settings: ProbeSettings) -> None:
    async with open_gateway(settings) as running:
        with pytest.raises(OSError, match=f"cannot listen on {running.address}"):
            async with open_gateway(settings.model_copy(update={"listen": running.address})):
                pass


async def test_gateways_share_a_port_where_that_is_wanted(settings: ProbeSettings) -> None:
    shared = settings.model_copy(update={"reuse_port": True})
    async with open_gateway(shared) as stays, AsyncExitStack() as stack:
        leaves = await stack.enter_async_context(open_gateway(shared.model_copy(update={"listen": stays.address})))
        assert leaves.address == stays.address

        async def answers() -> set[int]:
            """Of connections that the kernel spreads: a listener that answers nothing would hold half of them up."""
            async with httpx.AsyncClient(trust_env=False, timeout=20, headers={"connection": "close"}) as client:
                return {(await client.get(f"http://{stays.address}/health")).status_code for _ in range(16)}

        assert await answers() == {200}
        await stack.aclose()
        assert await answers() == {200}
        with pytest.raises(OSError, match="cannot listen"):  # both must want it
            async with open_gateway(settings.model_copy(update={"listen": stays.address})):
                pass


async def test_a_room_without_a_target_is_said(settings: ProbeSettings) -> None:
    plain = GatewaySettings(**settings.model_dump(exclude={"probe_target"}))
    with pytest.raises(ValueError, match="no setting probe_target"):
        async with open_gateway(plain):
            pass


def test_settings_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("GAJI_COOKIE_SECURE", "true")
    settings = GatewaySettings()
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.cookie_secure is True
    assert settings.heartbeat_seconds == 15
    assert settings.sse_retry_ms == 2000
