"""Reading through the cache: look up, else compute and store. Cache trouble never reaches the caller.

A value comes from one of four places, told apart in ``gaji_read_through_total{kind,result}``:

- ``hit``: the cache had it, or got it while we waited.
- ``stored``: we held the lease, computed it and stored it; ``unstored``: likewise, but storing failed.
- ``contended``: another caller was computing it and did not finish within the wait; we computed it for ourselves.
- ``bypassed``: the cache was in trouble; we computed it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from prometheus_client import Counter

from mesh import deadlines
from mesh.errors import Aborted, Cancelled, DeadlineExceeded, InvalidArgument, PermissionDenied, Unauthenticated
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY

log = get_logger(__name__)

RESULTS = Counter(
    "gaji_read_through",
    "Values read through the cache, by kind and by where they came from.",
    ("kind", "result"),
    registry=REGISTRY,
)
TROUBLE = Counter(
    "gaji_read_through_errors", "Calls to the cache that failed, by operation.", ("operation",), registry=REGISTRY
)

_LOG_EVERY = 30.0
_PERSONAL = (Cancelled, DeadlineExceeded, PermissionDenied, Unauthenticated)
"""Failures that say something of the caller whose call it was, not of the value."""

Compute = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The value that was found."""

    value: bytes


@dataclass(frozen=True, slots=True)
class CacheLease:
    """The right to compute the value and store it."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class CacheContended:
    """Another caller is computing the value."""


class CachePort(Protocol):
    """The cache, as a room's ``clients.py`` reaches it. Any exception means trouble."""

    async def lookup(self, key: str, wait_ms: int) -> CacheHit | CacheLease | CacheContended:
        """Finds the value or grants the lease; waits so long for another caller's value."""

    async def store(self, key: str, lease_id: str, value: bytes) -> None:
        """Stores the value under the lease; raises `mesh.errors.Aborted` when the lease is lost."""

    async def release(self, key: str, lease_id: str) -> None:
        """Gives the lease back."""


class ReadThrough:
    """Reads values through a cache.

    Equal keys that are asked for at the same time within the process share one flight: one lookup and one computation,
    in the context (token, deadline, trace) of the caller that came first. So what ``compute`` answers may depend on
    the key alone, never on who asks. A caller that leaves does not end the flight for others; the last one does.

    Args:
        cache: where values are kept.
        wait: seconds to wait for a value that another process is computing.
        patience: seconds of silence of the cache, beyond any wait, after which it counts as down.
        pause: seconds for which a cache in trouble is left alone; then one caller tries it, and others follow if it
            answers.
    """

    def __init__(self, cache: CachePort, *, wait: float = 1.0, patience: float = 0.1, pause: float = 1.0) -> None:
        self._cache = cache
        self._wait = wait
        self._patience = patience
        self._pause = pause
        self._flights: dict[str, _Flight] = {}
        self._in_trouble = False
        self._try_again_at = 0.0
        self._logged_at = float("-inf")

    async def get(self, key: str, compute: Compute) -> bytes:
        """The value of a key.

        Args:
            key: of the cache's grammar, e.g. ``"novel:{id}"``.
            compute: makes the value when the cache has none; may be called again when its first caller had too little
                time or too few rights.

        Raises:
            Exception: whatever ``compute`` raises; nothing of the cache's.
        """
        while True:
            flight = self._flights.get(key)
            leading = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight(self._fly(key, compute))
                flight.task.add_done_callback(partial(self._landed, key, flight))
            try:
                return await flight.join()
            except _PERSONAL:
                if leading:
                    raise
                # It was the leader that had no time or no right. We may have both; each round loses one leader.
            finally:
                if flight.abandoned:
                    self._close(key, flight)  # at once: nobody may board a flight that is being cancelled

    def forget(self, *prefixes: str) -> None:
        """Lets no later caller join what is under way for keys that are, or start with, one of these.

        Call it where the process invalidates: a flight that began before the write may bring what was true before it.
        """
        for key in [key for key in self._flights if key.startswith(prefixes)]:
            del self._flights[key]

    def _close(self, key: str, flight: "_Flight") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _landed(self, key: str, flight: "_Flight", task: "asyncio.Task[bytes]") -> None:
        self._close(key, flight)
        if not task.cancelled():
            task.exception()  # has been seen, even if every caller has left

    async def _fly(self, key: str, compute: Compute) -> bytes:
        kind = key.partition(":")[0]
        found = await self._lookup(key) if self._may_try() else None
        if isinstance(found, CacheHit):
            RESULTS.labels(kind, "hit").inc()
            return found.value
        if isinstance(found, CacheLease):
            try:
                value = await compute()
            except BaseException:
                await self._settle("release", self._cache.release(key, found.lease_id))
                raise
            stored = await self._store(key, found.lease_id, value)
            RESULTS.labels(kind, "stored" if stored else "unstored").inc()
            return value
        value = await compute()
        RESULTS.labels(kind, "bypassed" if found is None else "contended").inc()
        return value

    async def _lookup(self, key: str) -> CacheHit | CacheLease | CacheContended | None:
        left = deadlines.remaining()
        # Whoever has little time left must not spend it all on waiting for others.
        wait = self._wait if left is None else max(0.0, min(self._wait, left / 2))
        try:
            with deadlines.scope(None):
                # Asked first without waiting: silence then says that the cache hangs, and costs no more than patience.
                async with asyncio.timeout(self._patience):
                    found = await self._cache.lookup(key, 0)
                if isinstance(found, CacheContended) and wait > 0:
                    async with asyncio.timeout(wait + self._patience):
                        found = await self._cache.lookup(key, round(wait * 1000))
        except Exception as error:  # noqa: BLE001 - whatever it is, the value is computed without the cache
            self._failed("lookup", error)
            return None
        self._in_trouble = False
        return found

    async def _store(self, key: str, lease_id: str, value: bytes) -> bool:
        error = await self._settle("store", self._cache.store(key, lease_id, value))
        if isinstance(error, InvalidArgument):
            # Refused for what it is, e.g. too large: others need not wait for it until the lease ends by itself.
            await self._settle("release", self._cache.release(key, lease_id))
        return error is None

    async def _settle(self, operation: str, call: Coroutine[Any, Any, None]) -> Exception | None:
        try:
            # The call may have used up its deadline by now; that is no reason to leave a lease behind.
            with deadlines.scope(None):
                async with asyncio.timeout(self._patience):
                    await call
        except Exception as error:  # noqa: BLE001 - the value is there; that it is not stored is no trouble of the caller
            self._failed(operation, error)
            return error
        return None

    def _may_try(self) -> bool:
        if not self._in_trouble:
            return True
        now = time.monotonic()
        if now < self._try_again_at:
            return False
        self._try_again_at = now + self._pause  # for the others, while this caller tries
        return True

    def _failed(self, operation: str, error: Exception) -> None:
        if operation == "store" and isinstance(error, Aborted):
            return  # a write came in between; that is what leases are for
        TROUBLE.labels(operation).inc()
        now = time.monotonic()
        if not isinstance(error, InvalidArgument | Unauthenticated | PermissionDenied):  # those say: it is up
            self._in_trouble = True
            self._try_again_at = now + self._pause
        if now - self._logged_at >= _LOG_EVERY:
            self._logged_at = now
            log.warning(
                "reading without the cache",
                extra={"operation": operation, "error": f"{type(error).__name__}: {error}"},
            )


class _Flight:
    """A computation that several callers wait for. It ends when it is done or when the last of them leaves."""

    def __init__(self, work: Coroutine[Any, Any, bytes]) -> None:
        self.task = asyncio.create_task(work)
        self.abandoned = False
        self._callers = 0

    async def join(self) -> bytes:
        self._callers += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._callers -= 1
            if not self._callers and not self.task.done():
                self.abandoned = True
                self.task.cancel()
