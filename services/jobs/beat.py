"""The clock of the sweeps, in a thread of the process that takes jobs. Every replica may have one."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService, Scheduler, SchedulingError

from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_LONGEST_SECONDS = 60.0
_STOP_SECONDS = 2.0


class Beat(Scheduler):  # type: ignore[misc]  # Celery has no type information
    """Keeps its schedule in memory, sleeps until something is due, and does not wait for a queue that is down.

    Args:
        stopping: ends its sleep.
    """

    producer = None  # each beat takes a connection from the pool; one of its own would be waited for without end

    def __init__(self, *args: Any, stopping: threading.Event, **kwargs: Any) -> None:
        # Celery wakes a thread once a second, since it can't end its sleep.
        super().__init__(*args, **{**kwargs, "max_interval": _LONGEST_SECONDS})
        self._stopping = stopping

    def tick(self, **_: Any) -> float:
        """Sends what is due, and sleeps until something is or it shall stop; so there is nothing left to sleep."""
        self._stopping.wait(super().tick())
        return 0.0

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends a task; one that can't be sent is left to the next beat."""
        try:
            self.apply_async(entry, advance=False)
        except SchedulingError as error:
            log.warning("could not send", extra={"task": entry.task, "error": str(error)})


@asynccontextmanager
async def open_beat(app: Celery) -> AsyncIterator[None]:
    """Beats for as long as the block lasts."""
    stopping = threading.Event()
    thread = EmbeddedService(app, thread=True, scheduler_cls=partial(Beat, stopping=stopping))
    thread.start()
    try:
        yield
    finally:
        thread.service.stop()
        stopping.set()
        await asyncio.to_thread(thread.join, _STOP_SECONDS)
