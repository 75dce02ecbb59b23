"""A worker as a process: ``python -m services.jobs.worker high_priority`` or ``low_priority``.

The parent takes jobs from its queue and hands them to forked children, which call the rooms. Its admin port opens when
it takes jobs: an answer there says that it does.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from billiard import active_children
from celery.exceptions import WorkerTerminate
from celery.signals import worker_process_init

from mesh import memory
from mesh.process import ending_in_words
from mesh.telemetry.admin import open_admin
from mesh.telemetry.logs import get_logger
from services.jobs.app import create_app
from services.jobs.clients import GrpcRooms
from services.jobs.config import JobsSettings
from services.jobs.domain import HIGH, LOW
from services.jobs.tasks import add_tasks
from services.jobs.tracing import trace_children

log = get_logger(__name__)


def work(queue: str, settings: JobsSettings) -> int:
    """Does the jobs of a queue until SIGTERM or SIGINT; returns the exit code.

    A stop does not wait for jobs: they only wait for their rooms, which go on. Those that were not done go back into
    the queue.

    Args:
        queue: its name.
        settings: where the queues and the rooms are, limits.
    """
    app = create_app(settings)
    add_tasks(app, settings, GrpcRooms(settings, settings.jobs_call_seconds))
    # Each job has its line from `services.jobs.tally`, and a failed one its reason from `services.jobs.tasks`.
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.CRITICAL)
    _tie_children()
    trace_children()
    admin = open_admin(settings.admin_listen)
    address = ""
    with asyncio.Runner() as runner:  # which only opens and closes the admin port: Celery has a loop of its own

        def ready(_consumer: Any) -> None:  # after each connection
            nonlocal address
            if not address:
                address = runner.run(admin.__aenter__())
            log.info("taking jobs", extra={"queue": queue, "admin": address})

        worker = app.WorkController(
            hostname=f"{queue}.{os.getpid()}@{socket.gethostname()}",
            queues=[queue],
            concurrency=settings.jobs_high_concurrency if queue == HIGH else settings.jobs_low_concurrency,
            ready_callback=ready,
            # What workers tell each other: nothing.
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
        )
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, _stop)
        # What is here by now lives as long as the process: the children share its memory, if nobody sorts through it.
        gc.collect()
        memory.give_back()
        gc.freeze()
        try:
            worker.start()
        finally:
            if address:
                runner.run(admin.__aexit__(None, None, None))
    log.info("stopped")
    return worker.exitcode or 0


def _tie_children() -> None:
    """Celery has the kernel kill children whose parent dies; one whose parent died before that was asked for ends."""
    parent = os.getpid()

    def born(**_: Any) -> None:
        if os.getppid() != parent:
            os._exit(1)

    worker_process_init.connect(born, weak=False)


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """Ends the worker's loop wherever it is, or the process, when that has not begun.

    The children are killed first: they keep nothing, and Celery would wait for each to unwind.
    """
    # What Celery says of killed children, at length, is no news when it is we who end.
    logging.getLogger("celery.worker.request").setLevel(logging.CRITICAL)
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    raise WorkerTerminate(0)


def main() -> None:
    """Works on the queue that the command line names."""
    queue = sys.argv[1] if len(sys.argv) == 2 else ""
    if queue not in {HIGH, LOW}:
        sys.exit(f"usage: python -m services.jobs.worker {HIGH}|{LOW}")
    with ending_in_words(f"worker-{queue.partition('_')[0]}"):
        sys.exit(work(queue, JobsSettings()))


if __name__ == "__main__":
    main()
