"""What an edge takes for one request the gateway takes for one: nothing hides in another (RFC 9112, section 11.2)."""

import asyncio
import json
import logging
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.server import open_gateway
from tests.fixtures.edge import SOURCE, open_edge
from tests.gateway.conftest import ProbeSettings
from tests.gateway.test_gateway_smuggling import REFUSED

LAST = b"GET /probe/numbers/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SECONDS = 0.5  # for what waits for a body that does not come


async def send(address: str, sent: bytes) -> None:
    """Sends it, a good request behind it, and reads what comes until the end, or for so long."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SECONDS):
                writer.write(sent + LAST)
                await writer.drain()
                while await reader.read(65536):
                    pass
    finally:
        writer.transport.abort()


def handed_on(log: Path) -> list[tuple[str, str]]:
    """Method and path of each request that the edge sent to a gateway, by its own log."""
    lines = [json.loads(line) for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    return [(line["method"], line["path"]) for line in lines if line["gateway"]]


async def test_edge_and_gateway_count_the_same_requests(
    settings: ProbeSettings, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    trusting = settings.model_copy(update={"trusted_proxies": (SOURCE,), "body_seconds": 0.3})
    async with open_gateway(trusting) as running, open_edge(kind, [running.address], trusting) as edge:

        def heard() -> int:
            return sum(record.name == "gateway.access" for record in caplog.records)

        for number in range(0, len(REFUSED), 8):
            await asyncio.gather(*(send(edge.address, sent) for sent in list(REFUSED.values())[number : number + 8]))
        await send(edge.address, b"")
        log = edge.folder / "access.log"
        async with asyncio.timeout(15):
            # What the gateway refuses without having taken it for a request is not in its log.
            while not handed_on(log) or len(handed_on(log)) < heard():
                await asyncio.sleep(0.1)
        assert ("GET", "/probe/numbers/7") in handed_on(log), "good ones go through all the same"
