"""Where a stream has come to, and whether it is worth going on after its connection was lost."""

import random
import time
from collections.abc import Callable

LOST_SECONDS = 30.0
_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE = 5.0
_GROWTH = 1.6


class Place:
    """A place in a stream, kept across the connections that it takes to follow it to its end.

    Args:
        clock: the monotonic clock.

    Attributes:
        cursor: the last event's id; empty: none has come that has one.
        begun: whether the gateway has answered at all, so that there is something to go on with.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cursor = ""
        self.begun = False
        self._clock = clock
        self._base = _PAUSE_SECONDS
        self._lost_at: float | None = None
        self._losses = 0

    def moved(self, cursor: str) -> bool:
        """Takes an event's id; whether it is a new one, which is progress."""
        if cursor == self.cursor:
            return False
        self.cursor = cursor
        self._lost_at, self._losses = None, 0
        return True

    def told_to_wait(self, milliseconds: int) -> None:
        """The gateway has said how long to wait before coming back."""
        self._base = milliseconds / 1000

    def lost(self) -> float | None:
        """The connection is lost: the seconds to wait before the next one; None: there was no progress for too long."""
        now = self._clock()
        self._lost_at = now if self._lost_at is None else self._lost_at
        pause = min(self._base * _GROWTH**self._losses, max(_LONGEST_PAUSE, self._base))
        pause *= random.uniform(1.0, 1.2)  # noqa: S311 - keeps readers from coming back all at once
        self._losses += 1
        return None if now + pause - self._lost_at > LOST_SECONDS else pause
