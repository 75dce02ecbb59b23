"""Lying bars, a panel for each load, from nothing on: lengths may be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.plots.svg import WIDTH, Picture
from benchmarks.results import Spread

_NAMES, _NUMBERS, _ROW, _BAR, _HEAD, _GAP = 250.0, 100.0, 34.0, 20.0, 30.0, 14.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure.

    Attributes:
        name: whose.
        value: the median of the rounds, and how far they were apart.
        ours: whether it is ours.
    """

    name: str
    value: Spread
    ours: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one unit.

    Attributes:
        title: what they have in common.
        unit: behind each figure.
        bars: from above.
        full: what the whole width stands for; None: the most of these.
    """

    title: str
    unit: str
    bars: Sequence[Bar]
    full: float | None = None


def bars(title: str, said: Sequence[str], panels: Sequence[Panel]) -> str:
    """A picture of panels, one below the other."""
    height = sum(_HEAD + _ROW * len(panel.bars) + _GAP for panel in panels) + 14
    picture = Picture(title, said, height)
    y = picture.top
    left, room = 28 + _NAMES, WIDTH - 2 * 28 - _NAMES - _NUMBERS
    for panel in panels:
        picture.text(28, y + 18, panel.title, "said")
        most = panel.full or max(bar.value.high for bar in panel.bars)
        y += _HEAD
        for bar in panel.bars:
            ours = "ours " if bar.ours else ""
            middle = y + _ROW / 2
            low, value, high = (room * one / most for one in (bar.value.low, bar.value.median, bar.value.high))
            picture.text(left - 12, middle + 5, bar.name, f"{ours}name", "end")
            picture.box(left, middle - _BAR / 2, max(value, 1.5), _BAR, f"{ours}bar")
            picture.whiskers(left + low, left + high, middle)
            picture.text(
                left + max(high, value) + 12, middle + 5, f"{figure(bar.value.median)} {panel.unit}", f"{ours}number"
            )
            y += _ROW
        y += _GAP
    return picture.drawn()


def figure(value: float) -> str:
    """Two or three digits that count: 0.63, 4.1, 62, 1,290."""
    if value >= 10:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    return f"{value:.2f}"
