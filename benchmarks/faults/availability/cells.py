"""What is broken, how and for how long: the rows of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SILENT = ("freeze", "slow", "blackhole")
KINDS = ("kill", "freeze", "slow", "reset", "refuse", "blackhole")
SINGLES = ("search", "library", "cache", "generation", "jobs", "valkey", "postgres")
PAIRS = ("search", "generation", "library", "cache", "gateway")
ROOMS: Mapping[str, Sequence[str]] = {"jobs": ("jobs", "worker-high", "worker-low")}
"""Services that are broken together under one name."""

OPEN_SECONDS = 30.0
QUICK_OPEN_SECONDS = 5.0
LONG_SECONDS = 35.0
SHORT_SECONDS = 10.0
SILENT_SECONDS = 15.0
"""Of faults in which nothing answers and nothing is refused: longer than requests wait."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A fault.

    Attributes:
        house: the stack that it needs: ``long`` (breakers as they are by default), ``short`` (they try again sooner),
            ``pairs`` (two of each) or ``model`` (a second model provider).
        service: what is broken.
        kind: how.
        seconds: for how long.
        default: whether it is part of a run that names none.
    """

    house: str
    service: str
    kind: str
    seconds: float
    default: bool = True

    @property
    def name(self) -> str:
        """As it is chosen."""
        return f"{'one-' if self.house == 'pairs' else ''}{self.service}-{self.kind}"

    @property
    def title(self) -> str:
        """As the table has it."""
        return f"{'one of two: ' if self.house == 'pairs' else ''}{self.service} {self.kind}"

    @property
    def open_seconds(self) -> float:
        """How long breakers stay open in its stack."""
        return QUICK_OPEN_SECONDS if self.house == "short" else OPEN_SECONDS


def cells(seconds: float = 0.0) -> list[Cell]:
    """All of them, in the order of a run.

    Args:
        seconds: how long each lasts; 0: as long as it takes to show what it does.
    """
    short = seconds or SHORT_SECONDS
    found = [Cell("long", service, "kill", seconds or LONG_SECONDS) for service in SINGLES]
    found += [
        Cell(
            "short",
            service,
            kind,
            (seconds or SILENT_SECONDS) if kind in _SILENT else short,
            default=kind != "blackhole",
        )
        for kind in KINDS
        if kind != "kill"
        for service in SINGLES
    ]
    found += [Cell("model", "model", kind, short) for kind in KINDS if kind not in {"kill", "freeze"}]
    found += [Cell("pairs", service, "kill", short) for service in PAIRS]
    found += [Cell("pairs", service, "freeze", seconds or SILENT_SECONDS, default=False) for service in PAIRS]
    return found


QUICK = ("search-kill", "library-slow", "generation-reset", "valkey-refuse", "model-refuse", "one-library-kill")
"""What a look takes."""
