"""A worker that reads passages, as a process: ``python -m services.search.embedding_worker``.

It needs the models and Valkey, and no other room. Its admin port opens when it takes batches: an answer there says that
it does.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any

from celery import Celery, Task
from celery.exceptions import WorkerShutdown
from celery.worker import state

from mesh import memory
from mesh.process import ending_in_words
from mesh.telemetry.admin import open_admin
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans import tracing
from mesh.telemetry.spans.messaging import TRACEPARENT, processing
from services.search.config import SearchSettings
from services.search.fleet.app import TASK, create_app
from services.search.fleet.desk import Desk, open_desk
from services.search.fleet.versions import queue_of, versions_here

log = get_logger(__name__)


class EmbedBatch(Task):  # type: ignore[misc]  # Celery has no type information
    """Reads a batch in the worker's main thread, where Celery's loop waits meanwhile.

    Args:
        desk: reads it.
        runner: the event loop of the desk.

    Attributes:
        busy: whether a batch is in hand.
    """

    name = TASK

    def __init__(self, desk: Desk, runner: asyncio.Runner) -> None:
        self.busy = False
        self._desk = desk
        self._runner = runner

    def run(self, batch: str, model: str, version: str) -> str:
        """Returns what became of the batch in a word."""
        self.busy = True
        try:
            sent = self.request.get(TRACEPARENT)
            with processing("celery", TASK, TASK, str(self.request.id), sent):
                # In this context: the runner's own is of its beginning.
                return self._runner.run(self._desk.work(batch, model, version), context=copy_context())
        finally:
            self.busy = False

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Says why: nobody looks at results, and search goes on without this batch's."""
        log.error("a batch failed", extra={"batch": args[0] if args else ""}, exc_info=exc)


def work(settings: SearchSettings) -> int:
    """Reads batches until SIGTERM or SIGINT, the one in hand to its end; returns the exit code.

    Args:
        settings: where Valkey is, how many threads the models have.

    Raises:
        ValueError: none of the models is installed.
    """
    versions = versions_here()
    queues = [queue_of(model, version) for model, version in versions.items()]
    if not queues:
        raise ValueError("there is no model here: install gaji[local]")
    app = create_app(settings, queues)
    app.set_current()  # the solo pool looks for tasks there
    # A batch that failed has its line from its task.
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.CRITICAL)
    admin = open_admin(settings.admin_listen)
    address = ""
    with asyncio.Runner() as runner:  # which runs while a batch is read: Celery has a loop of its own
        opening = open_desk(settings, versions)
        task = EmbedBatch(runner.run(opening.__aenter__()), runner)
        app.register_task(task)

        def ready(_consumer: Any) -> None:  # after each connection
            nonlocal address
            if not address:
                address = runner.run(admin.__aenter__())
            log.info("taking batches", extra={"queues": queues, "admin": address})

        try:
            code = _serve(app, queues, task, ready)
        finally:
            if address:
                runner.run(admin.__aexit__(None, None, None))
            runner.run(opening.__aexit__(None, None, None))
    log.info("stopped")
    return code


def _serve(app: Celery, queues: list[str], task: EmbedBatch, ready: Callable[[Any], None]) -> int:
    worker = app.WorkController(
        hostname=f"embedding.{os.getpid()}@{socket.gethostname()}",
        queues=queues,
        concurrency=1,
        ready_callback=ready,
        # What workers tell each other: nothing.
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        if task.busy:
            state.should_stop = 0  # looked at after the batch
            return
        raise WorkerShutdown(0)  # ends Celery's loop wherever it is

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    # What is here by now lives as long as the process.
    gc.collect()
    memory.give_back()
    gc.freeze()
    worker.start()
    return worker.exitcode or 0


def main() -> None:
    """Works as the environment says."""
    with ending_in_words("embedding"), tracing("embedding"):
        sys.exit(work(SearchSettings()))


if __name__ == "__main__":
    main()
