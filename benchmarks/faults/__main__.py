"""Breaks stacks of its own, and looks at what their readers get.

First it kills processes while replies are being written and checks every reply; then it breaks one thing after the
other under a mixed load and counts what is answered.

Usage: python -m benchmarks.faults [--part replies|availability] [--only NAME ...] [--quick] [--list] [--json FILE] ...
Linux only (it reads /proc); loopback only; ends by itself, the replies in about ten minutes, the availability in about
thirty, with code 1 when anything is not as it should be. It signals no process but those that the stacks it started
name as theirs.
"""

import argparse
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.faults import ingestions, scenarios, tables
from benchmarks.faults.availability import cells, shown
from benchmarks.faults.availability.matrix import Matrix, Options
from benchmarks.faults.load import Load, Report
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.scenarios import UNDER_LOAD, Fact

PARTS = ("replies", "availability")
BESIDE = ("unwatched", "ingestion", "beside", "spread")
_FEWER = 4
"""The other scenarios have this part of the replies."""


_CUTTING = 0.7
_QUICK_SECONDS = 6.0
_WIDTH = 150  # where there is no terminal to fit the tables into


def loads(replies: int, tokens: int) -> dict[str, Load]:
    """How much each scenario is given."""
    fewer = Load(max(1, replies // _FEWER), tokens, cutting=_CUTTING)
    return {
        "kills": Load(replies, tokens, cutting=_CUTTING),
        "writers": Load(1, tokens, lasting=True),
        "valkey": fewer,
        "flush": fewer,
        "postgres": fewer,
        "rolling": Load(1, tokens, every=0.5, cutting=_CUTTING, seconds=300.0, lasting=True),
    }


class Run:
    """The chosen scenarios, one after the other, each stack with those that leave it whole.

    Attributes:
        reports: of those under load.
        facts: of the others.
    """

    def __init__(self, names: Sequence[str], replies: int, tokens: int, seed: int, console: Console) -> None:
        self.reports: list[Report] = []
        self.facts: list[Fact] = []
        self._names = names
        self._tokens = tokens
        self._loads = loads(replies, tokens)
        self._seed = seed
        self._console = console

    async def __call__(self) -> None:
        """Runs them."""
        for group in (("kills",), ("writers", "valkey", "flush", "postgres", "unwatched"), ("rolling",)):
            async with self._stack(group, scenarios.PAIRS) as stack:
                for name in group:
                    if name in self._names and stack is not None:
                        await self._scenario(name, stack)
        for names, replicas in ((("ingestion", "beside"), ingestions.REPLICAS), (("spread",), ingestions.SPREAD)):
            async with self._stack(names, replicas) as stack:
                for name in names:
                    if name in self._names and stack is not None:
                        await self._scenario(name, stack)

    @asynccontextmanager
    async def _stack(self, names: Sequence[str], replicas: str) -> AsyncIterator[Stack | None]:
        if not set(names) & set(self._names):
            yield None
            return
        async with running_stack(replicas, tokens=self._tokens) as stack:
            yield stack

    async def _scenario(self, name: str, stack: Stack) -> None:
        self._console.print(f"{name} ...", style="dim")
        chance = random.Random(f"{self._seed} {name}")  # noqa: S311 - to be repeated
        try:
            if name in UNDER_LOAD:
                self.reports.append(await UNDER_LOAD[name](stack, self._loads[name], chance))
            elif name == "unwatched":
                self.facts += await scenarios.unwatched(stack, self._tokens, chance)
            elif name == "ingestion":
                self.facts += await ingestions.killed(stack, chance)
            elif name == "spread":
                self.facts += await ingestions.spread(stack, chance)
            else:
                self.facts += await ingestions.beside(stack, chance)
        except (RuntimeError, TimeoutError) as error:
            self.facts.append(Fact(name, f"{type(error).__name__}: {error}", ok=False))


def main() -> None:
    """Runs and prints."""
    all_cells = cells.cells()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS, help="some parts instead of all")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some scenarios or faults instead of all")
    parser.add_argument("--list", action="store_true", help="only name the scenarios and faults")
    parser.add_argument("--quick", action="store_true", help="of the mixed load a few faults, short ones")
    parser.add_argument("--replies", type=int, default=100, help="in the first scenario; a quarter in others")
    parser.add_argument("--tokens", type=int, default=200, help="words of a reply, 50 a second")
    parser.add_argument("--rate", type=float, default=8.0, help="requests a second of the mixed load")
    parser.add_argument("--seconds", type=float, help="how long each fault of the mixed load lasts")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance")
    parser.add_argument("--logs", type=Path, help="keep the logs of the stacks under mixed load in this folder")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    arguments = parser.parse_args()
    scenarios_ = [*UNDER_LOAD, *BESIDE]
    if arguments.list:
        print("\n".join([*scenarios_, *(cell.name for cell in all_cells)]))
        return
    chosen = _chosen(arguments, parser)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    names = arguments.only or scenarios_
    run = Run(
        names if "replies" in arguments.part else (), arguments.replies, arguments.tokens, arguments.seed, console
    )
    matrix = Matrix(chosen, Options(arguments.rate, seed=arguments.seed, logs=arguments.logs), console)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the stacks as Ctrl-C does
    try:
        uvloop.run(run())
        uvloop.run(matrix())
    finally:
        if run.reports or run.facts:
            tables.show(console, run.reports, run.facts)
        shown.show(console, matrix.rows)
    if arguments.json:
        figures = {
            "reports": list(map(asdict, run.reports)),
            "facts": list(map(asdict, run.facts)),
            "availability": list(map(asdict, matrix.rows)),
        }
        arguments.json.write_text(json.dumps(figures, indent=2))
    replies_wrong = any(report.wrong or report.broken for report in run.reports)
    sys.exit(replies_wrong or not all(fact.ok for fact in run.facts) or not all(row.ok for row in matrix.rows))


def _chosen(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[cells.Cell]:
    """The faults of the mixed load."""
    all_cells = cells.cells(arguments.seconds or (_QUICK_SECONDS if arguments.quick else 0.0))
    known = {*UNDER_LOAD, *BESIDE, *(cell.name for cell in all_cells)}
    if unknown := set(arguments.only or ()) - known:
        parser.error(f"--only: {', '.join(sorted(unknown))}: not known; --list names them")
    if "availability" not in arguments.part:
        return []
    if arguments.only:
        return [cell for cell in all_cells if cell.name in arguments.only]
    if arguments.quick:
        return [cell for cell in all_cells if cell.name in cells.QUICK]
    return [cell for cell in all_cells if cell.default]


if __name__ == "__main__":
    main()
