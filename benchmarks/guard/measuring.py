"""Has paths measured: instructions in one source tree, CPU in two that take turns."""

import math
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.guard.children import Child, ChildError, open_child
from stack.embedded.valkey import open_valkey

_COUNTED_ROUNDS = 15

Modules = Mapping[str, float]
"""Instructions of a unit by module."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What a unit took in each round, in seconds of CPU, in both trees."""

    now: Sequence[float]
    before: Sequence[float]

    @property
    def ratio(self) -> float:
        """How much more it takes now: the median of the rounds' ratios, whose two sides had the same neighbours."""
        return statistics.median(self._ratios)

    @property
    def sure(self) -> float:
        """How much more at least: the lower end of that median's 95 % interval (the sign test)."""
        count = len(self.now)
        return self._ratios[max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))]

    @property
    def _ratios(self) -> list[float]:
        return sorted(one / other for one, other in zip(self.now, self.before, strict=True))


class Bench:
    """What measurements share: a Valkey, and a folder for what is written.

    Args:
        redis_url: of the Valkey.
        folder: where.
    """

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._redis_url = redis_url
        self._folder = folder
        self._workers = 0

    async def bytecodes(self, tree: Path, names: Sequence[str]) -> dict[str, Modules | ChildError]:
        """Instructions of a unit of each path; or why they could not be counted.

        Of short rounds the fewest of each module: in others a timer of the process has run as well.
        """
        counted: dict[str, Modules | ChildError] = {}
        async with self._worker(tree, "bytecodes") as worker:
            for name in names:
                try:
                    rounds = [await worker.ask("bytecodes", path=name) for _ in range(_COUNTED_ROUNDS)]
                    counted[name] = _least(rounds)
                except ChildError as error:
                    counted[name] = error
        return counted

    async def cpu(self, now: Path, before: Path, names: Sequence[str], rounds: int) -> dict[str, Turns | ChildError]:
        """CPU of a unit of each path in both trees, in turn; or why the earlier one could not be measured.

        Raises:
            ChildError: the tree of now could not be measured.
        """
        measured: dict[str, Turns | ChildError] = {}
        async with AsyncExitStack() as stack:
            new = await stack.enter_async_context(self._worker(now, "cpu"))
            old = await stack.enter_async_context(self._worker(before, "cpu"))
            for name in names:
                measured[name] = await _in_turn(new, old, name, rounds)
        return measured

    @asynccontextmanager
    async def _worker(self, tree: Path, what: str) -> AsyncIterator[Child]:
        self._workers += 1
        folder = self._folder / str(self._workers)
        folder.mkdir()
        arguments = (str(folder), self._redis_url, what)
        async with open_child("benchmarks.guard.worker", *arguments, tree=tree, log=folder / "worker.log") as worker:
            yield worker


@asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    """A `Bench`; its Valkey and what was written go with it."""
    with tempfile.TemporaryDirectory(prefix="gaji-guard-") as name:
        folder = Path(name)
        async with open_valkey(folder / "valkey") as valkey:
            yield Bench(valkey.url, folder)


async def _in_turn(new: Child, old: Child, name: str, rounds: int) -> Turns | ChildError:
    """Rounds of a path in two workers; what the old one cannot do is returned, what the new one cannot is raised."""
    took: dict[Child, list[float]] = {new: [], old: []}
    for turn in range(-1, rounds):  # the first opens
        for worker in (new, old) if turn % 2 else (old, new):
            try:
                seconds = await worker.ask("cpu", path=name)
            except ChildError as error:
                if worker is new:
                    raise
                return error
            if turn >= 0:
                took[worker].append(seconds)
    return Turns(took[new], took[old])


def _least(rounds: Sequence[Modules]) -> Modules:
    """The least of each module that is in all rounds."""
    modules = set(rounds[0]).intersection(*rounds)
    return {module: min(counted[module] for counted in rounds) for module in modules}
