"""What the door knows of its queues."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from gaji.jobs.v1 import job_service_pb2 as pb
from gaji.jobs.v1 import job_service_pb2_grpc as rpc
from gaji.mesh.v1 import status_service_pb2 as status_pb
from gaji.mesh.v1 import status_service_pb2_grpc as status_rpc

from services.jobs.__main__ import serving
from services.jobs.app import QUEUED_AT
from services.jobs.config import JobsSettings
from services.jobs.domain import HIGH, LOW
from services.jobs.looking import queued_at
from stack.embedded.valkey import open_valkey
from stack.ports import Ports
from tests.jobs.conftest import SECONDS, new_id


async def queues_when(
    door: grpc.aio.Channel, true: Callable[[dict[str, status_pb.Queue], int | None], bool]
) -> dict[str, status_pb.Queue]:
    """The queues in the status of a door, when something is true of them and of how many jobs are taken."""
    stub = status_rpc.StatusServiceStub(door)
    async with asyncio.timeout(SECONDS):
        while True:
            status = (await stub.GetStatus(status_pb.GetStatusRequest(), timeout=10)).status
            queues = {queue.name: queue for queue in status.queues if queue.name in {HIGH, LOW}}
            if true(queues, next((pool.used for pool in status.pools if pool.name == "jobs"), None)):
                return queues
            await asyncio.sleep(0.02)


async def test_the_status_tells_how_many_wait_and_for_how_long(server_folder: Path) -> None:
    port = Ports().free()
    async with AsyncExitStack() as stack:
        async with open_valkey(server_folder / "valkey", port=port) as valkey:
            settings = JobsSettings(
                listen="127.0.0.1:0",
                admin_listen="127.0.0.1:0",
                redis_url=valkey.url,
                drain_seconds=0,
                jobs_sweep_seconds=3600,
                jobs_look_seconds=0.05,
            )
            server = await stack.enter_async_context(serving(settings))
            door = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
            queues = await queues_when(door, lambda queues, taken: len(queues) == 2 and taken == 0)
            assert not queues[LOW].length
            assert not queues[LOW].HasField("oldest_seconds")
            for _ in range(3):
                job = pb.EnqueueRequest(ingest_novel=pb.IngestNovelJob(novel_id=new_id()))
                await rpc.JobServiceStub(door).Enqueue(job, timeout=SECONDS)
            queues = await queues_when(door, lambda queues, _: queues[LOW].length == 3)
            first = queues[LOW].oldest_seconds
            assert 0 <= first < SECONDS
            await queues_when(door, lambda queues, _: queues[LOW].oldest_seconds > first)
        # What is not known is not said.
        await queues_when(door, lambda queues, taken: not queues and taken is None)
        async with open_valkey(server_folder / "valkey", port=port):
            await queues_when(door, lambda queues, taken: LOW in queues and queues[LOW].length == 3 and taken == 0)


@pytest.mark.parametrize(
    ("job", "moment"),
    [
        (json.dumps({"headers": {QUEUED_AT: 12.5}}), 12.5),
        (json.dumps({"headers": {QUEUED_AT: 12}}).encode(), 12.0),
        (json.dumps({"headers": {}}), None),
        (json.dumps({"headers": {QUEUED_AT: "yesterday"}}), None),
        (json.dumps({"headers": None}), None),
        ('{"headers": {"queued_at": NaN}}', None),
        ("[]", None),
        ("not JSON", None),
        (b"\xff", None),
        (None, None),
    ],
    ids=range(10),
)
def test_a_job_that_does_not_say_since_when_has_no_age(job: bytes | str | None, moment: float | None) -> None:
    assert queued_at(job) == moment
