"""Breaks what a cell names, and mends it."""

import random
import signal
import time

from benchmarks.faults.availability.cells import ROOMS, Cell
from benchmarks.faults.availability.house import House
from benchmarks.faults.proxy import Mode, Proxy
from benchmarks.faults.running import Replica


class Breaking:
    """A fault that can be begun and ended; ending it twice does no harm.

    Args:
        house: what is broken.
        cell: how.
        model: the proxy before the primary model, where there is one.
        chance: chooses one of two.
    """

    def __init__(self, house: House, cell: Cell, model: Proxy | None, chance: random.Random) -> None:
        self._house = house
        self._cell = cell
        self._victims: list[Replica] = []
        self._proxy: Proxy | None = None
        if cell.kind in {"kill", "freeze"}:
            self._victims = house.replicas(*ROOMS.get(cell.service, (cell.service,)))
            if cell.house == "pairs":
                self._victims = [chance.choice(self._victims)]
        else:
            self._proxy = model if cell.service == "model" else house.proxies[cell.service]

    async def begin(self) -> None:
        """Breaks it.

        Raises:
            RuntimeError: what should be killed or frozen is not there.
        """
        if self._proxy is not None:
            await self._proxy.become(Mode(self._cell.kind))
        for victim in self._victims:
            if self._cell.kind == "kill":
                there = self._house.take_down(victim)
            else:
                there = self._house.signal_all(victim, signal.SIGSTOP) > 0
            if not there:
                raise RuntimeError(f"{victim.name} was not there to {self._cell.kind}")

    async def end(self) -> float:
        """Mends it; returns when it did its work again.

        Raises:
            TimeoutError: what was killed does not come back.
        """
        if self._proxy is not None:
            await self._proxy.become(Mode.PASS)
        for victim in self._victims:
            if self._cell.kind == "kill":
                self._house.let_back(victim)
            else:
                self._house.signal_all(victim, signal.SIGCONT)
        if self._cell.kind == "kill":
            for victim in self._victims:
                await self._house.again(victim)
        return time.monotonic()
