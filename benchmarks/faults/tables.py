"""The tables that a run prints."""

import os
import platform
import statistics
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.faults.load import Report
from benchmarks.faults.scenarios import Fact

_HEADINGS = (
    "what happens",
    "replies exact",
    "killed",
    "readers' cuts",
    "resumed by readers",
    "by gateways",
    "seams",
    "gaps",
    "recovery p50 / p99",
    "all readers",
    "time",
)


def show(console: Console, reports: Sequence[Report], facts: Sequence[Fact]) -> None:
    """Prints what was found, and everything that was wrong."""
    if reports:
        table = Table(title="every reply checked word by word: as assembled by its reader, as ended, as stored")
        for heading in _HEADINGS:
            table.add_column(heading, justify="left" if heading in {"what happens", "killed"} else "right")
        for report in reports:
            table.add_row(*_row(report))
        console.print(table)
    if facts:
        table = Table(title="beside the replies")
        for heading in ("what", "result", "as it should be"):
            table.add_column(heading)
        for fact in facts:
            table.add_row(fact.what, fact.result, "yes" if fact.ok else "NO")
        console.print(table)
    for report in reports:
        for sentence in (*report.wrong, *report.broken):
            console.print(f"{report.name}: {sentence}", style="red", highlight=False, soft_wrap=True)
        troubles = {str(status): times for status, times in sorted(report.refused.items())}
        troubles |= {"hiccups": report.hiccups, "requests repeated": report.repeated, "breaks": report.breaks}
        said = ", ".join(f"{name}: {times}" for name, times in troubles.items() if times)
        if said:
            console.print(f"{report.name}: readers met {said}", style="dim", highlight=False, soft_wrap=True)
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}. Scripted model; everything runs on the same cores, the restarts as well. "
        "Recovery: from the end of the process that writes a reply to the next token at its reader; first those whose "
        "connection held, then all, with the pauses of those who had to connect again.",
        highlight=False,
        soft_wrap=True,
    )


def _row(report: Report) -> Sequence[str]:
    killed = ", ".join(f"{times} {name}" for name, times in sorted(report.kills.items()))
    return (
        report.name,
        f"{report.exact}/{report.replies}",
        killed or "-",
        str(report.cuts),
        str(report.resumes),
        str(report.gateway_resumes),
        str(report.seams),
        str(report.gaps),
        _p50_p99(report.connected),
        _p50_p99(report.recovery),
        f"{report.seconds:.0f} s",
    )


def _p50_p99(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return f"{seconds[0]:.1f} s (1)" if seconds else "-"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{cuts[49]:.1f} / {cuts[98]:.1f} s ({len(seconds)})"
