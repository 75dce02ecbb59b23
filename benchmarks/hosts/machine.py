"""One host: its cable and its processes."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults.availability.house import descendants
from benchmarks.hosts.network import Network
from benchmarks.hosts.town import with_build
from stack.processes import Process, Program, wrapped
from stack.supervisor import Child

STOP_SECONDS = 12.0
_SENTENCE = 300


@dataclass(slots=True)
class Slot:
    """A process of a host, or its place.

    Attributes:
        child: what runs there.
        process: what does run; None: nothing has yet.
        build: the folder of another build that it is of.
        wanted: whether it should be running.
    """

    child: Child
    process: Process | None = None
    build: Path | None = None
    wanted: bool = False


class Machine:
    """A host.

    Args:
        network: what it is plugged into.
        name: the host's.
        address: the host's.
        children: what runs on it, in the order of the start.
    """

    def __init__(self, network: Network, name: str, address: str, children: Sequence[Child]) -> None:
        self.name = name
        self.slots = [Slot(child) for child in children]
        self._network = network
        self._address = address

    async def boot(self) -> None:
        """Plugs it in and starts everything on it; returns when all of it does its work.

        Raises:
            StartFailedError: something can't be started.
            OSError: the system refuses.
        """
        await self._network.join(self.name, self._address)
        starting = (self.start(slot) for slot in self.slots)
        for result in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def start(self, slot: Slot) -> None:
        """Starts a process; returns when it does its work.

        Raises:
            StartFailedError: it can't be started.
        """
        slot.process = await Process.start(self._inside(with_build(slot.child.program, slot.build)))
        slot.wanted = True
        await slot.process.wait_ready()

    async def replace(self, slot: Slot, build: Path) -> float:
        """Stops a process politely and starts it from another build; returns the seconds that it took to stop.

        Raises:
            StartFailedError: it can't be started.
        """
        slot.wanted = False
        began = time.monotonic()
        if slot.process is not None:
            await slot.process.stop(STOP_SECONDS)
        took = time.monotonic() - began
        slot.build = build
        await self.start(slot)
        return took

    async def lose(self) -> list[str]:
        """The host is gone from one moment to the next; returns what ran there."""
        await self._network.cut(self.name)
        lost = [slot for slot in self.slots if slot.process is not None and slot.process.returncode is None]
        for slot in lost:
            slot.wanted = False
            if slot.process is not None:
                _kill_all(slot.process.pid)
        await asyncio.gather(*(slot.process.wait() for slot in lost if slot.process is not None))
        await self._network.leave(self.name)
        return [slot.child.program.name for slot in lost]

    async def stop(self, seconds: float) -> None:
        """Ends its processes, with so many seconds to do it by themselves."""
        for slot in self.slots:
            slot.wanted = False
        stopping = [slot.process.stop(seconds) for slot in self.slots if slot.process is not None]
        await asyncio.gather(*stopping)

    def died(self) -> list[str]:
        """What should run and does not: a sentence each."""
        ended = [slot for slot in self.slots if slot.wanted and slot.process and slot.process.returncode is not None]
        said = [f"{slot.child.program.name}: {''.join(slot.child.program.log.tail()[-1:])}" for slot in ended]
        return [sentence[:_SENTENCE] for sentence in said]

    def _inside(self, program: Program) -> Program:
        argv = program.argv
        if program.user:  # who has become another user may not enter a network namespace any more
            argv = wrapped(argv, program.user, program.folder, program.orphan_signal)
        return replace(program, argv=self._network.inside(self.name, argv), user=None)


def _kill_all(pid: int) -> None:
    """Kills a process and all that descend from it, PostgreSQL's as well, which are no group."""
    for each in descendants(pid):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
