"""Invalidations that the store could not take when they were due."""

from collections.abc import Sequence
from itertools import islice

from services.cache.ports import GroupPrefix

MAX_DEBTS = 100_000
"""Some 10 MB. A writer that meets a dead store this often has been told of it as often."""


class Debts:
    """Keys and prefixes that must be invalidated before any value is read again, each once, oldest first."""

    def __init__(self) -> None:
        self._owed: dict[str | GroupPrefix, None] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, keys: Sequence[str], prefixes: Sequence[GroupPrefix]) -> int:
        """Takes note; returns how many of the oldest had to be forgotten."""
        names: list[str | GroupPrefix] = [*keys, *prefixes]
        for name in names:
            self._owed.pop(name, None)
            self._owed[name] = None
        forgotten = max(0, len(self._owed) - MAX_DEBTS)
        self._strike(forgotten)
        return forgotten

    def take(self, count: int) -> tuple[list[str], list[GroupPrefix]]:
        """Strikes out the oldest keys and prefixes, so many together; whoever fails to pay them owes them anew."""
        names = self._strike(count)
        return (
            [name for name in names if isinstance(name, str)],
            [name for name in names if isinstance(name, GroupPrefix)],
        )

    def _strike(self, count: int) -> list[str | GroupPrefix]:
        names = list(islice(self._owed, count))
        for name in names:
            del self._owed[name]
        return names
