"""What was measured against what it should be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.guard.measuring import Modules, Turns

LIMIT = 1.15
"""How much of what it was a path may take, by either measure."""
SURE = 1.08
"""What it must take more at least, by CPU: of code that has not changed no lower end comes near it."""
GAIN = 0.85
"""Below which a baseline no longer guards what was gained."""
BASELINE = Path(__file__).with_name("baseline.json")
_OTHERS = "others"
_SMALL = 0.01
_NAMED = 3

Baseline = Mapping[str, Modules]
"""Instructions of a unit, by path and module."""


@dataclass(slots=True)
class Verdict:
    """On one path.

    Attributes:
        now: instructions of a unit, by module.
        before: the same as it should be; None: nobody knows.
        turns: CPU, in both trees; None: it was not compared.
        notes: what else there is to say.
    """

    name: str
    now: Modules
    before: Modules | None = None
    turns: Turns | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Of the instructions."""
        return None if self.before is None else sum(self.now.values()) / sum(self.before.values())

    @property
    def faults(self) -> list[str]:
        """What is wrong, in sentences that begin with the path's name; none: it may pass."""
        found = []
        if self.ratio is not None and self.before is not None and self.ratio > LIMIT:
            counts = f"{sum(self.before.values()):,.0f} -> {sum(self.now.values()):,.0f}"
            more = f"more in {', '.join(grown)}" if (grown := self.grown) else "a little everywhere"
            found.append(f"{self.name}: {self.ratio - 1:.0%} more instructions ({counts}); {more}")
        if self.turns is not None and slower(self.turns):
            found.append(f"{self.name}: {self.turns.ratio - 1:.0%} more CPU, {self.turns.sure - 1:.0%} at least")
        return found

    @property
    def grown(self) -> list[str]:
        """The modules that take most of what is more."""
        if self.before is None:
            return []
        small = _without_small(self.now)
        more = {module: count - self.before.get(module, 0.0) for module, count in small.items()}
        most = sorted(more, key=lambda module: -more[module])[:_NAMED]
        return [f"{module} (+{more[module]:,.0f})" for module in most if more[module] > _SMALL * sum(small.values())]


def slower(turns: Turns) -> bool:
    """Whether something takes too much CPU, and surely so."""
    return turns.ratio > LIMIT and turns.sure > SURE


def read_baseline(python: str, file: Path = BASELINE) -> Baseline:
    """What a minor version of Python should take, e.g. ``"3.11"``; empty: nobody has measured it."""
    if not file.exists():
        return {}
    known: dict[str, dict[str, dict[str, float]]] = json.loads(file.read_text())
    return known.get(python, {})


def write_baseline(python: str, counted: Baseline, file: Path = BASELINE) -> None:
    """Makes what was counted the measure; of paths and versions that were not counted it stays as it is."""
    known = json.loads(file.read_text()) if file.exists() else {}
    rounded = {
        name: {module: round(count, 1) for module, count in _without_small(modules).items()}
        for name, modules in counted.items()
    }
    known[python] = {**known.get(python, {}), **rounded}
    file.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def _without_small(modules: Modules) -> dict[str, float]:
    """The same with what is less than a hundredth in one row."""
    least = _SMALL * sum(modules.values())
    large = {module: count for module, count in modules.items() if count >= least and module != _OTHERS}
    return {**large, _OTHERS: sum(modules.values()) - sum(large.values())}
