"""The clock of the sweeps, in a thread of the process that takes jobs. Every replica may have one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService, Scheduler, SchedulingError

from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_WAKE_SECONDS = 0.25
_STOP_SECONDS = 2.0


class Beat(Scheduler):  # type: ignore[misc]  # Celery has no type information
    """Keeps its schedule in memory, wakes often enough to be stopped, and does not wait for a queue that is down."""

    producer = None  # each beat takes a connection from the pool; one of its own would be waited for without end

    def tick(self, **_: Any) -> float:
        """Sends what is due; returns how long to sleep."""
        return float(min(super().tick(), _WAKE_SECONDS))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends a task; one that can't be sent is left to the next beat."""
        try:
            self.apply_async(entry, advance=False)
        except SchedulingError as error:
            log.warning("could not send", extra={"task": entry.task, "error": str(error)})


@asynccontextmanager
async def open_beat(app: Celery) -> AsyncIterator[None]:
    """Beats for as long as the block lasts."""
    thread = EmbeddedService(app, thread=True, scheduler_cls=Beat)
    thread.start()
    try:
        yield
    finally:
        thread.service.stop()
        await asyncio.to_thread(thread.join, _STOP_SECONDS)
