"""What happens to hosts: the rows of the table."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.faults.killing import Killer, Killing
from benchmarks.hosts.hosts import Hosts
from benchmarks.hosts.town import FRONTS, ROOMS_HOST, STORES_HOST

_ORDER = ("gateway", "generation", "search", "library", "cache", "jobs", "worker-high", "worker-low")


class Kind(StrEnum):
    """What a fault is."""

    CUT = "cable pulled"
    DROP = "packets dropped"
    LOSE = "host lost"
    PART = "cut off from each other"
    UPGRADE = "rolling upgrade"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to hosts.

    Attributes:
        name: as it is chosen.
        kind: what happens.
        hosts: to which.
        seconds: for how long; an upgrade takes as long as it takes.
        services: of an upgrade, those that are replaced.
        quick: whether it is part of a short run.
    """

    name: str
    kind: Kind
    hosts: tuple[str, ...] = ()
    seconds: float = 10.0
    services: tuple[str, ...] = _ORDER
    quick: bool = False

    @property
    def title(self) -> str:
        """As the table has it."""
        whom = " and ".join(self.hosts) or ("all services" if self.services == _ORDER else " and ".join(self.services))
        return f"{whom}: {self.kind}"

    @property
    def redundant(self) -> bool:
        """Whether there is another host, or replica, for all that is away at a time."""
        if self.kind is Kind.UPGRADE:
            return self.services != _ORDER
        return self.kind is Kind.PART or set(self.hosts) <= set(FRONTS)


FAULTS: Sequence[Fault] = (
    Fault("front-dropped", Kind.DROP, (FRONTS[0],), quick=True),
    Fault("front-cut", Kind.CUT, (FRONTS[1],)),
    Fault("front-lost", Kind.LOSE, (FRONTS[1],), quick=True),
    Fault("front-from-rooms", Kind.PART, (FRONTS[0], ROOMS_HOST)),
    Fault("rooms-dropped", Kind.DROP, (ROOMS_HOST,)),
    Fault("rooms-lost", Kind.LOSE, (ROOMS_HOST,)),
    Fault("stores-dropped", Kind.DROP, (STORES_HOST,)),
    Fault("stores-lost", Kind.LOSE, (STORES_HOST,)),
    Fault("upgrade-generation", Kind.UPGRADE, services=("generation",), quick=True),
    Fault("upgrade", Kind.UPGRADE),
)
"""In the order of a run. An upgrade of generation is a part of that of all."""


class Breaking:
    """A fault that can be begun and ended.

    Args:
        hosts: to which it happens.
        fault: what.
        build: the folder of the next build, for an upgrade.
    """

    def __init__(self, hosts: Hosts, fault: Fault, build: Path) -> None:
        self._hosts = hosts
        self._fault = fault
        self._build = build
        self.stops: list[float] = []

    async def begin(self, killer: Killer) -> None:
        """Begins it; an upgrade is over then.

        Raises:
            StartFailedError: the next build can't be started.
        """
        fault, network = self._fault, self._hosts.network
        if fault.kind is Kind.UPGRADE:
            await self._upgrade()
        elif fault.kind is Kind.PART:
            await network.part(*fault.hosts)
        else:
            for name in fault.hosts:
                if fault.kind is Kind.LOSE:
                    at = time.monotonic()
                    lost = await self._hosts.machines[name].lose()
                    killer.kills += [Killing(process.partition("-")[0], process, at) for process in lost]
                elif fault.kind is Kind.CUT:
                    await network.cut(name)
                else:
                    await network.drop(name)

    async def end(self) -> float:
        """Ends it; returns when the hosts were there again, with all their processes at work.

        Raises:
            StartFailedError: a process can't be started again.
        """
        fault, network = self._fault, self._hosts.network
        if fault.kind is Kind.PART:
            await network.part(*fault.hosts, back=True)
        elif fault.kind is Kind.LOSE:
            await asyncio.gather(*(machine.boot() for machine in self._hosts.hosts_of(fault.hosts)))
        else:
            for name in fault.hosts:
                await (network.cut if fault.kind is Kind.CUT else network.drop)(name, back=True)
        return time.monotonic()

    async def _upgrade(self) -> None:
        for service in self._fault.services:
            for machine, slot in self._hosts.slots(service):
                self.stops.append(await machine.replace(slot, self._build))
