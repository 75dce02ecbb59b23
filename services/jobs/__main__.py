"""The jobs' door and their clock as a process: ``python -m services.jobs``. Workers are `services.jobs.worker`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from celery import Celery
from gaji.jobs.v1 import job_service_pb2 as pb
from gaji.jobs.v1 import job_service_pb2_grpc as rpc

from mesh.process import run, until_signal
from mesh.server import MeshServer, Service, open_server
from services.jobs.app import create_app
from services.jobs.beat import open_beat
from services.jobs.config import JobsSettings
from services.jobs.looking import looking
from services.jobs.queue import open_queue
from services.jobs.servicer import JobServicer


@asynccontextmanager
async def serving(settings: JobsSettings) -> AsyncIterator[MeshServer]:
    """The whole room but its workers, until the block is left. It starts, and stays up, whether or not Redis does."""
    app = await asyncio.to_thread(_ready_app, settings)
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(open_queue(app, settings.jobs_enqueue_timeout))
        await stack.enter_async_context(open_beat(app))
        await stack.enter_async_context(looking(app, settings.jobs_look_seconds))
        service = Service(
            pb.DESCRIPTOR.services_by_name["JobService"], JobServicer(queue), rpc.add_JobServiceServicer_to_server
        )
        yield await stack.enter_async_context(open_server(settings, [service], name="jobs"))


def _ready_app(settings: JobsSettings) -> Celery:
    """The app without tasks, which only workers need; what Celery loads at its first use is loaded."""
    app = create_app(settings)
    app.finalize()
    for part in ("router", "queues", "Producer"):
        getattr(app.amqp, part)
    return app


async def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    async with serving(JobsSettings()):
        await until_signal()


if __name__ == "__main__":
    run(main, name="jobs")
