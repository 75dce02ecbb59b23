"""Up to when what is near is known to be right, from news that tells the time of another clock.

News may be held up on its way, so the moment at which it comes says nothing of the moment of which it tells. And clocks
of two machines do not agree. But both run at the same pace, and the watch was in place only after it was asked for: so
a moment that the other clock shows is, here, no earlier than the asking plus what the other clock says has passed since
the watch was in place (after Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989). What that
takes for too early makes the near cache careful, never wrong. Clocks drift apart by some 0.1 ms a second at worst: a
watch is begun anew before that matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.near.cache import NearCache


@dataclass(frozen=True, slots=True)
class InPlace:
    """From this moment on, in seconds of the teller's clock, every invalidation is told."""

    as_of: float


@dataclass(frozen=True, slots=True)
class Beat:
    """Every invalidation that had been done at this moment of the teller's clock has been told."""

    as_of: float


@dataclass(frozen=True, slots=True)
class Gone:
    """Keys and prefixes that no longer hold."""

    keys: Sequence[str]
    prefixes: Sequence[str]


News = InPlace | Beat | Gone


class Coverage:
    """Hands the news of one watch on to a near cache.

    Args:
        near: the near cache.
        asked_at: when the watch was asked for, by the near cache's clock.
    """

    def __init__(self, near: NearCache, asked_at: float) -> None:
        self._near = near
        self._asked_at = asked_at
        self._in_place: float | None = None

    def hear(self, news: News) -> None:
        """Takes the next news, in the order told."""
        if isinstance(news, Gone):
            self._near.drop(news.keys, news.prefixes)
        elif isinstance(news, InPlace):
            self._in_place = news.as_of
            self._near.covered(self._asked_at)
        elif self._in_place is not None:
            self._near.covered(self._asked_at + news.as_of - self._in_place)
