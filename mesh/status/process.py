"""The status of the process that this is in."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from gaji.mesh.v1 import breaker_service_pb2 as breaker_pb
from gaji.mesh.v1 import status_service_pb2 as pb
from prometheus_client import CollectorRegistry

from mesh.breaker import Breakers
from mesh.breaker.servicer import listed
from mesh.pages import MAX_SIZE
from mesh.status.measures import read_into
from mesh.telemetry.metrics import PROCESS, REGISTRY
from mesh.version import VERSION

_ROUNDS = 3


class ProcessStatus:
    """Says how the process is, each time anew.

    Args:
        name: what it serves.
        breakers: those before its calls to its peers.
        serving: whether it takes calls.
        streams: its methods that answer with streams, as metrics name them.
        registry: of its metrics.
    """

    def __init__(
        self,
        name: str,
        breakers: Breakers,
        serving: Callable[[], Awaitable[bool]],
        streams: Collection[str] = (),
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._breakers = breakers
        self._serving = serving
        self._streams = frozenset(streams)
        self._registry = registry
        self._started = time.time_ns()

    async def now(self) -> pb.Status:
        """How it is."""
        status = pb.Status(service=self._name, version=VERSION, loop_seconds=await _longest_round())
        status.health = pb.HEALTH_SERVING if await self._serving() else pb.HEALTH_NOT_SERVING
        status.started_at.FromNanoseconds(self._started)
        status.breakers.extend(listed(self._breakers, breaker_pb.ListBreakersRequest(page_size=MAX_SIZE)).breakers)
        await asyncio.to_thread(self._measure, status)
        return status

    def _measure(self, status: pb.Status) -> None:
        read_into(status, self._streams, self._registry)
        for metric in PROCESS.collect():
            for sample in metric.samples:
                if sample.name == "process_resident_memory_bytes":
                    status.memory_bytes = int(sample.value)


async def _longest_round() -> float:
    """Seconds of the longest of a few rounds of the event loop: what is called in one of them waits for the next."""
    longest = 0.0
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - began)
    return longest
