"""The probe as a process of its own, for tests that kill it.

Usage: python -m tests.gateway.probe_process DESCRIPTORS PUBLIC_KEY LISTEN DRAIN_SECONDS; prints its address.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from gateway.contract import load_contract
from mesh.config import MeshSettings
from mesh.process import until_signal
from tests.gateway.probe_servicer import Probe, open_probe


class ProbeProcess:
    """A running probe.

    Attributes:
        address: ``host:port`` of gRPC.
    """

    def __init__(self, child: asyncio.subprocess.Process, address: str) -> None:
        self._child = child
        self.address = address

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Lets it do nothing more, with its connections open."""
        self._child.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        """Asks it to end, and waits until it has."""
        await self._end(signal.SIGTERM)

    async def _end(self, signum: signal.Signals) -> None:
        if self._child.returncode is None:
            self._child.send_signal(signum)
        async with asyncio.timeout(20):
            await self._child.wait()


@asynccontextmanager
async def probe_process(
    descriptors: Path, key: Path, *, listen: str = "127.0.0.1:0", drain_seconds: float = 0.3
) -> AsyncIterator[ProbeProcess]:
    """Starts one, and kills it when the block is left."""
    command = [sys.executable, "-m", "tests.gateway.probe_process", str(descriptors), str(key), listen]
    child = await asyncio.create_subprocess_exec(*command, str(drain_seconds), stdout=asyncio.subprocess.PIPE)
    assert child.stdout
    try:
        async with asyncio.timeout(30):
            address = (await child.stdout.readline()).decode().strip()
        assert address, "it did not start"
        yield ProbeProcess(child, address)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def main() -> None:
    """Serves until a signal."""
    descriptors, key, listen, drain_seconds = sys.argv[1:]
    settings = MeshSettings(
        listen=listen,
        admin_listen="127.0.0.1:0",
        jwt_public_key_file=Path(key),
        drain_seconds=float(drain_seconds),
    )
    async with open_probe(Probe(load_contract(Path(descriptors))), settings) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        await until_signal()


if __name__ == "__main__":
    uvloop.run(main())
