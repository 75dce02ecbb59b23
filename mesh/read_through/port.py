"""The cache, as it is read through."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

Compute = Callable[[], Awaitable[bytes]]
"""Makes a value; raises `AbsentError` where there is no such thing."""
Keep = Callable[[bytes], bool]
"""Whether a value may be kept near."""


class AbsentError(Exception):
    """There is no such thing. Raised by what computes a value, and to whoever asks for it while that is remembered."""


def always(value: bytes) -> bool:
    """A `Keep`: every value may be kept near."""
    return True


@dataclass(frozen=True, slots=True)
class CacheLease:
    """The right to compute the value and store it, for so many seconds."""

    lease_id: str
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The value that was found.

    Attributes:
        value: the value.
        fresh_seconds: for how long it is fresh; 0: it is stale.
        renewal: the right to compute it anew, which one of those who find it stale gets.
    """

    value: bytes
    fresh_seconds: float = 0.0
    renewal: CacheLease | None = None


@dataclass(frozen=True, slots=True)
class CacheAbsent:
    """There is no such thing."""


@dataclass(frozen=True, slots=True)
class CacheContended:
    """Another caller is computing the value."""


Found = CacheHit | CacheAbsent | CacheLease | CacheContended


class CachePort(Protocol):
    """The cache, as a room reaches it. Any exception means trouble.

    Each call ends within its ``timeout`` seconds, as one whose peer was too slow: cut off from outside it would count
    as one whose caller has left, and a cache that hangs would never open its circuit.
    """

    async def lookup(self, key: str, wait_ms: int, timeout: float) -> Found:
        """Finds the value or grants the lease; waits so long for another caller's value."""

    async def store(self, key: str, lease_id: str, value: bytes | None, timeout: float) -> float:
        """Stores the value, or with None that there is no such thing, under the lease.

        Returns:
            For how many seconds it is fresh.

        Raises:
            mesh.errors.Aborted: the lease is lost.
        """

    async def release(self, key: str, lease_id: str, timeout: float) -> None:
        """Gives the lease back."""
