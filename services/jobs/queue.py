"""Puts jobs into their queues without holding up the event loop."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from celery import Celery
from kombu.exceptions import OperationalError

from mesh.telemetry.spans.messaging import sending
from services.jobs.domain import QUEUES
from services.jobs.ports import QueueUnavailableError

_THREADS = 4


class CeleryQueue:
    """The port `Queue`.

    Args:
        app: knows the queues.
        threads: where Celery, which blocks, may do so; they are few, so that a Redis that hangs holds up no more.
        seconds: what putting a job into its queue may take.
    """

    def __init__(self, app: Celery, threads: ThreadPoolExecutor, seconds: float) -> None:
        self._app = app
        self._threads = threads
        self._seconds = seconds

    async def put(self, job: str, key: str) -> str:
        """Puts a job into its queue; returns its id there.

        Raises:
            QueueUnavailableError: it could not be put there in time; it may be there later all the same.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                with sending("celery", QUEUES[job], job) as headers:
                    return await loop.run_in_executor(self._threads, self._put, job, key, headers)
        except (OperationalError, OSError, TimeoutError) as error:
            raise QueueUnavailableError("the queues do not answer; try again") from error

    def _put(self, job: str, key: str, headers: dict[str, str]) -> str:
        return str(self._app.send_task(job, (key,), headers=headers).id)


@asynccontextmanager
async def open_queue(app: Celery, seconds: float) -> AsyncIterator[CeleryQueue]:
    """A queue for as long as the block lasts."""
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="queue")
    try:
        yield CeleryQueue(app, threads, seconds)
    finally:
        # Whatever still waits for Redis gives up by its own limits.
        threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(_closed, app)


def _closed(app: Celery) -> None:
    app.pool.force_close_all()
    app.close()
