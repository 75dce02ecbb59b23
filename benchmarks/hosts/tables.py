"""The tables that a run prints."""

import os
import platform
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.faults.availability.verdict import percent
from benchmarks.hosts.verdict import Row

_HEADINGS = (
    "what happens",
    "lasts",
    "replies exact",
    "resumed by readers / gateways",
    "seams, gaps",
    "asked",
    "at once",
    "in the end",
    "messages at once",
    "in the end",
    "p99",
    "all well after",
    "circuits",
    "hung",
)


def show(console: Console, rows: Sequence[Row]) -> None:
    """Prints the figures, the targets that were missed, and how requests failed."""
    table = Table(title="five hosts: replies read word by word, and all other requests that met the fault")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "what happens" else "right")
    for row in rows:
        table.add_row(*_cells(row), style="" if row.ok else "yellow")
    console.print(table)
    targets = Table(title="targets")
    for heading in ("what happens", "should hold", "found", "holds"):
        targets.add_column(heading)
    for row in rows:
        for target in (*row.targets, *row.timed):
            targets.add_row(row.title, target.what, target.found, "yes" if target.ok else "NO")
    console.print(targets)
    for row in rows:
        for sentence in row.broken:
            console.print(f"{row.title}: {sentence}", style="red", highlight=False, soft_wrap=True)
        for sentence in row.given_up:
            console.print(f"{row.title}: never answered: {sentence}", style="yellow", highlight=False, soft_wrap=True)
        said = ", ".join(f"{what}: {times}" for what, times in row.outcomes.items())
        if said:
            console.print(f"{row.title}: {said}", style="dim", highlight=False, soft_wrap=True)
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}. Hosts are network namespaces; all of them share the cores. Scripted model.",
        highlight=False,
        soft_wrap=True,
    )


def _cells(row: Row) -> Sequence[str]:
    return (
        row.title,
        _seconds(row.seconds),
        f"{row.exact}/{row.replies}",
        f"{row.resumes} / {row.gateway_resumes}",
        f"{row.seams}, {row.gaps}",
        str(row.requests),
        percent(row.success),
        percent(row.kept),
        percent(row.messages),
        percent(row.messages_kept),
        _seconds(row.p99),
        _seconds(row.to_recover),
        str(len(row.opened)),
        str(row.hung),
    )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
