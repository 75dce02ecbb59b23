"""Real workers on a real queue: what is put there is done, whatever dies meanwhile."""

import asyncio
import os
import signal

import grpc
import pytest
import redis.asyncio

from services.jobs.app import KEY_PREFIX
from tests.jobs.conftest import House, Worker, new_id, until


async def test_each_queues_worker_takes_its_own(house: House, high: Worker, low: Worker) -> None:
    reply, novel = new_id(), new_id()
    await house.finish(reply)
    await house.ingest(novel)
    await until(lambda: {("FinishReply", reply), ("RunIngestion", novel)} <= set(house.rooms.asked))
    await counted(high, "finish_reply", "complete")
    await counted(low, "ingest_novel", "complete")
    assert await low.counted("finish_reply", "complete") == await high.counted("ingest_novel", "complete") == 0


async def test_a_redis_that_loses_its_data_takes_jobs_all_the_same(house: House, high: Worker) -> None:
    before, reply = new_id(), new_id()
    await house.finish(before)
    await until(lambda: house.rooms.times("FinishReply", before) == 1)
    async with redis.asyncio.Redis.from_url(house.settings.redis_url) as client:
        await client.flushall()
    await house.finish(reply)
    await until(lambda: house.rooms.times("FinishReply", reply) == 1)


async def test_novels_never_hold_up_replies(house: House, high: Worker, low: Worker) -> None:
    first, *others = novels = [new_id() for _ in range(20)]
    house.rooms.held[first] = asyncio.Event()
    await house.ingest(*novels)
    await until(lambda: house.rooms.times("RunIngestion", first) == 1)
    reply = new_id()
    await house.finish(reply)
    await until(lambda: house.rooms.times("FinishReply", reply) == 1)
    assert not any(house.rooms.times("RunIngestion", novel) for novel in others)
    house.rooms.held[first].set()
    await until(lambda: all(house.rooms.times("RunIngestion", novel) for novel in others))


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
    ids=lambda code: str(code.name),
)
async def test_a_transient_error_is_tried_again(house: House, high: Worker, code: grpc.StatusCode) -> None:
    reply = new_id()
    house.rooms.refusals[reply] = [code] * 3
    before = await high.counted("finish_reply", "retried")
    await house.finish(reply)
    await until(lambda: house.rooms.times("FinishReply", reply) == 4)
    await counted(high, "finish_reply", "retried", before + 3)
    assert house.rooms.times("AbandonReply", reply) == 0


async def test_after_three_retries_it_is_abandoned(house: House, high: Worker, low: Worker) -> None:
    reply, novel = new_id(), new_id()
    house.rooms.refusals[reply] = [grpc.StatusCode.UNAVAILABLE] * 4
    house.rooms.refusals[novel] = [grpc.StatusCode.UNAVAILABLE] * 4
    await house.finish(reply)
    await house.ingest(novel)
    await until(lambda: {reply, novel} <= set(house.rooms.failures))
    assert house.rooms.times("FinishReply", reply) == house.rooms.times("RunIngestion", novel) == 4
    failure = house.rooms.failures[reply]
    assert (failure.code, failure.message, failure.retryable) == ("UNAVAILABLE", "no", True)


async def test_a_permanent_error_is_not_tried_again(house: House, high: Worker) -> None:
    reply, before = new_id(), await high.counted("finish_reply", "failed")
    house.rooms.refusals[reply] = [grpc.StatusCode.FAILED_PRECONDITION]
    await house.finish(reply)
    await until(lambda: reply in house.rooms.failures)
    failure = house.rooms.failures[reply]
    assert (failure.code, failure.retryable) == ("FAILED_PRECONDITION", False)
    await counted(high, "finish_reply", "failed", before + 1)
    assert house.rooms.times("FinishReply", reply) == 1


async def test_what_was_deleted_is_done_with(house: House, high: Worker, low: Worker) -> None:
    reply, novel = new_id(), new_id()
    house.rooms.refusals[reply] = [grpc.StatusCode.NOT_FOUND]
    house.rooms.refusals[novel] = [grpc.StatusCode.NOT_FOUND]
    await house.finish(reply)
    await house.ingest(novel)
    await counted(high, "finish_reply", "gone")
    await counted(low, "ingest_novel", "gone")
    assert not {reply, novel} & set(house.rooms.failures)


async def test_an_ingestion_goes_on_without_being_waited_for(house: House, low: Worker) -> None:
    novel = new_id()
    house.rooms.refusals[novel] = [grpc.StatusCode.DEADLINE_EXCEEDED]
    await house.ingest(novel)
    await counted(low, "ingest_novel", "running")
    assert house.rooms.times("RunIngestion", novel) == 1
    assert novel not in house.rooms.failures


async def test_the_job_of_a_child_that_was_killed_is_done_by_another(house: House, high: Worker) -> None:
    reply = new_id()
    held = house.rooms.held[reply] = asyncio.Event()
    await house.finish(reply)
    await until(lambda: house.rooms.times("FinishReply", reply) == 1)
    for pid in high.children:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: house.rooms.times("FinishReply", reply) == 2)
    before = await high.counted("finish_reply", "complete")
    held.set()
    await counted(high, "finish_reply", "complete", before + 1)
    assert await high.counted("finish_reply", "lost") >= 1


async def test_a_sweep_enqueues_what_nobody_does(house: House, high: Worker, low: Worker) -> None:
    reply, novel = new_id(), new_id()
    house.rooms.orphans, house.rooms.novels = [reply], [novel]
    await until(lambda: {("FinishReply", reply), ("RunIngestion", novel)} <= set(house.rooms.asked))
    house.rooms.orphans, house.rooms.novels = [], []
    await counted(high, "sweep", "swept")


async def test_the_trouble_of_one_room_is_none_of_the_others(house: House, high: Worker, low: Worker) -> None:
    novel, reply = new_id(), new_id()
    house.rooms.orphans, house.rooms.novels = None, [novel]
    await until(lambda: house.rooms.times("RunIngestion", novel) > 0)
    house.rooms.orphans, house.rooms.novels = [reply], None
    await until(lambda: house.rooms.times("FinishReply", reply) > 0)
    house.rooms.orphans, house.rooms.novels = [], []
    await counted(high, "sweep", "partly")


async def test_all_keys_have_the_prefix(house: House, high: Worker, low: Worker) -> None:
    async with redis.asyncio.Redis.from_url(house.settings.redis_url) as client:
        keys = [key.decode() async for key in client.scan_iter()]
    assert keys
    assert [key for key in keys if not key.startswith(KEY_PREFIX)] == []


async def counted(worker: Worker, task: str, outcome: str, least: float = 1) -> None:
    """Waits until a worker has counted so many jobs."""
    async with asyncio.timeout(40):
        while await worker.counted(task, outcome) < least:
            await asyncio.sleep(0.05)
