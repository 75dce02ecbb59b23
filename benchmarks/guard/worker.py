"""Measures paths of the source tree that it is run in.

Usage: python -m benchmarks.guard.worker FOLDER REDIS_URL cpu|bytecodes; it obeys lines of JSON
(`benchmarks.guard.children`).
"""

import gc
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.guard.bytecodes import Bytecodes
from benchmarks.guard.children import LateChild, answer, open_child
from benchmarks.guard.paths import Round, Site, opened
from benchmarks.tokens import key_pair, sign
from mesh.telemetry import logs

TREE = Path(__file__).resolve().parents[2]
_WARM_UP = 2


class Worker:
    """Opens paths as they are asked for, and measures rounds of them.

    Args:
        site: where.
        stack: what is opened.
        counter: counts instructions; None: CPU is measured.
    """

    def __init__(self, site: Site, stack: AsyncExitStack, counter: Bytecodes | None) -> None:
        self._site = site
        self._stack = stack
        self._counter = counter
        self._rounds: dict[str, Round] = {}

    async def cpu(self, path: str) -> float:
        """Seconds of CPU that a unit takes in one round, of all threads of the process, user and system."""
        run = await self._opened(path)
        began = time.process_time()
        units = await run()
        return (time.process_time() - began) / units

    async def bytecodes(self, path: str) -> dict[str, float]:
        """Instructions that a unit takes in one round, by module."""
        assert self._counter is not None
        run = await self._opened(path)
        self._counter.start()
        units = await run()
        return {module: count / units for module, count in self._counter.stop().items()}

    async def _opened(self, path: str) -> Round:
        if path not in self._rounds:
            run = self._rounds[path] = await self._stack.enter_async_context(opened(path, self._site))
            for _ in range(_WARM_UP):
                await run()
            gc.collect()
            gc.freeze()
        gc.enable()
        gc.collect()
        gc.disable()  # when it runs depends on what ran before
        return self._rounds[path]


async def main(folder: Path, redis_url: str, *, counting: bool) -> None:
    """Obeys until nobody asks any more."""
    logs.configure("guard", "INFO")  # a call's line in the log is a part of its price
    import mesh  # noqa: PLC0415 - to be sure of which tree it is

    assert Path(str(mesh.__file__)).is_relative_to(TREE), f"{mesh.__file__} is not of {TREE}"
    counter = Bytecodes() if counting else None
    private, public = key_pair(folder)
    stack = AsyncExitStack()
    peer = open_child("benchmarks.guard.peer", tree=TREE, log=folder / "peer.log")
    site = Site(LateChild(peer, stack), redis_url, public, sign(private), counting)
    worker = Worker(site, stack, counter)
    if counter is not None:
        counter.install()
    handlers: dict[str, Any] = {"cpu": worker.cpu, "bytecodes": worker.bytecodes}
    await answer(handlers)
    os._exit(0)  # nothing is drained; the peer sees that nobody asks it any more


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], counting=sys.argv[3] == "bytecodes"))
