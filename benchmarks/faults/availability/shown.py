"""The tables of the availability run."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.faults.availability.verdict import Row, percent

_HEADINGS = (
    "fault",
    "asked",
    "success",
    "retried",
    "messages",
    "retried",
    "degraded",
    "p99 all / fault",
    "to open",
    "to recover",
    "to closed",
    "hung",
    "lag",
    "left",
)


def show(console: Console, rows: Sequence[Row]) -> None:
    """Prints the figures, the targets, and how requests failed."""
    if not rows:
        return
    table = Table(title="requests that met the fault, at their first try; seconds")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for row in rows:
        table.add_row(*_cells(row), style="" if row.ok else "yellow")
    console.print(table)
    targets = Table(title="targets")
    for heading in ("fault", "target", "found", "holds"):
        targets.add_column(heading)
    for row in rows:
        for target in row.targets:
            if not target.ok or not target.what.startswith("nothing"):
                targets.add_row(row.title, target.what, target.found, "yes" if target.ok else "NO")
    console.print(targets)
    for row in rows:
        for sentence in row.broken:
            console.print(f"{row.title}: {sentence}", style="red", highlight=False, soft_wrap=True)
        said = ", ".join(f"{what}: {times}" for what, times in row.outcomes.items())
        if row.steady:
            said += f"; before the fault: {row.steady} failed"
        if said:
            console.print(f"{row.title}: {said}", style="dim", highlight=False, soft_wrap=True)


def _cells(row: Row) -> Sequence[str]:
    return (
        row.title,
        str(row.requests),
        percent(row.success),
        percent(row.kept),
        percent(row.messages),
        percent(row.messages_kept),
        percent(row.degraded),
        f"{_seconds(row.p99)} / {_seconds(row.p99_fault)}",
        _seconds(row.to_open),
        _seconds(row.to_recover),
        _seconds(row.to_closed),
        str(row.hung),
        _seconds(row.lag),
        "; ".join(row.leaked) or "-",
    )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"
