"""Fails where a path takes 15 % more than before, and names it.

Usage: python -m benchmarks.guard [--only PATH] [--update] [--bytecodes] [--against COMMIT] [--json FILE]. Loopback
only; half a minute. Two measures, since each is blind to what the other sees:

- the instructions that the interpreter executes for a unit, against benchmarks/guard/baseline.json: the same number on
  every machine; --update makes what is counted now the measure;
- the CPU that a unit takes, of all threads and in C as well, against the commit at which this branch left main (on
  main: the commit before): both trees are measured in turn, here and now. Too much is measured again, in other
  processes, before it counts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.guard.children import ChildError
from benchmarks.guard.measuring import Bench, Modules, Turns, open_bench
from benchmarks.guard.paths import PATHS
from benchmarks.guard.trees import HERE, base_commit, differs, extract
from benchmarks.guard.verdict import BASELINE, GAIN, LIMIT, Verdict, read_baseline, slower, write_baseline

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ROUNDS = 25
TRIES = 5
"""Beside busy neighbours a process may take half as much again, for its whole life, as another of the same code."""
UPDATE = "python -m benchmarks.guard --update"


def main() -> None:
    """Measures, prints, and exits with 1 where something takes too much, with 2 where it cannot be measured."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=PATHS, help="a path instead of all; may be given again")
    parser.add_argument("--update", action="store_true", help="make the instructions counted now the measure")
    parser.add_argument("--bytecodes", action="store_true", help="count instructions alone")
    parser.add_argument("--against", metavar="COMMIT", help="compare CPU with this commit")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="another file of instructions")
    parser.add_argument("--json", type=Path, help="keep the raw figures in this file")
    arguments = parser.parse_args()
    names = arguments.only or list(PATHS)
    try:
        if arguments.update:
            write_baseline(PYTHON, uvloop.run(counted(names)), arguments.baseline)
            print(f"guard: {arguments.baseline.name} has what {len(names)} paths take with Python {PYTHON}")
            return
        verdicts = uvloop.run(judged(names, arguments.baseline, arguments.against, cpu=not arguments.bytecodes))
    except ChildError as error:
        print(f"guard: NOT MEASURED: {error}")
        sys.exit(2)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    if not report(verdicts):
        sys.exit(1)


async def counted(names: Sequence[str]) -> dict[str, Modules]:
    """The instructions of paths here.

    Raises:
        ChildError: those of one could not be counted.
    """
    async with open_bench() as bench:
        return sure(await bench.bytecodes(HERE, names))


async def judged(names: Sequence[str], baseline: Path, against: str | None, *, cpu: bool) -> list[Verdict]:
    """The verdicts on paths.

    Raises:
        ChildError: one could not be measured here.
    """
    known = read_baseline(PYTHON, baseline)
    commit = against or await asyncio.to_thread(base_commit)
    async with open_bench() as bench:
        verdicts = [Verdict(name, now) for name, now in sure(await bench.bytecodes(HERE, names)).items()]
        for verdict in verdicts:
            verdict.before = known.get(verdict.name)
            if verdict.before is None:
                verdict.notes.append(f"no instructions known for Python {PYTHON}: {UPDATE}")
        if not cpu:
            return verdicts
        if commit is None:
            _note(verdicts, "CPU is not compared: git does not say with what; fetch main, and two commits or more")
        elif not await asyncio.to_thread(differs, commit):
            _note(verdicts, f"CPU is not compared: nothing of it has changed since {commit[:9]}")
        else:
            with tempfile.TemporaryDirectory(prefix="gaji-guard-") as folder:
                await asyncio.to_thread(extract, commit, Path(folder))
                await _compare(bench, verdicts, Path(folder))
    return verdicts


async def _compare(bench: Bench, verdicts: Sequence[Verdict], before: Path) -> None:
    """Compares CPU. What is too much is measured again in other processes, up to `TRIES` times; the least counts."""
    left = list(verdicts)
    for _ in range(TRIES):
        turns = await bench.cpu(HERE, before, [verdict.name for verdict in left], ROUNDS)
        for verdict in left:
            told = turns[verdict.name]
            if not isinstance(told, Turns):
                verdict.notes.append(f"CPU is not compared, the earlier tree cannot be measured so: {told}")
            elif verdict.turns is None or not slower(told) or told.sure < verdict.turns.sure:
                verdict.turns = told
        left = [verdict for verdict in left if verdict.turns is not None and slower(verdict.turns)]
        if not left:
            return


def report(verdicts: Sequence[Verdict]) -> bool:
    """Prints the table and what is wrong; whether nothing is."""
    table = Table(title=f"instructions and CPU of the watched paths, Python {PYTHON}; {LIMIT:.2f} may not be exceeded")
    for heading in ("path", "instructions", "before", "ratio", "CPU", "before", "ratio"):
        table.add_column(heading, justify="left" if heading == "path" else "right")
    for verdict in verdicts:
        turns = verdict.turns
        table.add_row(
            verdict.name,
            f"{sum(verdict.now.values()):,.0f}",
            "" if verdict.before is None else f"{sum(verdict.before.values()):,.0f}",
            "" if verdict.ratio is None else f"{verdict.ratio:.3f}",
            *(("", "", "") if turns is None else (_us(turns.now), _us(turns.before), f"{turns.ratio:.3f}")),
        )
    Console(width=110).print(table)
    for note in dict.fromkeys(note for verdict in verdicts for note in verdict.notes):
        names = [verdict.name for verdict in verdicts if note in verdict.notes]
        print(f"guard: {note}" if len(names) == len(verdicts) else f"guard: {', '.join(names)}: {note}")
    gained = [verdict.name for verdict in verdicts if verdict.ratio is not None and verdict.ratio < GAIN]
    if gained:
        print(f"guard: {', '.join(gained)}: much faster than the baseline; keep it so: {UPDATE}")
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    for fault in faults:
        print(f"guard: SLOWER: {fault}")
    if any("instructions" in fault for fault in faults):
        print(f"guard: if more instructions are meant, say why in the commit and make them the measure: {UPDATE}")
    if not faults:
        print("guard: nothing is slower")
    return not faults


def _us(seconds: Sequence[float]) -> str:
    return f"{sorted(seconds)[len(seconds) // 2] * 1e6:,.1f} us"


def _note(verdicts: Sequence[Verdict], text: str) -> None:
    for verdict in verdicts:
        verdict.notes.append(text)


def sure(counts: "dict[str, Modules | ChildError]") -> dict[str, Modules]:
    """What was counted of all paths.

    Raises:
        ChildError: one of them could not be counted.
    """
    found: dict[str, Modules] = {}
    for name, modules in counts.items():
        if isinstance(modules, ChildError):
            raise ChildError(f"{name}: {modules}")
        found[name] = modules
    return found


if __name__ == "__main__":
    main()
