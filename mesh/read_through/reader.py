"""`ReadThrough`."""

import asyncio
from collections.abc import Sequence

from mesh import deadlines, priority
from mesh.errors import Cancelled, DeadlineExceeded, InvalidArgument, PermissionDenied, Unauthenticated
from mesh.near import NearCache
from mesh.process import ended
from mesh.read_through.flights import Flights
from mesh.read_through.metrics import RENEWALS, RESULTS
from mesh.read_through.port import (
    AbsentError,
    CacheAbsent,
    CacheContended,
    CacheHit,
    CacheLease,
    CachePort,
    Compute,
    Found,
    Keep,
)
from mesh.read_through.trouble import Trouble
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_PERSONAL = (Cancelled, DeadlineExceeded, PermissionDenied, Unauthenticated)
"""Failures that say something of the caller whose call it was, not of the value."""
_WAIT_SHARE = 0.75
"""The part of a call's time that the cache waits at most, so that its answer is in time."""
_MOST_RENEWALS = 32
"""More stale values are not computed anew at once; the rest wait for their next reader."""
_RENEWAL_SHARE = 0.8
"""The part of its lease that a renewal may take."""


class ReadThrough:
    """Reads values through a cache.

    Equal keys that are asked for at the same time within the process share one flight: one lookup and one computation,
    in the context (token, deadline, trace) of the caller that came first. So what ``compute`` answers may depend on
    the key alone, never on who asks. A caller that leaves does not end the flight for others; the last one does.

    A stale value is answered at once. Where it came with the lease, it is computed anew in the background, within that
    lease's time and in the context of who found it, but for the deadline.

    Args:
        cache: where values are kept.
        near: values of this process; None: there are none.
        wait: seconds to wait for a value that another process is computing.
        patience: seconds of silence of the cache, beyond any wait, after which it counts as down.
        pause: seconds for which a cache in trouble is left alone; then one caller tries it, and others follow if it
            answers.
    """

    def __init__(
        self,
        cache: CachePort,
        *,
        near: NearCache | None = None,
        wait: float = 1.0,
        patience: float = 0.1,
        pause: float = 1.0,
    ) -> None:
        self._cache = cache
        self._near = near
        self._wait = wait
        self._patience = patience
        self._trouble = Trouble(pause)
        self._flights = Flights()
        self._renewals: set[asyncio.Task[None]] = set()

    async def get(self, key: str, compute: Compute, keep: Keep | None = None) -> bytes:
        """The value of a key.

        Args:
            key: of the cache's grammar, e.g. ``"novel:{id}"``.
            compute: makes the value when the cache has none; may be called again when its first caller had too little
                time or too few rights, and once more in the background.
            keep: whether a value may be kept near; None: none of this key may be.

        Raises:
            AbsentError: there is no such thing, as ``compute`` says now or said a short while ago.
            Exception: whatever else ``compute`` raises; nothing of the cache's.
        """
        if keep is not None and self._near is not None:
            value = self._near.get(key)
            if value is not None:
                RESULTS.labels(_kind(key), "near").inc()
                return value
        while True:
            flight, leading = self._flights.board(key, lambda: self._fly(key, compute, keep))
            try:
                return await flight.join()
            except _PERSONAL:
                if leading:
                    raise
                # It was the leader that had no time or no right. We may have both; each round loses one leader.
            finally:
                if flight.abandoned:
                    self._flights.close(key, flight)  # at once: nobody may board a flight that is being cancelled

    def forget(self, *keys: str, prefixes: Sequence[str] = ()) -> None:
        """Drops what is near, and lets no later caller join what is under way, for these keys and prefixes.

        Call it where the process invalidates: a flight that began before the write may bring what was true before it.
        """
        self._flights.close_all(keys, prefixes)
        if self._near is not None:
            self._near.drop(keys, prefixes)

    async def close(self) -> None:
        """Ends what runs in the background."""
        await ended(*self._renewals)

    async def _fly(self, key: str, compute: Compute, keep: Keep | None) -> bytes:
        near = self._near
        if keep is None or near is None:
            value, _ = await self._fetched(key, compute)
            return value
        ticket = near.begin(key)
        try:
            value, fresh_seconds = await self._fetched(key, compute)
            if fresh_seconds > 0 and keep(value):
                near.keep(ticket, value, fresh_seconds)
            return value
        finally:
            near.end(ticket)

    async def _fetched(self, key: str, compute: Compute) -> tuple[bytes, float]:
        """The value, and for how many seconds the cache calls it fresh; 0: it does not have it, or calls it stale."""
        kind = _kind(key)
        found = await self._lookup(key) if self._trouble.may_try() else None
        if isinstance(found, CacheHit):
            RESULTS.labels(kind, "hit" if found.fresh_seconds > 0 else "stale").inc()
            if found.renewal is not None:
                self._renew(key, found.renewal, compute)
            return found.value, found.fresh_seconds
        if isinstance(found, CacheAbsent):
            RESULTS.labels(kind, "absent").inc()
            raise AbsentError(key)
        if isinstance(found, CacheLease):
            return await self._computed(key, found, compute)
        value = await compute()
        RESULTS.labels(kind, "bypassed" if found is None else "contended").inc()
        return value, 0.0

    async def _computed(self, key: str, lease: CacheLease, compute: Compute) -> tuple[bytes, float]:
        try:
            value = await compute()
        except AbsentError:
            await self._store(key, lease.lease_id, None)
            raise
        except BaseException:
            await self._release(key, lease.lease_id)
            raise
        fresh_seconds = await self._store(key, lease.lease_id, value)
        RESULTS.labels(_kind(key), "unstored" if fresh_seconds is None else "stored").inc()
        return value, fresh_seconds or 0.0

    def _renew(self, key: str, lease: CacheLease, compute: Compute) -> None:
        if len(self._renewals) >= _MOST_RENEWALS:
            return
        task = asyncio.create_task(self._renewed(key, lease, compute))
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)

    async def _renewed(self, key: str, lease: CacheLease, compute: Compute) -> None:
        priority.enter(priority.BATCH)  # nobody waits for it
        seconds = lease.seconds * _RENEWAL_SHARE
        value: bytes | None = None
        result = "absent"
        try:
            with deadlines.scope(seconds):  # its own: that of who found the stale value has been answered
                async with asyncio.timeout(seconds):
                    value = await compute()
            result = "stored"
        except AbsentError:
            pass
        except Exception as error:  # noqa: BLE001 - the stale value stays, and the lease, so that this waits for its end
            RENEWALS.labels(_kind(key), "failed").inc()
            log.info("a stale value could not be computed anew", extra={"key": key, "error": str(error)})
            return
        if await self._store(key, lease.lease_id, value) is None:
            result = "unstored"
        RENEWALS.labels(_kind(key), result).inc()

    async def _lookup(self, key: str) -> Found | None:
        left = deadlines.remaining()
        # Whoever has little time left must not spend it all on waiting for others.
        wait = self._wait if left is None else max(0.0, min(self._wait, left / 2))
        try:
            with deadlines.scope(None):
                # Asked first without waiting: silence then says that the cache hangs, and costs no more than patience.
                found = await self._cache.lookup(key, 0, self._patience)
                if isinstance(found, CacheContended) and wait > 0:
                    found = await self._cache.lookup(key, round(wait * 1000), wait / _WAIT_SHARE + self._patience)
        except Exception as error:  # noqa: BLE001 - whatever it is, the value is computed without the cache
            self._trouble.failed("lookup", error)
            return None
        self._trouble.over()
        return found

    async def _store(self, key: str, lease_id: str, value: bytes | None) -> float | None:
        """For how many seconds the value is fresh; None: it was not stored."""
        try:
            # The call may have used up its deadline by now; that is no reason to leave a lease behind.
            with deadlines.scope(None):
                return await self._cache.store(key, lease_id, value, self._patience)
        except InvalidArgument as error:
            # Refused for what it is, e.g. too large: others need not wait for it until the lease ends by itself.
            self._trouble.failed("store", error)
            await self._release(key, lease_id)
        except Exception as error:  # noqa: BLE001 - the value is there; that it is not stored is no trouble of the caller
            self._trouble.failed("store", error)
        return None

    async def _release(self, key: str, lease_id: str) -> None:
        try:
            with deadlines.scope(None):
                await self._cache.release(key, lease_id, self._patience)
        except Exception as error:  # noqa: BLE001 - then the lease ends by itself
            self._trouble.failed("release", error)


def _kind(key: str) -> str:
    return key.partition(":")[0]
