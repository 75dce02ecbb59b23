"""What the cache needs of a store and of the news between its replicas. Times are whole milliseconds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

SILENCE_SECONDS = 3.0
"""What a watcher bears that does not say."""


class StoreUnavailableError(Exception):
    """The store does not answer, or not in time. The message is for people."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to compute the value."""

    lease_id: str
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that was found.

    Attributes:
        value: the value.
        ttl_ms: until it expires.
        fresh_ms: for how long it is fresh; 0: it is stale.
        renewal: the right to compute it anew.
    """

    value: bytes
    ttl_ms: int
    fresh_ms: int
    renewal: Lease | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such thing, which is remembered for so long."""

    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Contended:
    """Another caller holds the lease, for so long at most."""

    retry_after_ms: int


Found = Hit | Absent | Lease | Contended


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lives.

    Attributes:
        key: the whole key.
        group: the part of the key that prefix invalidation starts from; None: the kind has no parts below its id.
        group_ttl_ms: how long the group's list of keys is kept after its last change; longer than any value lives.
    """

    key: str
    group: str | None = None
    group_ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One of many lookups.

    Attributes:
        place: where.
        lease_id: what the lease is called that may be granted.
        renews: whether it may be granted for a stale value as well.
    """

    place: Place
    lease_id: str
    renews: bool


@dataclass(frozen=True, slots=True)
class GroupPrefix:
    """All keys of a group that start with a text, which itself starts with the group."""

    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Keys and prefixes that no longer hold."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """Every invalidation that had been done at this moment (seconds of `time.monotonic`) has been told."""

    as_of: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store made of a value.

    Attributes:
        stored: whether it was stored; False: the lease was not held.
        kept_bytes: what it takes there.
    """

    stored: bool
    kept_bytes: int = 0


class Store(Protocol):
    """Each operation is atomic, takes one round trip, and raises `StoreUnavailableError` in bounded time."""

    async def lookup_many(self, wanted: Sequence[Wanted], lease_ms: int) -> list[Found | StoreUnavailableError]:
        """Finds values; on a miss that nobody else works on, grants the lease. Each is atomic by itself.

        Args:
            wanted: what is looked up.
            lease_ms: how long a lease holds.

        Returns:
            What was found of each; an error where that one lookup failed.
        """

    async def store(self, place: Place, lease_id: str, value: bytes | None, ttl_ms: int, fresh_ms: int) -> Kept:
        """Stores the value, or with None that there is no such thing, if the lease is held."""

    async def release(self, place: Place, lease_id: str) -> bool:
        """Ends the lease if it is held; whether it was."""

    async def invalidate(self, keys: Sequence[str], prefixes: Sequence[GroupPrefix]) -> list[int]:
        """Removes values, voids leases and tells every replica. How many values went: by key, then by prefix."""

    async def available(self) -> bool:
        """Whether the store answers."""


class Settled(Protocol):
    """Tells a waiter that a key is worth another look."""

    async def wait(self, seconds: float) -> None:
        """Returns when the key's lease has ended, in any way, or after so many seconds; may return early."""


class Bulletin(Protocol):
    """News from all replicas."""

    def asked(self) -> None:
        """Somebody looks something up; until then beats may be further apart than those who watch can use."""

    def waiting(self, key: str) -> AbstractContextManager[Settled]:
        """Listens for the end of the key's lease, from the moment of entering."""

    def watching(
        self, *, beats: bool = False, silence: float = SILENCE_SECONDS
    ) -> AbstractContextManager[AsyncIterator[Notice | Beat]]:
        """Every invalidation from the moment of entering; with beats also, often, up to when that is all.

        Args:
            beats: whether to tell that as well.
            silence: seconds without one that are borne while nobody looks anything up.

        Raises:
            StoreUnavailableError: on entering or while iterating, when news may have been missed.
        """
