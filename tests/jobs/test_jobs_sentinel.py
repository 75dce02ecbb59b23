"""A queue whose server is replaced by its sentinels."""

import asyncio
from pathlib import Path

import grpc

from services.jobs.domain import HIGH
from tests.fixtures.sentinels import open_watched
from tests.fixtures.servers import temporary_folder
from tests.jobs.conftest import SECONDS, House, new_id, opened_house, running_worker, until


async def put(house: House, reply: str) -> None:
    """Enqueues a reply, again and again while there is no queue, as its room does."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await house.finish(reply)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.2)


async def test_door_and_worker_find_the_server_that_took_the_place_of_another(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        async with (
            open_watched(folder) as servers,
            opened_house(servers.url) as house,
            running_worker(HIGH, house.settings, tmp_path / "log") as worker,
        ):
            before, after = new_id(), new_id()
            await house.finish(before)
            await until(lambda: house.rooms.times("FinishReply", before) == 1)
            await servers.master.stop(0)  # killed
            await put(house, after)
            await until(lambda: house.rooms.times("FinishReply", after) == 1)
            assert worker.process.returncode is None
