"""Who is killed when, and what the gateways have counted until then."""

import asyncio
import random
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from types import TracebackType
from typing import Self

import httpx

from benchmarks.faults.running import Replica, Stack

KINDS = (("gateway",), ("generation",), ("worker-high", "worker-low"))
"""What is killed at random, each kind as likely as the others."""
_METER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Killing:
    """A process was killed.

    Attributes:
        at: by the monotonic clock.
    """

    service: str
    name: str
    at: float


async def count_of(http: httpx.AsyncClient, replica: Replica, metric: str) -> float:
    """What a process says of a metric, all labels together; 0: it says nothing."""
    try:
        text = (await http.get(f"http://{replica.facts['admin']}/metrics")).text
    except httpx.TransportError:
        return 0.0
    return sum(float(value) for value in re.findall(rf"^{metric}(?:\{{[^}}]*\}})? (\S+)", text, re.MULTILINE))


class Killer:
    """Kills processes of a stack and reads the gateways' counters, which die with them.

    Attributes:
        kills: what was killed so far.
    """

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.kills: list[Killing] = []
        self._stack = stack
        self._chance = chance
        self._resumes: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._http = httpx.AsyncClient(timeout=1.0, trust_env=False)

    async def __aenter__(self) -> Self:
        await self.gateway_resumes()
        self._before = dict(self._resumes)
        self._meter = asyncio.create_task(self._measure())
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._meter.cancel()
        await asyncio.gather(self._meter, return_exceptions=True)
        await self._http.aclose()

    async def kill(
        self, replica: Replica, signum: signal.Signals = signal.SIGKILL, *, group: bool = False
    ) -> Replica | None:
        """Kills one process of the stack; None: it was not there."""
        if replica.service == "gateway":
            await self._read(replica)
        at = time.monotonic()
        if not self._stack.kill(replica, signum, group=group):
            return None
        self.kills.append(Killing(replica.service, replica.name, at))
        return replica

    async def at_random(self, every: float, kinds: Sequence[Sequence[str]] = KINDS) -> None:
        """Kills one process after the other, chosen at random, until it is cancelled.

        Only processes that do their work are chosen: where a start takes longer than the pause, all else would be a
        measure of the machine. That all of a kind are away at once is as likely as it is.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += every
            await asyncio.sleep(due - loop.time())
            candidates = self._stack.replicas(*self._chance.choice(kinds))
            at_work = await asyncio.gather(*map(self._works, candidates))
            if any(at_work):
                await self.kill(self._chance.choice(list(compress(candidates, at_work))))

    async def gateway_resumes(self) -> int:
        """Streams that gateways went on with by themselves, as far as they have told before they were killed."""
        await asyncio.gather(*map(self._read, self._stack.replicas("gateway")))
        return sum(self._resumes.values()) - sum(self._before.values())

    async def _works(self, replica: Replica) -> bool:
        return self._stack.lives(replica) and await replica.is_ready()

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(_METER_SECONDS)
            await self.gateway_resumes()

    async def _read(self, gateway: Replica) -> None:
        counted = await count_of(self._http, gateway, "gaji_sse_resumes_total")
        self._resumes[gateway.pid] = max(self._resumes.get(gateway.pid, 0), int(counted))
