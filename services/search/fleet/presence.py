"""Whether it is worth asking the workers of a model."""

import time
from collections.abc import Callable

AWAY_SECONDS = 30.0


class Presence:
    """Once nobody has answered, nobody is asked for a while; then one batch tries, and the others do without.

    Args:
        pause: how long nobody is asked, in seconds.
        clock: seconds from any beginning.
    """

    def __init__(self, pause: float = AWAY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._away_until: float | None = None
        self._trying = False

    def ask(self) -> bool:
        """Whether to ask now; who is told yes says what came of it with `heard`, or `left`."""
        if self._away_until is None:
            return True
        if self._trying or self._clock() < self._away_until:
            return False
        self._trying = True
        return True

    def heard(self, *, answered: bool) -> bool:
        """What came of asking; returns whether that is news."""
        self._trying = False
        news = answered != (self._away_until is None)
        self._away_until = None if answered else self._clock() + self._pause
        return news

    def left(self) -> None:
        """Nothing came of it: who asked did not wait."""
        self._trying = False
