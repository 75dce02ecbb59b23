"""Who may use a model's slots, and who waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.generation import metrics
from services.generation.domain import failures


class Admission:
    """So many at once; some more wait, first come first served; the rest are told to come back.

    Args:
        provider: the provider's name, for metrics.
        slots: how many at once.
        queue: how many may wait.
    """

    def __init__(self, provider: str, slots: int, queue: int) -> None:
        self._free = asyncio.Semaphore(slots)
        self._room = queue
        self._waiting = 0
        self._in_use = metrics.SLOTS_IN_USE.labels(provider)
        self._queued = metrics.QUEUED.labels(provider)
        metrics.SLOTS.labels(provider).set(slots)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a slot; a waiter that is cancelled leaves the queue.

        Raises:
            ResourceExhausted: too many wait already.
        """
        if self._free.locked() and self._waiting >= self._room:
            raise failures.busy()
        self._waiting += 1
        self._queued.set(self._waiting)
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
            self._queued.set(self._waiting)
        self._in_use.inc()
        try:
            yield
        finally:
            self._in_use.dec()
            self._free.release()
