"""Refuses calls beyond what the process can answer in time."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import grpc

from mesh import priority
from mesh.config import MeshSettings
from mesh.errors import DeadlineExceeded, MeshError, ResourceExhausted
from mesh.interceptors.pipeline import Call
from mesh.limiter import Arrivals, Gradient, Limiter, Partitions
from mesh.limiter.arrival import KEY as SENT
from mesh.limiter.limiter import held
from mesh.limiter.metrics import Metrics
from mesh.telemetry import rpc_metrics
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

OVERLOADED = "OVERLOADED"
"""The reason of what is refused here and at the gateway."""
_EXEMPT = "/gaji.mesh."
"""The relay, which carries calls that are counted themselves, and what operators call to see what is going on."""
_RETRY_SECONDS = (0.5, 2.0)


class _Overloaded(ResourceExhausted):
    """A refusal that is made once and told often."""

    def __init__(self, retry_after: float) -> None:
        text = "the service has more calls than it can answer in time; try again in a moment"
        super().__init__(text, reason=OVERLOADED, retry_after=retry_after)
        self._trailing = super().trailing_metadata()

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The details, as they were made."""
        return self._trailing


def limited(
    settings: MeshSettings, clock: Callable[[], float] = time.monotonic
) -> Callable[[Call], AbstractContextManager[None]]:
    """Takes a permit for each call, or refuses it: RESOURCE_EXHAUSTED, OVERLOADED, with a time to come back.

    Stands outermost, so that a refused call costs no more than it must: it is counted as all calls are, but has no line
    in the log of its own; there is one a second that says how many. A unary call holds its permit to its end, a stream
    to its first message: what follows comes when it comes and is bounded by the number of streams. The time of unary
    calls alone says how busy the process is, and only of those that ended well or too late: who leaves, or asks for
    what is not there, is answered at another pace.
    """
    if not settings.limit:
        return _free
    gradient = Gradient(initial=settings.limit_initial, minimum=settings.limit_min, maximum=settings.limit_max)
    limiter = Limiter(gradient, Partitions(), clock=clock, observer=Metrics())
    arrivals = Arrivals()
    tally = _Tally(clock)
    steps = 16
    first, last = _RETRY_SECONDS
    refusals = [_Overloaded(first + (last - first) * step / (steps - 1)) for step in range(steps)]

    @contextmanager
    def around(call: Call) -> Iterator[None]:
        partition = priority.enter(call.text(priority.KEY))
        if call.method.startswith(_EXEMPT):
            yield
            return
        waited = waiting = 0.0
        if not call.streaming:
            waited = arrivals.waited(call.peer, call.text(SENT), clock())
            waiting = arrivals.waiting()
        permit = limiter.acquire(partition, waiting=waiting)
        if permit is None:
            rpc_metrics.served(call.method).refused(_CODE, time.perf_counter() - call.started)
            tally.refused()
            raise random.choice(refusals).with_traceback(None)  # noqa: S311 - spreads load, hides nothing
        held.set(permit)
        call.began = permit.end
        kind = None
        try:
            yield
            kind = None if call.streaming else call.method
        except (DeadlineExceeded, asyncio.CancelledError):
            if not call.streaming and call.late:
                kind = call.method
            raise
        finally:
            permit.end(kind, waited)

    return around


_CODE = grpc.StatusCode.RESOURCE_EXHAUSTED


@contextmanager
def _free(call: Call) -> Iterator[None]:
    priority.enter(call.text(priority.KEY))
    yield


class _Tally:
    """One line a second of how many calls were refused."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._told = float("-inf")

    def refused(self) -> None:
        """One more."""
        self._count += 1
        now = self._clock()
        if now - self._told >= 1.0:
            log.warning("calls are refused: overload", extra={"refused": self._count})
            self._count, self._told = 0, now


def is_overload(error: MeshError) -> bool:
    """Whether an error says that a process has too much to do, rather than that its caller has used up a quota."""
    return isinstance(error, ResourceExhausted) and error.reason == OVERLOADED
