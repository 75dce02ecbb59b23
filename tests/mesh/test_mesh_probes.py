"""What probes are answered, and the health check that a container makes of itself."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh.probe import probe
from mesh.readiness import Readiness
from mesh.server import MeshServer
from mesh.telemetry.admin import open_admin
from tests.mesh.conftest import Serve


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[MeshServer]:
    async with serve() as (running, _):
        yield running


async def asked(address: str, path: str) -> str:
    return await asyncio.to_thread(probe, {"GAJI_ADMIN_LISTEN": address}, path)


async def test_a_server_is_ready_while_it_serves(server: MeshServer) -> None:
    assert await asked(server.admin_address, "/ready") == ""
    await server.set_serving(False)
    assert await asked(server.admin_address, "/ready") == "503: not serving"
    assert await asked(server.admin_address, "/live") == ""
    await server.set_serving(True)
    assert await asked(server.admin_address, "/ready") == ""


def answered(page: Any) -> tuple[str, bytes]:
    told: list[str] = []
    body = b"".join(page({}, lambda status, _headers: told.append(status)))
    return told[0], body


async def test_a_loop_that_is_stuck_is_not_alive() -> None:
    made: list[Readiness] = []
    stuck, done = threading.Event(), threading.Event()

    def run() -> None:
        async def begin() -> None:
            made.append(Readiness(seconds=0.05))
            made[0].serving = True
            stuck.set()
            done.wait(30)  # what nobody may do in a loop

        asyncio.run(begin())

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(stuck.wait, 10)
    for path in ("/live", "/ready"):
        status, body = await asyncio.to_thread(answered, made[0].pages[path])
        assert (status, body) == ("503 Service Unavailable", b"the event loop does not answer\n")
    done.set()
    await asyncio.to_thread(thread.join)
    status, _ = await asyncio.to_thread(answered, made[0].pages["/live"])
    assert status.startswith("503"), "the loop is closed: the process ends"


async def test_a_process_without_the_page_is_well_when_its_port_answers() -> None:
    async with open_admin("127.0.0.1:0") as address:  # as a worker's
        assert await asked(address, "/ready") == ""


async def test_nobody_there_is_said_with_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in await asked(address, "/ready")


@pytest.mark.parametrize("environment", [{}, {"GAJI_ADMIN_LISTEN": "127.0.0.1:0"}, {"GAJI_ADMIN_LISTEN": "somewhere"}])
def test_a_port_that_nobody_can_know_is_a_mistake_of_the_environment(environment: Mapping[str, str]) -> None:
    assert "GAJI_ADMIN_LISTEN" in probe(environment, "/ready")


async def test_a_server_that_listens_everywhere_is_asked_here(server: MeshServer) -> None:
    port = server.admin_address.rpartition(":")[2]
    assert await asked(f"0.0.0.0:{port}", "/ready") == ""


async def test_the_admin_port_does_not_look_around_while_nobody_asks() -> None:
    others = set(threading.enumerate())  # servers that outlive a test have such a thread as well
    async with open_admin("127.0.0.1:0") as address:
        assert await asked(address, "/health") == ""
        await asyncio.sleep(0.1)  # until it has ended that connection
        thread = next(one for one in threading.enumerate() if one.name == "admin" and one not in others)
        status = Path(f"/proc/self/task/{thread.native_id}/status")
        waits = _waits(status)
        await asyncio.sleep(0.5)
        assert _waits(status) == waits
    assert not thread.is_alive()


def _waits(status: Path) -> str:
    """How often a thread has begun to wait."""
    return next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))
