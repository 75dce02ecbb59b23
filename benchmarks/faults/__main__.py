"""Kills processes of a stack of its own while replies are being written, and checks every reply.

Usage: python -m benchmarks.faults [--only SCENARIO ...] [--replies N] [--tokens N] [--seed N] [--json FILE]. Linux only
(it reads /proc); loopback only; ends by itself in about ten minutes, with code 1 when anything is not as it should be.
It signals no process but those that the stacks it started name as theirs.
"""

import argparse
import json
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.faults import ingestions, scenarios, tables
from benchmarks.faults.load import Load, Report
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.scenarios import UNDER_LOAD, Fact

BESIDE = ("unwatched", "ingestion", "beside")
_FEWER = 4
"""The other scenarios have this part of the replies."""


_CUTTING = 0.7
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
        async with self._stack(("ingestion", "beside"), ingestions.REPLICAS) as stack:
            for name in ("ingestion", "beside"):
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
            else:
                self.facts += await ingestions.beside(stack, chance)
        except (RuntimeError, TimeoutError) as error:
            self.facts.append(Fact(name, f"{type(error).__name__}: {error}", ok=False))


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*UNDER_LOAD, *BESIDE], help="some scenarios instead of all")
    parser.add_argument("--replies", type=int, default=100, help="in the first scenario; a quarter in others")
    parser.add_argument("--tokens", type=int, default=200, help="words of a reply, 50 a second")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    run = Run(arguments.only or [*UNDER_LOAD, *BESIDE], arguments.replies, arguments.tokens, arguments.seed, console)
    try:
        uvloop.run(run())
    finally:
        tables.show(console, run.reports, run.facts)
    if arguments.json:
        figures = {"reports": list(map(asdict, run.reports)), "facts": list(map(asdict, run.facts))}
        arguments.json.write_text(json.dumps(figures, indent=2))
    sys.exit(any(report.wrong or report.broken for report in run.reports) or not all(fact.ok for fact in run.facts))


if __name__ == "__main__":
    main()
