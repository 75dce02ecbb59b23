"""Lines over concurrency, both scales logarithmic: the same distance is the same factor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.plots.svg import WIDTH, Picture
from benchmarks.results import Spread

_LEFT, _RIGHT, _PLOT = 84.0, 160.0, 330.0


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a step.

    Attributes:
        x: how many at once.
        value: of the rounds.
        held: whether it was within its bounds.
    """

    x: float
    value: Spread
    held: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The steps of one, in rising order."""

    name: str
    points: Sequence[Point]
    ours: bool


@dataclass(frozen=True, slots=True)
class Axes:
    """What the scales say, and a bound across them."""

    x: str
    y: str
    bound: float
    bound_said: str


def lines(title: str, said: Sequence[str], axes: Axes, drawn: Sequence[Line]) -> str:
    """A picture of lines, each with its name at its end; open dots are steps that did not hold."""
    picture = Picture(title, said, _PLOT + 88)
    points = [point for line in drawn for point in line.points]
    over, under = picture.top + 34, picture.top + 34 + _PLOT
    across = _Scale([point.x for point in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale([*(v for p in points for v in (p.value.low, p.value.high)), axes.bound], under, over)
    picture.text(_LEFT - 44, over - 14, axes.y, "tick")
    for value in up.ticks((1, 10) if up.decades > 2 else (1, 2, 5, 10)):
        picture.path([(_LEFT, up(value)), (WIDTH - _RIGHT, up(value))], "grid")
        picture.text(_LEFT - 10, up(value) + 4, f"{value:,g}", "tick", "end")
    for value in across.ticks((1, 2, 5)):
        picture.path([(across(value), under), (across(value), under + 5)], "grid")
        picture.text(across(value), under + 20, f"{value:,g}", "tick", "middle")
    picture.text((_LEFT + WIDTH - _RIGHT) / 2, under + 42, axes.x, "tick", "middle")
    picture.path([(_LEFT, up(axes.bound)), (WIDTH - _RIGHT, up(axes.bound))], "limit")
    picture.text(WIDTH - _RIGHT + 8, up(axes.bound) + 4, axes.bound_said, "tick")
    for line in sorted(drawn, key=lambda one: one.ours):  # ours on top
        ours = "ours " if line.ours else ""
        there = [(across(point.x), up(point.value.high)) for point in line.points]
        back = [(across(point.x), up(point.value.low)) for point in reversed(line.points)]
        picture.path(there + back, f"{ours}band", closed=True)
        picture.path([(across(point.x), up(point.value.median)) for point in line.points], f"{ours}line")
        for point in line.points:
            picture.dot(across(point.x), up(point.value.median), f"{ours}{'dot' if point.held else 'open'}")
        last = line.points[-1]
        picture.text(across(last.x) + 12, up(last.value.median) - 6, line.name, f"{ours}name")
    return picture.drawn()


class _Scale:
    """Where a value stands between two ends of the picture."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low, self._high = math.log10(min(values)), math.log10(max(values))
        margin = 0.04 * (self._high - self._low or 1.0)
        self._low, self._high = self._low - margin, self._high + margin
        self._start, self._length = start, end - start

    @property
    def decades(self) -> float:
        return self._high - self._low

    def __call__(self, value: float) -> float:
        return self._start + self._length * (math.log10(value) - self._low) / (self._high - self._low)

    def ticks(self, steps: Sequence[int]) -> list[float]:
        tens = range(math.floor(self._low), math.ceil(self._high) + 1)
        values = sorted({step * 10.0**ten for ten in tens for step in steps})
        return [value for value in values if self._low <= math.log10(value) <= self._high]
