"""All hosts together, as the scenarios of `benchmarks.faults` see a stack."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.availability.house import descendants
from benchmarks.faults.running import Replica, Stack
from benchmarks.hosts.machine import Machine, Slot
from benchmarks.hosts.network import Network, open_network
from benchmarks.hosts.town import ADDRESSES, PLACES, ROOMS_HOST, STORES_HOST, programs

_STOP_SECONDS = 5.0


class Hosts(Stack):
    """Running hosts.

    Args:
        data_dir: the data folder of all.
        network: what they are plugged into.
        machines: the hosts by name.
    """

    def __init__(self, data_dir: Path, network: Network, machines: dict[str, Machine]) -> None:
        super().__init__(data_dir)
        self.network = network
        self.machines = machines

    def replicas(self, *services: str) -> list[Replica]:
        """The processes of these services, also those that are lost at present; of none: of all."""
        found = [
            Replica(slot.child.service, _number(slot), slot.process.pid, dict(slot.child.facts))
            for _, slot in self.slots()
            if slot.process is not None and (not services or slot.child.service in services)
        ]
        return sorted(found, key=lambda replica: (replica.service, replica.number))

    def slots(self, *services: str) -> list[tuple[Machine, Slot]]:
        """The places of processes and their hosts; of no service: all."""
        return [
            (machine, slot)
            for machine in self.machines.values()
            for slot in machine.slots
            if not services or slot.child.service in services
        ]

    def lives(self, replica: Replica) -> bool:
        """Whether the process is there."""
        return any(
            slot.process is not None and slot.process.pid == replica.pid and slot.process.returncode is None
            for _, slot in self.slots(replica.service)
        )

    def kill(self, replica: Replica, signum: signal.Signals = signal.SIGKILL, *, group: bool = False) -> bool:
        """Sends a signal to a process, or to it and all that descend from it; whether it was there."""
        if not self.lives(replica):
            return False
        for pid in descendants(replica.pid) if group else [replica.pid]:
            os.kill(pid, signum)
        return True

    def died(self) -> list[str]:
        """What has ended though nobody wanted it to: a sentence each."""
        return [sentence for machine in self.machines.values() for sentence in machine.died()]

    def hosts_of(self, names: Sequence[str]) -> list[Machine]:
        """Hosts by name."""
        return [self.machines[name] for name in names]


@asynccontextmanager
async def open_hosts() -> AsyncIterator[Hosts]:
    """Five hosts, of which this process is one, with everything running, until the block is left.

    Raises:
        StackError: something can't be started.
        OSError: the system refuses hosts.
        TimeoutError: something is not ready in time.
    """
    with TemporaryDirectory(prefix="gaji-hosts-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - the stores run as a user of their own
        data_dir = Path(folder) / "data"
        async with open_network() as network:
            children = await programs(data_dir)
            machines = {name: Machine(network, name, ADDRESSES[name], children[name]) for name in PLACES}
            hosts = Hosts(data_dir, network, machines)
            try:
                await machines[STORES_HOST].boot()
                others = [name for name in PLACES if name != STORES_HOST]
                await asyncio.gather(*(machines[name].boot() for name in others))
                await hosts.settled()
                yield hosts
            finally:
                for group in ([name for name in PLACES if name not in {ROOMS_HOST, STORES_HOST}], [ROOMS_HOST]):
                    await asyncio.gather(*(machines[name].stop(_STOP_SECONDS) for name in group))
                await machines[STORES_HOST].stop(_STOP_SECONDS)


def _number(slot: Slot) -> int:
    """Its place among its service's, from 0; names are ``search``, ``search-2``, ..."""
    suffix = slot.child.program.name.removeprefix(slot.child.service).lstrip("-")
    return int(suffix or 1) - 1
