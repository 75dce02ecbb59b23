"""An edge that is started anew loses no event: streams run to their end, or go on where they were."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.server import open_gateway
from tests.fixtures.edge import SOURCE, Edge, free_port, open_edge
from tests.gateway.conftest import ProbeSettings, open_client
from tests.gateway.probe_servicer import Probe, cursor
from tests.gateway.sse_client import open_stream
from tests.gateway.waiting import until

STREAM = "/probe/watch?to=150&interval_ms=20"  # 3 s
EXACT = [cursor(number) for number in range(1, 152)]
DRAIN = 1.0


async def whole(address: str, path: str) -> tuple[list[str], int]:
    """The ids of a stream's events to its end, and how many connections they took."""
    ids: list[str] = []
    ended, connections = False, 0
    async with asyncio.timeout(60):
        while not ended:
            connections += 1
            headers = [f"Last-Event-ID: {ids[-1]}"] if ids else []
            # Cut in the middle of whatever it is: what is no whole event does not count, and comes again.
            with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
                async with open_stream(address, path, *headers) as stream:
                    if stream.status == 200:
                        async for event in stream.events():
                            if event.id:
                                ids.append(event.id)
                                ended = event.name == "complete"
            await asyncio.sleep(0.02)
    return ids, connections


@pytest.fixture
async def reloaded(kind: str, settings: ProbeSettings) -> AsyncIterator[Edge]:
    """An edge that can be, with streams that get a second."""
    trusting = settings.model_copy(update={"trusted_proxies": (SOURCE,)})
    changes: dict[str, Any] = {"drain_seconds": DRAIN} if kind == "nginx" else {"hot": True, "port": free_port()}
    async with (
        open_gateway(trusting) as running,
        open_edge(kind, [running.address], trusting, **changes) as edge,
    ):
        yield edge


async def test_streams_stay_exact_when_an_edge_is_reloaded(reloaded: Edge, probe: Probe) -> None:
    await until(lambda: probe.streams == 0)
    readings = [asyncio.create_task(whole(reloaded.address, STREAM)) for _ in range(10)]
    await until(lambda: probe.streams == 10)
    reloaded.reload()
    async with open_client(reloaded.address) as client:
        for _ in range(20):  # and new requests are answered meanwhile
            assert (await client.get("/probe/anybody", headers={"connection": "close"})).status_code == 200
            await asyncio.sleep(0.05)
    results = [await reading for reading in readings]
    assert [ids for ids, _ in results] == [EXACT] * 10
    assert any(connections > 1 for _, connections in results), "some were cut, and nobody lost a word"
    await until(lambda: probe.streams == 0)
