"""Puts batches into Celery's queues without holding up the event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError

from mesh.telemetry.spans.messaging import sending
from services.search.config import SearchSettings
from services.search.fleet.app import TASK, create_app
from services.search.fleet.mailbox import MailboxError
from services.search.fleet.versions import queue_of

_THREADS = 2
_SEND_SECONDS = 6.0


class Dispatch:
    """Sends tasks.

    Args:
        app: knows the queues.
        threads: where Celery, which blocks, may do so.
    """

    def __init__(self, app: Celery, threads: ThreadPoolExecutor) -> None:
        self._app = app
        self._threads = threads

    async def send(self, batch: str, model: str, version: str) -> None:
        """Has a batch read by whoever has this version of the model.

        Raises:
            MailboxError: it could not be put into its queue in time; it may be there later all the same.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                with sending("celery", TASK, TASK) as headers:
                    await loop.run_in_executor(self._threads, self._send, batch, model, version, headers)
        except (OperationalError, OSError, TimeoutError) as error:
            raise MailboxError(f"the queue does not answer: {error}") from error

    def _send(self, batch: str, model: str, version: str, headers: dict[str, str]) -> None:
        queue = queue_of(model, version)
        self._app.send_task(TASK, (batch, model, version), queue=queue, ignore_result=True, headers=headers)


@asynccontextmanager
async def open_dispatch(settings: SearchSettings, queues: Sequence[str]) -> AsyncIterator[Dispatch]:
    """A dispatch for as long as the block lasts."""
    app = await asyncio.to_thread(_ready_app, settings, queues)
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="embedding-queue")
    try:
        yield Dispatch(app, threads)
    finally:
        # Whatever still waits for Valkey gives up by its own limits.
        threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(closed, app)


def _ready_app(settings: SearchSettings, queues: Sequence[str]) -> Celery:
    """The app without its task, which only workers need; what Celery loads at its first use is loaded."""
    app = create_app(settings, queues)
    app.finalize()
    for part in ("router", "queues", "Producer"):
        getattr(app.amqp, part)
    return app


def closed(app: Celery) -> None:
    """Closes the connections of an app that sends."""
    app.pool.force_close_all()
    # kombu keeps one pool for all apps with the same address, closed or not: the next one shall have its own.
    address = app.connection_for_write()
    for group in (pools.producers, pools.connections):
        with suppress(KeyError):  # it says of none that it is in there
            del group[address]
    app.close()
