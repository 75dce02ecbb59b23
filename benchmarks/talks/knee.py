"""Finds the knee of a stack: the most conversations at once that hold."""

from dataclasses import dataclass

_FACTOR = 1.5
_NEAR = 0.12
_TRIES = 2


@dataclass(slots=True)
class Knee:
    """Says what to try next.

    More and more until it does not hold, twice, for a neighbour may have had the machine; then between the two, until
    they are near each other.

    Attributes:
        start: what is tried first.
        held: the most that held; 0: nothing has.
        broke: the least that did not; 0: everything did.
    """

    start: int
    held: int = 0
    broke: int = 0
    _failed: int = 0

    @property
    def wanted(self) -> int:
        """How many to try; 0: the knee is found."""
        if not self.broke:
            return round(self.held * _FACTOR) or self.start
        if not self.held:
            return self.broke // 2
        return 0 if self.broke - self.held <= max(1, _NEAR * self.held) else (self.broke + self.held) // 2

    def tried(self, conversations: int, *, held: bool) -> None:
        """So many have held, or not."""
        if held:
            self.held, self._failed = max(self.held, conversations), 0
            return
        self._failed += 1
        if self._failed >= _TRIES or self.broke:
            self.broke, self._failed = conversations, 0
