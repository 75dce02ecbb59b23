"""The paths that are watched, and what each of them needs around it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.guard.children import LateChild

Round = Callable[[], Awaitable[int]]
"""Does the work once; returns how many units that were."""

PATHS = {
    "cache hit, near": "caches.near",
    "search": "searches.ranked",
    "call, caller": "calls.caller",
    "call, server": "calls.server",
    "cache hit, reader": "caches.reader",
    "cache hit, service": "caches.service",
    "relay, gateway": "streams.gateway",
    "relay, producer": "streams.producer",
}
"""What opens each; those first that leave nothing behind that would run beside the next."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a path is measured.

    Attributes:
        peer: the process at the other end (`benchmarks.guard.peer`); what it spends is not measured.
        redis_url: a Valkey of its own.
        public_key: the file of the key that tokens are verified with.
        token: a reader's.
        counting: whether instructions are counted, which needs few of them, and patience.
    """

    peer: LateChild
    redis_url: str
    public_key: Path
    token: str
    counting: bool

    def some(self, timed: int, counted: int) -> int:
        """How many a round has: so many where it is timed, so many where instructions are counted."""
        return counted if self.counting else timed

    @property
    def pause(self) -> float:
        """Seconds between one batch of events and the next: longer than any of ours is held back."""
        return 0.02 if self.counting else 0.005


def opened(path: str, site: Site) -> AbstractAsyncContextManager[Round]:
    """A path's rounds; imports no more than that path needs."""
    module, _, name = PATHS[path].partition(".")
    manager: AbstractAsyncContextManager[Round] = getattr(import_module(f"benchmarks.guard.{module}"), name)(site)
    return manager
