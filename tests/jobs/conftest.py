"""A queue on a real Valkey, real workers, and rooms that do as they are told."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from gaji.generation.v1 import generation_service_pb2_grpc as generation_rpc
from gaji.jobs.v1 import job_service_pb2 as pb
from gaji.jobs.v1 import job_service_pb2_grpc as rpc
from gaji.library.v1 import conversation_service_pb2_grpc as conversation_rpc
from gaji.library.v1 import novel_service_pb2_grpc as novel_rpc

from services.jobs.__main__ import serving
from services.jobs.config import JobsSettings
from services.jobs.domain import HIGH, LOW
from stack.embedded.valkey import open_valkey
from stack.ports import Ports
from stack.processes import wrapped
from tests.fixtures.servers import temporary_folder
from tests.jobs.rooms import Conversations, Generation, Novels, Rooms

SECONDS = 40.0
_REPOSITORY = Path(__file__).parents[2]


async def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def new_id() -> str:
    """An id of a message or a novel."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class House:
    """Everything around the workers."""

    rooms: Rooms
    settings: JobsSettings
    stub: "rpc.JobServiceAsyncStub"

    async def finish(self, *message_ids: str) -> None:
        """Enqueues replies."""
        for key in message_ids:
            await self.stub.Enqueue(
                pb.EnqueueRequest(finish_reply=pb.FinishReplyJob(message_id=key)), timeout=SECONDS, wait_for_ready=True
            )

    async def ingest(self, *novel_ids: str) -> None:
        """Enqueues novels."""
        for key in novel_ids:
            await self.stub.Enqueue(
                pb.EnqueueRequest(ingest_novel=pb.IngestNovelJob(novel_id=key)), timeout=SECONDS, wait_for_ready=True
            )


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process."""

    process: asyncio.subprocess.Process
    admin: str

    @property
    def children(self) -> set[int]:
        """Its children's ids."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}

    async def counted(self, task: str, outcome: str) -> float:
        """How many jobs it has counted so far."""
        async with httpx.AsyncClient(trust_env=False) as http:
            lines = (await http.get(f"http://{self.admin}/metrics")).text.splitlines()
        wanted = f'gaji_jobs_total{{outcome="{outcome}",task="{task}"}} '
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


@asynccontextmanager
async def running_rooms() -> AsyncIterator[tuple[Rooms, str]]:
    """The rooms and where they listen."""
    rooms, server = Rooms(), grpc.aio.server()
    generation_rpc.add_GenerationServiceServicer_to_server(Generation(rooms), server)  # type: ignore[abstract]  # jobs call no other RPC
    conversation_rpc.add_ConversationServiceServicer_to_server(Conversations(rooms), server)  # type: ignore[abstract]  # jobs call no other RPC
    novel_rpc.add_NovelServiceServicer_to_server(Novels(rooms), server)  # type: ignore[abstract]  # jobs call no other RPC
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield rooms, address
    finally:
        await server.stop(0)


@asynccontextmanager
async def running_worker(queue: str, settings: JobsSettings, log: Path) -> AsyncIterator[Worker]:
    """A worker that takes jobs."""
    admin = f"127.0.0.1:{Ports().free()}"
    variables = {
        "GAJI_REDIS_URL": settings.redis_url,
        "GAJI_ADMIN_LISTEN": admin,
        "GAJI_GENERATION_TARGET": settings.generation_target,
        "GAJI_LIBRARY_TARGET": settings.library_target,
        "GAJI_RETRIES": "false",
        "GAJI_JOBS_RETRY_SECONDS": str(settings.jobs_retry_seconds),
        "GAJI_JOBS_CALL_SECONDS": str(settings.jobs_call_seconds),
        "GAJI_JOBS_HIGH_CONCURRENCY": "2",
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *wrapped([sys.executable, "-m", "services.jobs.worker", queue], None, _REPOSITORY, signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("GAJI_")}, **variables},
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
        yield Worker(process, admin)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), SECONDS)


@asynccontextmanager
async def opened_house(redis_url: str) -> AsyncIterator[House]:
    """A queue's door, with rooms behind it and no worker."""
    async with running_rooms() as (rooms, address):
        settings = JobsSettings(
            listen="127.0.0.1:0",
            admin_listen="127.0.0.1:0",
            redis_url=redis_url,
            generation_target=address,
            library_target=address,
            drain_seconds=0,
            jobs_retry_seconds=0.01,
            jobs_sweep_seconds=0.3,
        )
        async with serving(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
            yield House(rooms, settings, rpc.JobServiceStub(channel))


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    """A queue and its door; tests of a module share it."""
    with temporary_folder() as folder:
        async with open_valkey(folder / "valkey") as valkey, opened_house(valkey.url) as opened:
            yield opened


@pytest.fixture(scope="module")
async def high(house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """A worker of high_priority."""
    async with running_worker(HIGH, house.settings, tmp_path_factory.mktemp("high") / "log") as worker:
        yield worker


@pytest.fixture(scope="module")
async def low(house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """A worker of low_priority."""
    async with running_worker(LOW, house.settings, tmp_path_factory.mktemp("low") / "log") as worker:
        yield worker
