"""How long passages take to be found, and what that costs: our search against Chroma asked directly, and by cache.

Usage: python -m benchmarks.search [--rounds N] [--queries N] [--quick] [--json FILE]. Linux only; loopback only; ends
by itself in about five minutes, of which taking the novels in is one or two. All ways have the same passages and
vectors and are asked the same queries for ten passages; they take turns in each round, one query after the other and
then eight at once. CPU is that of all processes that have a part in it, the asking one too.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.cpu import cpu_seconds
from benchmarks.novels import novel
from benchmarks.results import Results, Spread, machine, options, percentile, turns
from benchmarks.search.ways import NEAR, REMOTE, UNCACHED, Compared, Way, compared

NOVELS = ("pride-and-prejudice", "frankenstein", "alice-in-wonderland")
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Figures:
    """What a way did in a round."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float
    per_second: float


Rounds = dict[str, list[Figures]]


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--queries", type=int, default=40, help="different ones, asked in each round")
    arguments = parser.parse_args()
    rounds, queries, names = arguments.rounds, arguments.queries, list(NOVELS)
    if arguments.quick:
        rounds, queries, names = 2, 20, [NOVELS[-1]]
    read = [novel(name) for name in names]
    results = Results("search", machine("chromadb", "onnxruntime", "numpy", "redis"))
    with tempfile.TemporaryDirectory(prefix="gaji-bench-") as folder:
        uvloop.run(measure(results, Path(folder), [text for text, _ in read], rounds, queries))
    if not all(real for _, real in read):
        results.notes.append("The texts are invented: GAJI_NOVELS names a folder of novels.")
    results.finish(arguments.json)


async def measure(results: Results, folder: Path, texts: Sequence[str], rounds: int, queries: int) -> None:
    """Fills in the results."""
    async with compared(folder, texts, queries) as what:
        ways = {**what.given, **what.read, **what.served}
        one: Rounds = {name: [] for name in ways}
        many: Rounds = {name: [] for name in ways}
        for turn, name in turns(ways, rounds):
            pids = what.pids.get(name, (os.getpid(),))
            for at_once, kept in ((1, one), (AT_ONCE, many)):
                figures = await asked(ways[name], what.queries, at_once, pids)
                if turn >= 0:
                    kept[name].append(figures)
    _tables(results, what, one, many)


async def asked(way: Way, queries: Sequence[str], at_once: int, pids: Sequence[int]) -> Figures:
    """Asks each query once, so many at a time."""
    took: list[float] = []
    left = iter(queries)

    async def reader() -> None:
        for query in left:
            started = time.perf_counter()
            await way(query)
            took.append((time.perf_counter() - started) * 1000)

    cpu, began = cpu_seconds(*pids), time.perf_counter()
    async with asyncio.TaskGroup() as readers:
        for _ in range(at_once):
            readers.create_task(reader())
    seconds = time.perf_counter() - began
    cpu_ms = (cpu_seconds(*pids) - cpu) * 1000 / len(queries)
    return Figures(percentile(took, 50), percentile(took, 95), cpu_ms, len(queries) / seconds)


def _tables(results: Results, what: Compared, one: Rounds, many: Rounds) -> None:
    here, shelf = what.passages
    size = f"10 of {here:,} passages, {shelf:,} on the shelf; medians of {len(one[UNCACHED])} rounds (least-most)"
    for title, ways in (
        ("the vector of the query is given", what.given),
        ("the model reads the query first", what.read),
        ("through the service", what.served),
    ):
        rows = [[name, *_cells(one[name], many[name])] for name in ways]
        columns = ("way", "p50, ms", "p95, ms", "CPU, ms", f"{AT_ONCE} at once: a second", "p95, ms", "CPU, ms")
        results.table(f"{title}: {size}", columns, rows)
    rows = [[name, _ratio(one, name), _ratio(many, name)] for name in (REMOTE, NEAR)]
    results.table(
        "how many times as fast as a search that nobody has asked before (p50)", ("", "one", f"{AT_ONCE} at once"), rows
    )
    results.raw |= {"ways": {name: [figures.p50_ms for figures in rounds] for name, rounds in one.items()}}
    results.raw |= {"one": one, "at_once": many}


def _cells(one: Sequence[Figures], many: Sequence[Figures]) -> list[str]:
    return [
        Spread.of([each.p50_ms for each in one]).text(2),
        Spread.of([each.p95_ms for each in one]).text(2),
        Spread.of([each.cpu_ms for each in one]).text(2),
        Spread.of([each.per_second for each in many]).text(0),
        Spread.of([each.p95_ms for each in many]).text(1),
        Spread.of([each.cpu_ms for each in many]).text(2),
    ]


def _ratio(rounds: Mapping[str, Sequence[Figures]], name: str) -> str:
    slow, quick = ([each.p50_ms for each in rounds[way]] for way in (UNCACHED, name))
    return Spread.of_ratios(slow, quick).text(0)


if __name__ == "__main__":
    main()
