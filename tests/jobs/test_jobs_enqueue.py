"""The door of the queues."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis.asyncio
from gaji.jobs.v1 import job_service_pb2 as pb
from gaji.jobs.v1 import job_service_pb2_grpc as rpc

from mesh.errors import MeshError, from_rpc_error
from services.jobs.__main__ import serving
from services.jobs.app import KEY_PREFIX
from services.jobs.config import JobsSettings
from services.jobs.domain import HIGH, LOW, SWEEP
from stack.embedded.valkey import open_valkey
from stack.ports import Ports
from tests.jobs.conftest import House, new_id

FINISH = pb.EnqueueRequest(finish_reply=pb.FinishReplyJob(message_id="0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"))


@pytest.fixture
async def unheard() -> AsyncIterator[str]:
    """The URL of a server that takes connections and says nothing."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def enqueued(url: str, request: pb.EnqueueRequest, **settings: Any) -> pb.EnqueueResponse:
    """What a door to a queue answers."""
    chosen = JobsSettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", redis_url=url, drain_seconds=0, **settings)
    async with serving(chosen) as server, grpc.aio.insecure_channel(server.address) as channel:
        response: pb.EnqueueResponse = await rpc.JobServiceStub(channel).Enqueue(request, timeout=30)
        return response


async def refused(url: str, request: pb.EnqueueRequest, **settings: Any) -> MeshError:
    """How a door to a queue refuses."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await enqueued(url, request, **settings)
    return from_rpc_error(raised.value)


async def test_each_job_goes_into_its_queue(house: House) -> None:
    async with redis.asyncio.Redis.from_url(house.settings.redis_url) as client:
        before = {queue: await client.llen(KEY_PREFIX + queue) for queue in (HIGH, LOW)}  # beat puts sweeps in, too
        await house.ingest(new_id(), new_id())
        await house.finish(new_id())
        assert await client.llen(KEY_PREFIX + LOW) == before[LOW] + 2
        assert await client.llen(KEY_PREFIX + HIGH) >= before[HIGH] + 1


async def test_each_request_is_a_job_of_its_own(house: House) -> None:
    ids = {(await house.stub.Enqueue(FINISH, timeout=30)).job_id for _ in range(2)}
    assert len(ids) == 2
    assert all(ids)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.EnqueueRequest(), "job"),
        (pb.EnqueueRequest(finish_reply=pb.FinishReplyJob()), "finish_reply.message_id"),
        (pb.EnqueueRequest(finish_reply=pb.FinishReplyJob(message_id="7")), "finish_reply.message_id"),
        (pb.EnqueueRequest(ingest_novel=pb.IngestNovelJob(novel_id="novel")), "ingest_novel.novel_id"),
    ],
)
async def test_what_is_wrong_is_said_by_field(redis_url: str, request_: pb.EnqueueRequest, field: str) -> None:
    error = await refused(redis_url, request_)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(error.fields) == [field]


async def test_without_redis_it_is_unavailable() -> None:
    error = await refused(f"redis://127.0.0.1:{Ports().free()}/0", FINISH)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_UNAVAILABLE")
    assert error.retryable


async def test_a_redis_that_hangs_is_not_waited_for(unheard: str) -> None:
    error = await refused(unheard, FINISH, jobs_enqueue_timeout=0.2, jobs_redis_timeout=0.5)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_UNAVAILABLE")


async def test_the_door_finds_a_redis_that_was_away(server_folder: Path) -> None:
    port = Ports().free()
    async with open_valkey(server_folder / "valkey", port=port) as valkey:
        chosen = JobsSettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", redis_url=valkey.url, drain_seconds=0)
        serve = serving(chosen)
        server = await serve.__aenter__()
        channel = grpc.aio.insecure_channel(server.address)
        await rpc.JobServiceStub(channel).Enqueue(FINISH, timeout=30)
    try:
        with pytest.raises(grpc.aio.AioRpcError):
            await rpc.JobServiceStub(channel).Enqueue(FINISH, timeout=30)
        async with (
            open_valkey(server_folder / "valkey", port=port),
            redis.asyncio.Redis.from_url(valkey.url) as client,
        ):
            assert await client.llen(KEY_PREFIX + HIGH) >= 1  # what was queued has survived
            await rpc.JobServiceStub(channel).Enqueue(FINISH, timeout=30)
    finally:
        await channel.close()
        await serve.__aexit__(None, None, None)


async def test_beat_sends_sweeps(house: House) -> None:
    async with redis.asyncio.Redis.from_url(house.settings.redis_url) as client:
        queued: list[bytes | str] = []

        async def look() -> None:
            while not queued:
                jobs = await client.lrange(KEY_PREFIX + HIGH, 0, -1)
                queued.extend(job for job in jobs if f'"task": "{SWEEP}"'.encode() in job)
                await asyncio.sleep(0.05)

        await asyncio.wait_for(look(), 30)
    assert b'"expires": "20' in queued[0]


async def test_beat_bears_a_redis_that_is_down() -> None:
    chosen = JobsSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        redis_url=f"redis://127.0.0.1:{Ports().free()}/0",
        drain_seconds=0,
        jobs_sweep_seconds=0.1,
    )
    async with serving(chosen) as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await rpc.JobServiceStub(channel).Enqueue(FINISH, timeout=30)
