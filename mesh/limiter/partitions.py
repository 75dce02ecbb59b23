"""The limit's shares."""

import math
from collections.abc import Mapping

from mesh.priority import BATCH, INTERACTIVE

SHARES: Mapping[str, float] = {INTERACTIVE: 0.9, BATCH: 0.1}
_WEIGHT = 0.02  # of one more arrival in the mix of arrivals


class Partitions:
    """Counts what is in flight by partition and says what may come.

    While the total is below the limit a partition takes what the others leave. From there on each is held to its
    share, rounded up and never less than one, so the total may exceed the limit by as much as the others took before:
    the semantics of ``AbstractPartitionedLimiter`` in https://github.com/Netflix/concurrency-limits.

    Args:
        shares: of the limit, by name; together 1 at most.

    Attributes:
        in_flight: by partition.
    """

    def __init__(self, shares: Mapping[str, float] = SHARES) -> None:
        if not shares or min(shares.values()) < 0 or sum(shares.values()) > 1 + 1e-9:
            raise ValueError(f"the shares {dict(shares)} must be at least 0 and together at most 1")
        self._shares = dict(shares)
        self._mix = dict(shares)
        self.in_flight = dict.fromkeys(shares, 0)

    @property
    def total(self) -> int:
        """How many are in flight."""
        return sum(self.in_flight.values())

    def share(self, name: str, limit: int) -> int:
        """What a partition has for sure."""
        return max(1, math.ceil(limit * self._shares[name] - 1e-9))

    def acquire(self, name: str, limit: int, waiting: float = 0.0) -> bool:
        """Takes a permit; False: there is none.

        Args:
            name: the partition.
            limit: of all.
            waiting: how many calls wait before those in flight, where nobody has seen yet of which partition they are;
                they count as the arrivals of late.
        """
        mix = self._mix
        for other in mix:
            mix[other] += ((other == name) - mix[other]) * _WEIGHT
        in_flight = self.in_flight
        if self.total + waiting >= limit and in_flight[name] + waiting * mix[name] >= self.share(name, limit):
            return False
        in_flight[name] += 1
        return True

    def release(self, name: str) -> None:
        """Gives a permit back."""
        self.in_flight[name] -= 1
