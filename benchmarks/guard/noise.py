"""How far the guard's measures are off where nothing has changed: this tree against a copy of itself.

Usage: python -m benchmarks.guard.noise [--runs N] [--busy N]. Each run counts instructions, and compares CPU in fresh
processes, as a check does; it takes half a minute and shows its worst lower end. With --busy, so many loops that never
rest run beside it.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.guard.__main__ import ROUNDS, sure
from benchmarks.guard.measuring import Turns, open_bench
from benchmarks.guard.paths import PATHS
from benchmarks.guard.trees import HERE, NEEDED, YARDSTICK
from benchmarks.guard.verdict import slower


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--busy", type=int, default=0)
    arguments = parser.parse_args()
    counts, ratios = uvloop.run(measured(arguments.runs, arguments.busy))
    table = Table(title=f"{arguments.runs} runs beside {arguments.busy} busy loops; nothing has changed")
    for heading in ("path", "instructions", "most / least", "CPU ratio, median", "most", "lower end, most", "too much"):
        table.add_column(heading, justify="left" if heading == "path" else "right")
    for name in PATHS:
        total, off = counts[name], ratios[name]
        middle = statistics.median(turns.ratio for turns in off)
        most = max(turns.ratio for turns in off), max(turns.sure for turns in off)
        shown = (min(total), max(total) / min(total), middle, *most)
        table.add_row(name, f"{shown[0]:,.0f}", *(f"{one:.3f}" for one in shown[1:]), str(sum(map(slower, off))))
    Console(width=110).print(table)


async def measured(runs: int, busy: int) -> tuple[dict[str, list[float]], dict[str, list[Turns]]]:
    """Instructions of each run, and CPU before anything is measured again, by path."""
    counts: dict[str, list[float]] = {name: [] for name in PATHS}
    ratios: dict[str, list[Turns]] = {name: [] for name in PATHS}
    with tempfile.TemporaryDirectory(prefix="gaji-guard-") as folder:
        same = Path(folder)
        for name in (*NEEDED, *YARDSTICK):
            copy = shutil.copytree if (HERE / name).is_dir() else shutil.copy
            (same / name).parent.mkdir(parents=True, exist_ok=True)
            copy(HERE / name, same / name)
        async with neighbours(busy):
            for _ in range(runs):
                async with open_bench() as bench:
                    for name, modules in sure(await bench.bytecodes(HERE, list(PATHS))).items():
                        counts[name].append(sum(modules.values()))
                    for name, turns in (await bench.cpu(HERE, same, list(PATHS), ROUNDS)).items():
                        assert isinstance(turns, Turns), turns
                        ratios[name].append(turns)
                print(f"{max(off[-1].sure for off in ratios.values()):.2f} ", end="", file=sys.stderr, flush=True)
    return counts, ratios


@contextlib.asynccontextmanager
async def neighbours(count: int) -> AsyncIterator[None]:
    """So many processes that never rest."""
    loop = (sys.executable, "-c", "while True: pass")
    running = [await asyncio.create_subprocess_exec(*loop) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    main()
