"""What all benchmarks share: rounds in turn, medians with their spread, the machine, tables, and raw figures in a file.

A benchmark's ``main`` takes `options`, measures each of its ways by `turns`, and gives a `Results` to `finish`:

    parser = options(__doc__, rounds=5)
    arguments = parser.parse_args()
    results = Results("cache", machine("redis", "cashews", "aiocache"))
    for turn, name in turns(ways, arguments.rounds):
        figure = measured(ways[name])
        if turn >= 0:  # -1 warms up
            figures[name].append(figure)
    results.table("CPU a lookup", ("way", "us", "of redis-py"), rows)
    results.raw["lookups"] = figures
    results.finish(arguments.json)

Figures are named with their unit: ``cpu_per_event_us``, ``first_token_p99_ms``. `benchmarks.plots` reads of ``raw``:

- relay: ``{"results": {gateway: {"paced" | "saturated": [{"cpu_per_event_us": ...}, ... a round]}}}``
- talks: ``{"steps": [{"stack": ..., "round": 0, "conversations": 40, "first_token_p99_ms": 93, "held": true}, ...]}``,
  a step for each stack, round and number of concurrent conversations; ``held``: within the bounds of the knee
- search: ``{"ways": {way: [p50 in ms, ... a round]}}``
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Drawn

WARM_UP = -1
_ALWAYS = ("grpcio", "protobuf", "uvloop")


@dataclass(frozen=True, slots=True)
class Spread:
    """The figures of several rounds, as one.

    Attributes:
        median: of the rounds.
        low: the least of them.
        high: the most.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """That of one figure or more."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, values: Sequence[float], base: Sequence[float]) -> "Spread":
        """That of the ratios round by round, which what else the machine did in a round touches least."""
        return cls.of([one / other for one, other in zip(values, base, strict=True)])

    def text(self, digits: int = 1, unit: str = "") -> str:
        """E.g. ``15.2 us (14.8-16.0)``."""
        after = f" {unit}" if unit else ""
        return f"{self.median:,.{digits}f}{after} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent are (1 to 99), between two of them in proportion; of one value: itself."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(percent * 10) - 1]


def turns(names: Sequence[str] | Mapping[str, object], rounds: int, warm_up: int = 1) -> Iterator[tuple[int, str]]:
    """Whose turn it is: every one once a round, there and back again (ABBA), so that a drift falls on all alike.

    Args:
        names: what is measured.
        rounds: that count.
        warm_up: rounds before them that do not.

    Yields:
        The round, from 0, or `WARM_UP`; and a name.
    """
    forward = list(names)
    for number in range(-warm_up, rounds):
        for name in forward if number % 2 == 0 else reversed(forward):
            yield max(number, WARM_UP), name


def options(doc: str, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; `doc` is its module's docstring.

    ``--quick`` asks for few rounds of little: to see that it works, not what it says.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="that count; one more warms up")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--json", type=Path, help="keep tables, raw figures and the machine in this file")
    return parser


def machine(*packages: str) -> dict[str, Any]:
    """This machine, its load before the benchmark (of 1, 5 and 15 minutes) and the versions of what is measured.

    Args:
        packages: distributions beside grpcio, protobuf and uvloop; those that are not installed are left out.
    """
    cpu = _fields("/proc/cpuinfo")
    flags = cpu.get("flags", "").split()
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "memory_mib": int(_fields("/proc/meminfo").get("MemTotal", "0 kB").split()[0]) // 1024,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in sorted({*_ALWAYS, *packages}) if _installed(name)},
        "load": [round(one, 2) for one in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "revision": _revision(),
    }


def described(facts: Mapping[str, Any]) -> str:
    """A machine in a sentence, for people."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cpu']}{' (virtual)' if facts['virtual'] else ''}, {facts['cores']} cores, "
        f"{facts['memory_mib'] / 1024:.0f} GiB, {facts['system']}, Python {facts['python']}, {versions}; "
        f"load before {facts['load'][0]:.1f}; {facts['date'][:10]}, {facts['revision']}"
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Figures for people.

    Attributes:
        title: what is measured, in what unit, of how many rounds.
        columns: the first is of names.
        rows: cells as they are printed.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(slots=True)
class Results:
    """What a benchmark found.

    Attributes:
        name: the benchmark's.
        machine: of `machine`, made before anything is measured.
        tables: in the order in which they are printed.
        raw: the figures of every round, for plots and for those who doubt the medians: what JSON can say.
        notes: sentences below the tables.
    """

    name: str
    machine: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Adds one."""
        self.tables.append(Table(title, tuple(columns), [tuple(row) for row in rows]))

    def finish(self, path: Path | None = None, console: Console | None = None) -> None:
        """Prints everything, and keeps it in a file if there is a path."""
        console = console or Console(width=120)
        for table in self.tables:
            drawn = Drawn(title=table.title)
            for at, column in enumerate(table.columns):
                drawn.add_column(column, justify="right" if at else "left")
            for row in table.rows:
                drawn.add_row(*row)
            console.print(drawn)
        for note in (*self.notes, described(self.machine)):
            console.print(note, highlight=False, soft_wrap=True)
        if path is not None:
            path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _fields(path: str) -> dict[str, str]:
    """The ``name: value`` lines of a file of the kernel, the last of each name; none where there is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _revision() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return "no revision"
    return done.stdout.strip()
