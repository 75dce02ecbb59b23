"""The figures as tables."""

import math
import time
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stack.top.house import Figure
from stack.top.processes import Line

_STYLES: Mapping[str, str] = {"good": "green", "missed": "yellow", "alert": "bold red", "": ""}
_NOTHING = "-"
_HIGH_ERRORS, _SOME_ERRORS = 0.01, 0.001
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def screen(title: str, lines: Sequence[Line | str], figures: Sequence[Figure]) -> RenderableType:
    """All of it.

    Args:
        title: what is looked at.
        lines: the processes; a bare name is one that does not answer.
        figures: of all of them.
    """
    return Group(Text(title, "bold"), _figures(figures), _processes(lines))


def _figures(figures: Sequence[Figure]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in ("figure", "now", "target", "alert"):
        table.add_column(column, justify="left" if column == "figure" else "right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for figure in figures:
        signs = ("≥ ", "< ") if figure.falling else ("≤ ", "> ")
        table.add_row(
            figure.name,
            Text(_amount(figure.value, figure.unit), _STYLES[figure.state]),
            *(
                f"{sign}{_bound(bound, figure.unit)}" if bound is not None else ""
                for sign, bound in zip(signs, (figure.target, figure.alert), strict=True)
            ),
            Text(figure.more, "dim"),
        )
    return table


def _processes(lines: Sequence[Line | str]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("process", no_wrap=True)
    for column in ("/s", "p50", "p95", "p99", "errors", "in flight", "memory", "cpu", "up"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("open circuits", no_wrap=True)
    now = time.time()
    for line in lines:
        if isinstance(line, str):
            table.add_row(line, Text("no answer", "red"))
            continue
        limit = f" of {line.limit:,.0f}" if line.limit else ""
        table.add_row(
            line.name,
            _number(line.rate),
            *(_seconds(value) for value in line.percentiles),
            _errors(line.errors),
            _NOTHING if line.in_flight is None else f"{line.in_flight:,.0f}{limit}",
            _NOTHING if line.memory is None else f"{line.memory / 1024**2:,.0f} MiB",
            _NOTHING if line.cpu is None else f"{line.cpu:.0%}",
            _NOTHING if line.started is None else lasted(now - line.started),
            Text(line.open_breakers, "red"),
        )
    return table


def lasted(seconds: float) -> str:
    """In the largest unit that is at least twice in it, e.g. ``81 s`` or ``110 min``."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), ("s", 1))
    return f"{seconds / size:.0f} {unit}"


def _errors(share: float | None) -> Text:
    if share is None:
        return Text(_NOTHING)
    style = "red" if share > _HIGH_ERRORS else "yellow" if share > _SOME_ERRORS else ""
    return Text(f"{share:.1%}", style)


def _amount(value: float | None, unit: str) -> str:
    match unit:
        case "s":
            return _seconds(value)
        case "%":
            return _NOTHING if value is None else f"{value:.1%}"
        case _:
            return _number(value)


def _bound(value: float, unit: str) -> str:
    return f"{value:.1%}".replace(".0%", "%") if unit == "%" else f"{value:g} {unit}".rstrip()


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return _NOTHING
    return f"{value:,.1f}" if value % 1 else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value * 1000:,.1f} ms" if value < 0.1 else f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.2f} s"
