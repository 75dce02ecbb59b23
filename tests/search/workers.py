"""Processes of `services.search.embedding_worker` for tests."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from mesh.telemetry.metrics import REGISTRY
from stack.ports import Ports
from stack.processes import wrapped

SECONDS = 60.0
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process."""

    process: asyncio.subprocess.Process
    url: str
    admin: str

    async def counted(self, result: str) -> float:
        """How many batches became that with it."""
        async with httpx.AsyncClient(trust_env=False) as http:
            lines = (await http.get(f"http://{self.admin}/metrics")).text.splitlines()
        wanted = f'gaji_search_worker_batches_total{{embedder="minilm",result="{result}"}} '
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))

    def kill(self) -> None:
        """Ends it as a machine that fails does."""
        os.kill(self.process.pid, signal.SIGKILL)


@asynccontextmanager
async def running_worker(url: str, log: Path, deadline: float = SECONDS) -> AsyncIterator[Worker]:
    """A worker that takes batches, until the block is left; it must end well unless it was killed."""
    admin = f"127.0.0.1:{Ports().free()}"
    variables = {"REDIS_URL": url, "ADMIN_LISTEN": admin, "EMBED_THREADS": "1", "EMBEDDING_DEADLINE": str(deadline)}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *wrapped([sys.executable, "-m", "services.search.embedding_worker"], None, _REPOSITORY, signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("GAJI_")},
                **{f"GAJI_{name}": value for name, value in variables.items()},
            },
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(SECONDS):
            while True:
                try:
                    assert (await http.get(f"http://{admin}/health")).status_code == 200
                    break
                except httpx.HTTPError:
                    assert process.returncode is None, log.read_text()  # noqa: ASYNC240 - the end of the test
                    await asyncio.sleep(0.05)
        yield Worker(process, url, admin)
    finally:
        if process.returncode is None:
            process.terminate()
        code = await asyncio.wait_for(process.wait(), SECONDS)
        assert code in {0, -signal.SIGKILL}, log.read_text()  # noqa: ASYNC240 - the end of the test


def handed_out(result: str) -> float:
    """What this process's searches have counted of batches that became that."""
    labels = {"embedder": "minilm", "result": result}
    return REGISTRY.get_sample_value("gaji_search_embedding_batches_total", labels) or 0.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits until what a coroutine function says is true."""
    async with asyncio.timeout(SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)
