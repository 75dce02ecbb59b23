"""Looks at the queues every few seconds, for the metrics: how many jobs wait, for how long, how many are being done."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery

from mesh.process import ended
from mesh.telemetry.logs import get_logger
from services.jobs.app import KEY_PREFIX, QUEUED_AT
from services.jobs.domain import HIGH, LOW
from services.jobs.metrics import QUEUE_AGE, QUEUE_LENGTH, TAKEN
from services.jobs.ports import QueueUnavailableError

log = get_logger(__name__)

_CLOSE_SECONDS = 1.0
_TAKEN_KEY = f"{KEY_PREFIX}unacked"
"""Where kombu keeps what workers have taken (its option ``unacked_key``)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was at a look.

    Attributes:
        lengths: jobs that wait, by queue.
        oldest: when the first of them was put there, in Unix time, by queue, where there is one that says so.
        taken: jobs that workers have taken.
    """

    lengths: dict[str, int]
    oldest: dict[str, float]
    taken: int


class Looker:
    """Looks; for one thread, since Celery's connection blocks.

    Args:
        app: knows where the queues are.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._client: Any = None
        self._errors: tuple[type[Exception], ...] = (OSError,)

    def look(self) -> Seen:
        """What there is now.

        Raises:
            QueueUnavailableError: the queues do not answer.
        """
        if self._client is None:
            backend = self._app.backend
            self._errors = (OSError, *backend.connection_errors, *backend.channel_errors)
            self._client = backend.client
        try:
            with self._client.pipeline(transaction=False) as asking:
                for queue in (HIGH, LOW):
                    asking.llen(KEY_PREFIX + queue)
                    asking.lindex(KEY_PREFIX + queue, -1)  # the next one to be taken
                asking.hlen(_TAKEN_KEY)
                high, first_high, low, first_low, taken = asking.execute()
        except self._errors as error:
            raise QueueUnavailableError(str(error)) from error
        firsts = {HIGH: queued_at(first_high), LOW: queued_at(first_low)}
        oldest = {queue: moment for queue, moment in firsts.items() if moment is not None}
        return Seen({HIGH: high, LOW: low}, oldest, taken)

    def close(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            self._client.connection_pool.disconnect()


def queued_at(job: bytes | str | None) -> float | None:
    """When a job was put into its queue, in Unix time; None: there is no job, or it does not say."""
    try:
        moment = json.loads(job)["headers"][QUEUED_AT] if job else None
    except (ValueError, LookupError, TypeError):  # not one of ours
        return None
    return float(moment) if isinstance(moment, int | float) and math.isfinite(moment) else None


@asynccontextmanager
async def looking(app: Celery, seconds: float) -> AsyncIterator[None]:
    """Keeps the metrics fresh while the block lasts, whether or not the queues answer.

    Args:
        app: knows where the queues are.
        seconds: from one look to the next.
    """
    looker = Looker(app)
    thread = ThreadPoolExecutor(1, thread_name_prefix="queue-look")
    task = asyncio.create_task(_keep_looking(looker, thread, seconds), name="queue-look")
    try:
        yield
    finally:
        await ended(task)
        closing = asyncio.get_running_loop().run_in_executor(thread, looker.close)
        await asyncio.wait([closing], timeout=_CLOSE_SECONDS)
        thread.shutdown(wait=False)  # whatever still waits for Redis gives up by its own limits


async def _keep_looking(looker: Looker, thread: ThreadPoolExecutor, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    blind = False
    while True:
        try:
            _show(await loop.run_in_executor(thread, looker.look), time.time())
            blind = False
        except QueueUnavailableError as error:
            _show_nothing()
            if not blind:
                log.warning("the queues cannot be looked at", extra={"error": str(error)})
            blind = True
        await asyncio.sleep(seconds)


def _show(seen: Seen, now: float) -> None:
    QUEUE_AGE.clear()
    for queue, length in seen.lengths.items():
        QUEUE_LENGTH.labels(queue).set(length)
    for queue, moment in seen.oldest.items():
        QUEUE_AGE.labels(queue).set(max(0.0, now - moment))
    TAKEN.set(seen.taken)


def _show_nothing() -> None:
    """What is not known is not said."""
    QUEUE_LENGTH.clear()
    QUEUE_AGE.clear()
    TAKEN.set(math.nan)
