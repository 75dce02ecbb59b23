"""Permits of one process."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from mesh.limiter.gradient import Gradient
from mesh.limiter.partitions import Partitions


class Observer(Protocol):
    """Whoever counts what a limiter does."""

    def limit(self, limit: int) -> None:
        """The limit is so high."""

    def in_flight(self, partition: str, count: int) -> None:
        """So many calls of a partition are in flight."""

    def shed(self, partition: str) -> None:
        """A call was refused."""


class Permit:
    """The right to answer one call; to be given back once, more does no harm."""

    __slots__ = ("_arrived", "_in_flight", "_limiter", "_partition")

    def __init__(self, limiter: "Limiter", partition: str, arrived: float, in_flight: int) -> None:
        self._limiter: Limiter | None = limiter
        self._partition = partition
        self._arrived = arrived
        self._in_flight = in_flight

    def end(self, kind: str | None = None, also: float = 0.0) -> None:
        """Gives it back.

        Args:
            kind: of the call, where the time that it took says how busy the process is; None: it says nothing.
            also: seconds that its caller waited beside those from its arrival to now.
        """
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.ended(self._partition)
            if kind is not None:
                limiter.sample(kind, self._arrived, also, self._in_flight)


class Limiter:
    """Gives permits while there are any.

    Args:
        gradient: finds the limit.
        partitions: its shares.
        clock: seconds, only going forward.
        observer: is told what happens.
    """

    def __init__(
        self, gradient: Gradient, partitions: Partitions, *, clock: Callable[[], float], observer: Observer
    ) -> None:
        self._gradient = gradient
        self._partitions = partitions
        self._clock = clock
        self._observer = observer
        observer.limit(gradient.limit)

    def acquire(self, partition: str, *, arrived: float | None = None, waiting: float = 0.0) -> Permit | None:
        """A permit; None: the call is to be refused.

        Args:
            partition: whose it is.
            arrived: when the call came; None: now.
            waiting: how many calls wait before those in flight.
        """
        partitions = self._partitions
        if not partitions.acquire(partition, self._gradient.limit, waiting):
            self._observer.shed(partition)
            return None
        self._observer.in_flight(partition, partitions.in_flight[partition])
        now = self._clock() if arrived is None else arrived
        return Permit(self, partition, now, partitions.total + int(waiting))

    def ended(self, partition: str) -> None:
        """A permit has come back."""
        self._partitions.release(partition)
        self._observer.in_flight(partition, self._partitions.in_flight[partition])

    def sample(self, kind: str, arrived: float, also: float, in_flight: int) -> None:
        """A call has taken its time."""
        now = self._clock()
        if self._gradient.sample(kind, now - arrived + also, in_flight, now):
            self._observer.limit(self._gradient.limit)


held: ContextVar[Permit | None] = ContextVar("gaji_permit", default=None)
"""The permit of the call that is being answered."""


def waits() -> None:
    """Says that the call that is being answered only waits from here on, for work that others do.

    Its permit goes back, since it takes nothing of this process, and its time says nothing.
    """
    permit = held.get()
    if permit is not None:
        permit.end()
