"""Runs all benchmarks one after the other; prints their tables, keeps their figures, and draws pictures.

Usage: python -m benchmarks [--only NAME ...] [--quick] [--out FOLDER] [--list]. Linux only; loopback only. Each job is
a process of its own with a limit of time, so that all of it ends, at the latest after the sum of the limits (`--list`);
on a quiet machine of two cores in about three quarters of an hour. A job that fails does not end the others: it is
named at the end, and the code is 1. Figures go to .build/bench/DATE/NAME.json, with the machine and the raw figures of
every round.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.jobs import JOBS, Job
from benchmarks.plots.__main__ import draw
from benchmarks.results import described, machine

ROOT = Path(__file__).parents[1]
_END_SECONDS = 30.0  # for a job that is asked to end, with the servers that it has started


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: which.
        seconds: how long it took.
        failed: why it counts as failed; empty: it does not.
    """

    job: Job
    seconds: float
    failed: str


def main(jobs: Sequence[Job] = JOBS) -> None:
    """Runs, and ends with code 1 if a job failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[job.name for job in jobs], help="these instead of all")
    parser.add_argument(
        "--quick", action="store_true", help="little of each, to see that it works: figures say nothing"
    )
    parser.add_argument("--out", type=Path, help="folder for figures and pictures; default: .build/bench/DATE")
    parser.add_argument("--list", action="store_true", help="show the jobs and their limits, and run none")
    arguments = parser.parse_args()
    chosen = [job for job in jobs if not arguments.only or job.name in arguments.only]
    console = Console(width=120, highlight=False)
    if arguments.list:
        _list(console, chosen)
        return
    folder: Path = arguments.out or ROOT / ".build" / "bench" / time.strftime("%Y-%m-%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    console.print(
        f"{len(chosen)} jobs, at most {sum(job.seconds for job in chosen) / 60:.0f} min; {described(machine())}"
    )
    outcomes = []
    for job in chosen:
        console.rule(f"{job.name}: {job.measures}")
        outcomes.append(run(job, folder, quick=arguments.quick))
    _report(console, outcomes, folder)
    sys.exit(any(outcome.failed for outcome in outcomes))


def run(job: Job, folder: Path, *, quick: bool) -> Outcome:
    """Runs a job to its end, or to the end of its time. Ends it too when this process is interrupted."""
    began = time.monotonic()
    if not _is_there(job.module):
        return Outcome(job, 0.0, f"there is no {job.module}")
    figures = folder / f"{job.name}.json"
    command = [sys.executable, "-m", job.module, "--json", str(figures), *(["--quick"] if quick else [])]
    process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own modules
    try:
        code = process.wait(job.seconds)
        failed = f"it ended with code {code}" if code else ""
    except subprocess.TimeoutExpired:
        failed = f"it did not end within {job.seconds:g} s"
    finally:
        _end(process)
    if not failed and not figures.is_file():
        failed = "it kept no figures"
    return Outcome(job, time.monotonic() - began, failed)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Asks a job to end, as Ctrl-C does, and leaves nobody of its group behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor its package
        return False


def _report(console: Console, outcomes: Sequence[Outcome], folder: Path) -> None:
    console.rule("the end")
    for outcome in outcomes:
        said = f"failed: {outcome.failed}" if outcome.failed else "done"
        console.print(f"{outcome.job.name:12} {outcome.seconds:6.0f} s  {said}")
    for picture in draw(folder, folder):
        console.print(f"picture: {picture}")
    console.print(f"figures: {folder}")


def _list(console: Console, jobs: Sequence[Job]) -> None:
    table = Table()
    for column in ("job", "ended after", "what is measured"):
        table.add_column(column)
    for job in jobs:
        table.add_row(job.name, f"{job.seconds:g} s", job.measures)
    console.print(table)


if __name__ == "__main__":
    main()
