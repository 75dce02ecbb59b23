"""Workers and Redis come and go; the jobs stay."""

import asyncio
import os
import signal
from pathlib import Path

import grpc
from gaji.jobs.v1 import job_service_pb2_grpc as rpc

from services.jobs.__main__ import serving
from services.jobs.domain import HIGH
from stack.embedded.valkey import open_valkey
from tests.jobs.conftest import House, Worker, new_id, running_rooms, running_worker, until


async def test_a_stop_waits_for_no_job_and_loses_none(house: House, tmp_path: Path) -> None:
    reply = new_id()
    held = house.rooms.held[reply] = asyncio.Event()
    async with running_worker(HIGH, house.settings, tmp_path / "log") as worker:
        await house.finish(reply)
        await until(lambda: house.rooms.times("FinishReply", reply) == 1)
        children = worker.children
        worker.process.terminate()
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
    assert gone(children)
    async with running_worker(HIGH, house.settings, tmp_path / "log") as worker:
        await until(lambda: house.rooms.times("FinishReply", reply) == 2)
        held.set()


async def test_children_die_with_a_worker_that_is_killed(house: House, tmp_path: Path) -> None:
    async with running_worker(HIGH, house.settings, tmp_path / "log") as worker:
        children = worker.children
        assert children
        os.kill(pid_of(worker), signal.SIGKILL)
        await worker.process.wait()
        await until(lambda: gone(children))


async def test_a_worker_waits_for_redis_and_finds_it_again(house: House, server_folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running_rooms() as (rooms, address):
        async with open_valkey(server_folder / "valkey") as valkey:
            changes = {"redis_url": valkey.url, "generation_target": address, "library_target": address}
            settings = house.settings.model_copy(update={**changes, "jobs_sweep_seconds": 3600.0})
        # Redis is down.
        async with serving(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
            there = House(rooms, settings, rpc.JobServiceStub(channel))
            async with asyncio.TaskGroup() as tasks:
                starting = tasks.create_task(held_open(settings, log))
                await until(lambda: b"Cannot connect to redis" in (log.read_bytes() if log.exists() else b""))
                first, second = new_id(), new_id()
                async with open_valkey(server_folder / "valkey", port=valkey.port):
                    await there.finish(first)
                    await until(lambda: rooms.times("FinishReply", first) == 1)
                async with open_valkey(server_folder / "valkey", port=valkey.port):
                    await there.finish(second)
                    await until(lambda: rooms.times("FinishReply", second) == 1)
                starting.cancel()


async def held_open(settings, log) -> None:  # type: ignore[no-untyped-def]
    async with running_worker(HIGH, settings, log):
        await asyncio.Event().wait()


def pid_of(worker: Worker) -> int:
    return worker.process.pid


def gone(pids: set[int]) -> bool:
    """Whether none of the processes runs; a zombie does not."""
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                return False
        except OSError:
            continue
    return True
