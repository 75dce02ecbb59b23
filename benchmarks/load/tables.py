"""The tables of a run."""

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.load.generator import Answers, percentile
from benchmarks.load.memory import Course
from benchmarks.load.readers import Streams

CALM, FULL, TWICE = "calm", "at capacity", "at twice that"


def overload(console: Console, runs: Mapping[str, Answers], lasting: float, burst: float) -> None:
    """What came back at each rate.

    Args:
        console: where to.
        runs: by name.
        lasting: the most goodput that there was beside the overload.
        burst: the most on the way up, for four seconds, before the limits had found their places.
    """
    table = Table(title="mixed reads: open loop, times from when a request was due")
    headings = ("", "offered/s", "goodput/s", "p50 ms", "p99 ms", "shed", "shed p50 ms", "no Retry-After", "else")
    for heading in (*headings, "generator CPU"):
        table.add_column(heading, justify="right")
    for name, answers in runs.items():
        table.add_row(name, *_row(answers))
    console.print(table)
    calm, twice = runs[CALM], runs[TWICE]
    by_class = Table(title="at twice the capacity, by class: p50 / p99 ms, against calm")
    for heading in ("", "calm", "twice"):
        by_class.add_column(heading, justify="right")
    for name in sorted(calm.times):
        by_class.add_row(name, *(_both(answers.times.get(name, ())) for answers in (calm, twice)))
    console.print(by_class)
    console.print(
        f"capacity {lasting:.0f}/s ({burst:.0f}/s for seconds); at twice that "
        f"goodput {twice.goodput / lasting:.0%} of it "
        f"({twice.goodput / burst:.0%}), p99 of accepted "
        f"{twice.percentile(99) / max(1e-9, calm.percentile(99)):.2f} x calm, {twice.shed_share:.0%} shed",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}; load average {os.getloadavg()[0]:.1f}",
        highlight=False,
        soft_wrap=True,
    )


def streams(console: Console, seen: Streams, beside: Answers) -> None:
    """What readers of streams got, and those who asked meanwhile."""
    table = Table(title="streams and reads together")
    for heading in ("streams at once", "streams in all", "events", "incomplete", "refused"):
        table.add_column(heading, justify="right")
    refused = ", ".join(f"{status}: {count}" for status, count in sorted(seen.refused.items()))
    table.add_row(f"{seen.most:,}", f"{seen.ended:,}", f"{seen.events:,}", f"{len(seen.wrong)}", refused or "none")
    console.print(table)
    for sentence in sorted(set(seen.wrong))[:5]:
        console.print(sentence, highlight=False)
    reads = Table(title="reads beside them")
    headings = ("offered/s", "goodput/s", "p50 ms", "p99 ms", "shed", "shed p50 ms", "no Retry-After", "else")
    for heading in (*headings, "generator CPU"):
        reads.add_column(heading, justify="right")
    reads.add_row(*_row(beside))
    console.print(reads)


def processes(
    console: Console, title: str, courses: Iterable[Course], after: Mapping[str, float] | None = None
) -> None:
    """What each process took; memory as means of the quarters of the time, and when all was over."""
    table = Table(title=title)
    for heading in ("", "CPU", "PSS MiB: 1st quarter", "2nd", "3rd", "4th", *(("after",) if after else ())):
        table.add_column(heading, justify="right")
    for course in courses:
        last = (f"{after[course.name]:.1f}",) if after else ()
        table.add_row(course.name, f"{course.cpu:.0%}", *(f"{course.level(part):.1f}" for part in range(4)), *last)
    console.print(table)


def _row(answers: Answers) -> tuple[str, ...]:
    others = ", ".join(f"{status}: {count}" for status, count in sorted(answers.others.items()))
    return (
        f"{answers.offered / answers.seconds:.0f}",
        f"{answers.goodput:.0f}",
        f"{answers.percentile(50) * 1000:.1f}",
        f"{answers.percentile(99) * 1000:.1f}",
        f"{answers.shed_share:.0%}",
        f"{percentile(answers.shed_times, 50) * 1000:.1f}",
        f"{answers.curt}",
        others or "none",
        f"{answers.cpu:.0%}",
    )


def _both(times: Sequence[float]) -> str:
    return f"{percentile(times, 50) * 1000:.1f} / {percentile(times, 99) * 1000:.1f}"
