"""A read-through cache with leases.

After Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1: of many callers that miss, one gets a
lease and computes; an invalidation voids the lease, so that a value read before a write is never stored after it. A
value that is no longer fresh is still given out, and one of those who get it a lease to compute it anew (RFC 5861,
``stale-while-revalidate``): what is asked for all the time never misses.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mesh.telemetry.logs import get_logger
from services.cache.domain.debts import Debts
from services.cache.domain.keys import Key, Kind, Prefix
from services.cache.ports import (
    Absent,
    Bulletin,
    Contended,
    Found,
    GroupPrefix,
    Hit,
    Lease,
    Place,
    Settled,
    Store,
    StoreUnavailableError,
    Wanted,
)

log = get_logger(__name__)
T = TypeVar("T")

_REPAY_EVERY = 0.25
_REPAY_BATCH = 1000


class LeaseLostError(Exception):
    """The lease was voided by an invalidation, has expired, or never was."""


@dataclass(slots=True)
class Tally:
    """Counts by kind since the start of this process; stale ones are hits too, absent ones neither hits nor misses."""

    hits: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    invalidations: Counter[str] = field(default_factory=Counter)
    stored_bytes: Counter[str] = field(default_factory=Counter)
    kept_bytes: Counter[str] = field(default_factory=Counter)


class Cache:
    """What callers may ask of the cache. Every method raises `StoreUnavailableError` while the store is down.

    Args:
        store: where values live.
        bulletin: news from all replicas.
        lease_seconds: how long a caller may take to compute a value.
        ttl_jitter: a value's time to live varies by this part of it, so that values stored together do not expire
            together.
    """

    def __init__(self, store: Store, bulletin: Bulletin, *, lease_seconds: float, ttl_jitter: float) -> None:
        self.tally = Tally()
        self._store = store
        self._bulletin = bulletin
        self._lease_ms = max(1, round(lease_seconds * 1000))
        self._ttl_jitter = ttl_jitter
        self._debts = Debts()
        self._repaying = asyncio.Lock()
        self._repayer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Cache":
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def lookup(self, key: Key, wait_seconds: float = 0.0, *, renews: bool = False) -> Found:
        """Finds a value or grants the lease to compute it.

        Args:
            key: what to look up.
            wait_seconds: how long to wait for the value that another caller is computing.
            renews: whether the caller computes a stale value anew when it gets the lease for that.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        settling: AbstractContextManager[Settled | None] = (
            self._bulletin.waiting(key.text) if wait_seconds > 0 else nullcontext()
        )
        with settling as settled:
            while True:
                found = await self._look(key, renews)
                left = until - loop.time()
                if settled is None or left <= 0 or not isinstance(found, Contended):
                    break
                # A holder that dies tells nobody; its lease ends by itself, one millisecond later at most.
                await settled.wait(min(left, (found.retry_after_ms + 1) / 1000))
        self._count(key.kind.name, found)
        return found

    async def lookup_many(self, asked: Sequence[tuple[Key, bool]]) -> list[Found | StoreUnavailableError]:
        """Likewise for many keys at once, each with whether the caller renews, and without waiting.

        Returns:
            What was found of each; an error where that one lookup failed.
        """
        found = await self._look_many(asked)
        for (key, _), one in zip(asked, found, strict=True):
            if not isinstance(one, StoreUnavailableError):
                self._count(key.kind.name, one)
        return found

    async def store(self, key: Key, lease_id: str, value: bytes | None) -> tuple[int, int]:
        """Stores a value, or with None that there is no such thing, under its lease.

        Returns:
            Its time to live, and for how long it is fresh, in milliseconds.

        Raises:
            LeaseLostError: the lease is not held any more; the value may be wrong by now and was not stored.
        """
        ttl_ms, fresh_ms = self._times_ms(key.kind, absent=value is None)
        kept = await self._store.store(key.place, lease_id, value, ttl_ms, fresh_ms)
        if not kept.stored:
            raise LeaseLostError
        self.tally.stores[key.kind.name] += 1
        self.tally.stored_bytes[key.kind.name] += len(value or b"")
        self.tally.kept_bytes[key.kind.name] += kept.kept_bytes
        return ttl_ms, fresh_ms

    async def release(self, key: Key, lease_id: str) -> bool:
        """Gives a lease back, so that the next caller may compute; whether it was still held."""
        return await self._store.release(key.place, lease_id)

    def give_back(self, leases: Sequence[tuple[Key, str]]) -> None:
        """Gives leases back whose callers have left without them, in the background."""
        self._spawn(self._release([(key.place, lease_id) for key, lease_id in leases]))

    async def invalidate(self, keys: Sequence[Key], prefixes: Sequence[Prefix]) -> Counter[str]:
        """Removes values, voids leases, tells every watcher; returns how many values went, by kind.

        When the store is down or the caller leaves, the invalidation is made up for before this replica reads another
        value.
        """
        names, groups = [key.text for key in keys], [prefix.in_group for prefix in prefixes]
        try:
            counts = await self._store.invalidate(names, groups)
        except BaseException:  # whatever cut it off, it may not have happened; doing it twice does no harm
            self._owe(names, groups)
            raise
        removed: Counter[str] = Counter()
        for kind, count in zip(
            (*(key.kind for key in keys), *(prefix.kind for prefix in prefixes)), counts, strict=True
        ):
            removed[kind.name] += count
        self.tally.invalidations.update(removed)
        return removed

    async def available(self) -> bool:
        """Whether the store answers."""
        return await self._store.available()

    def _count(self, kind: str, found: Found) -> None:
        if isinstance(found, Absent):
            self.tally.absent[kind] += 1
        elif isinstance(found, Hit):
            self.tally.hits[kind] += 1
            self.tally.stale[kind] += not found.fresh_ms
        else:
            self.tally.misses[kind] += 1

    def _times_ms(self, kind: Kind, *, absent: bool) -> tuple[int, int]:
        # Spreads expiry; no secret depends on it.
        factor = random.uniform(1 - self._ttl_jitter, 1 + self._ttl_jitter)  # noqa: S311 - see above
        seconds = (kind.absent_seconds,) * 2 if absent else (kind.ttl_seconds, kind.fresh_seconds)
        return round(seconds[0] * 1000 * factor), round(seconds[1] * 1000 * factor)

    async def _look(self, key: Key, renews: bool) -> Found:
        (found,) = await self._look_many([(key, renews)])
        if isinstance(found, StoreUnavailableError):
            raise found
        return found

    async def _look_many(self, asked: Sequence[tuple[Key, bool]]) -> list[Found | StoreUnavailableError]:
        self._bulletin.asked()
        if self._debts or self._repaying.locked():
            await self._repay()
        wanted = [Wanted(key.place, secrets.token_hex(16), renews) for key, renews in asked]
        looking = self._spawn(self._store.lookup_many(wanted, self._lease_ms))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            # The caller left while the store may have been granting it leases: nobody would ever give those back.
            self._spawn(self._give_back(wanted, looking))
            raise

    async def _give_back(
        self, wanted: Sequence[Wanted], looking: "asyncio.Task[list[Found | StoreUnavailableError]]"
    ) -> None:
        leases: list[tuple[Place, str]] = []
        with suppress(StoreUnavailableError):  # what it may have granted all the same will expire
            for one, found in zip(wanted, await looking, strict=True):
                lease = found.renewal if isinstance(found, Hit) else found
                if isinstance(lease, Lease):
                    leases.append((one.place, lease.lease_id))
        await self._release(leases)

    async def _release(self, leases: Sequence[tuple[Place, str]]) -> None:
        try:
            for place, lease_id in leases:
                await self._store.release(place, lease_id)
        except StoreUnavailableError:
            log.debug("leases could not be given back and will expire", extra={"keys": [one.key for one, _ in leases]})

    def _owe(self, keys: Sequence[str], prefixes: Sequence[GroupPrefix]) -> None:
        if forgotten := self._debts.owe(keys, prefixes):
            log.error("too many invalidations are owed: values may be stale until they expire", extra={"n": forgotten})
        if self._repayer is None or self._repayer.done():
            # Other replicas may reach the store before this one is asked for anything.
            self._repayer = self._spawn(self._repay_soon())

    async def _repay_soon(self) -> None:
        while self._debts:
            await asyncio.sleep(_REPAY_EVERY)
            with suppress(StoreUnavailableError):
                await self._repay()

    async def _repay(self) -> None:
        async with self._repaying:
            while self._debts:
                keys, prefixes = self._debts.take(_REPAY_BATCH)
                try:
                    await self._store.invalidate(keys, prefixes)
                except BaseException:
                    self._owe(keys, prefixes)
                    raise

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
