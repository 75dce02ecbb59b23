"""The values of a near cache.

Whatever it gives out was right at most ``staleness`` seconds ago:

- A value is given out only while it is known that all invalidations done ``staleness`` seconds ago have been heard of
  (`covered`), whatever holds the news up: the network, the cache, or this process.
- A value that was on its way here when its key was invalidated is not kept: nobody knows which of them came first.
- When news may have been missed (`lost`), all values go, and so does what is on its way; none is kept or given out
  until the news is followed again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from cachetools import LRUCache

from mesh.near.metrics import BYTES, DROPPED, WATCHED

OVERHEAD = 300
"""Bytes that an entry takes beside its key and its value, rounded up."""


class Ticket:
    """A value that is on its way here."""

    __slots__ = ("key", "void")

    def __init__(self, key: str) -> None:
        self.key = key
        self.void = False


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    until: float
    size: int


class NearCache:
    """Values by key, the least recently used going first.

    Args:
        max_bytes: of all of them together; 0: none is kept.
        staleness: seconds by which what is given out may be older than an invalidation that is done.
        clock: seconds, never stepping.
    """

    def __init__(self, max_bytes: int, *, staleness: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: LRUCache[str, _Kept] = LRUCache(max_bytes, getsizeof=_size)
        self._coming: dict[str, set[Ticket]] = {}
        self._staleness = staleness
        self._clock = clock
        self._watched = False
        self._good_until = -inf
        self._wanted: Callable[[], None] | None = None

    @property
    def bytes_kept(self) -> int:
        """What the values take."""
        return int(self._values.currsize)

    def get(self, key: str) -> bytes | None:
        """The value of a key, if it is here and known to be right."""
        now = self._clock()
        if now > self._good_until:
            if self._wanted is not None:
                self._wanted()
            return None
        try:
            kept = self._values[key]
        except KeyError:
            return None
        if now >= kept.until:
            del self._values[key]
            return None
        return kept.value

    def on_want(self, wanted: Callable[[], None] | None) -> None:
        """Has itself told, or no longer, whenever something is asked for that it may not give out for want of news."""
        self._wanted = wanted

    def begin(self, key: str) -> Ticket:
        """To be called before a value is asked for elsewhere that may be kept; then `end` is called in any case."""
        ticket = Ticket(key)
        if self._watched:
            self._coming.setdefault(key, set()).add(ticket)
        else:
            ticket.void = True
        return ticket

    def keep(self, ticket: Ticket, value: bytes, seconds: float) -> None:
        """Keeps a value that was asked for after `begin`, unless its key was invalidated since.

        Args:
            ticket: of `begin`.
            value: what came.
            seconds: for how long it is fresh.
        """
        size = len(ticket.key) + len(value) + OVERHEAD
        if ticket.void or seconds <= 0 or size > self._values.maxsize:
            return
        self._values[ticket.key] = _Kept(value, self._clock() + seconds, size)
        BYTES.set(self._values.currsize)

    def end(self, ticket: Ticket) -> None:
        """The value has come, or will not."""
        coming = self._coming.get(ticket.key)
        if coming is not None:
            coming.discard(ticket)
            if not coming:
                del self._coming[ticket.key]

    def drop(self, keys: Sequence[str], prefixes: Sequence[str] = ()) -> None:
        """These keys, and those that start with a prefix, no longer hold: neither what is here nor what is coming."""
        if prefixes:
            starts = tuple(prefixes)
            keys = [*keys, *(key for key in (*self._values, *self._coming) if key.startswith(starts))]
        for key in keys:
            if self._values.pop(key, None) is not None:
                DROPPED.labels("invalidated").inc()
            self._void(key)
        BYTES.set(self._values.currsize)

    def covered(self, until: float) -> None:
        """All that was invalidated before a moment of the clock has been dropped."""
        self._watched = True
        self._good_until = max(self._good_until, until + self._staleness)
        WATCHED.set(1)

    def lost(self) -> None:
        """News may have been missed."""
        DROPPED.labels("lost").inc(len(self._values))
        self._watched = False
        self._good_until = -inf
        self._values.clear()
        for key in list(self._coming):
            self._void(key)
        BYTES.set(0)
        WATCHED.set(0)

    def _void(self, key: str) -> None:
        for ticket in self._coming.pop(key, ()):
            ticket.void = True


def _size(kept: _Kept) -> int:
    return kept.size
