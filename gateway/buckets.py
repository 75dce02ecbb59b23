"""How much of a rate is left to whom, shared over gateways by Redis and kept in memory while that is away.

The algorithm is the generic cell rate algorithm (ITU-T I.371; https://brandur.org/rate-limiting for requests), by
throttled-py: one Lua script on Redis's own clock, one key of some bytes for each owner.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from cachetools import LRUCache
from throttled.asyncio import MemoryStore, Quota, RateLimiterRegistry, RedisStore, RedisStoreBackend, per_duration
from throttled.exceptions import BaseThrottledError

from gateway.metrics import RATE_LIMIT_LOCAL
from mesh.redis_client import open_redis
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans.stores import REDIS, asked

log = get_logger(__name__)

LEASE_SECONDS = 1.0
"""How long requests that were paid for in advance may come."""
RETRY_SECONDS = 1.0
"""How long Redis is left alone after a failure."""
_PREFIX = "gaji:limit"
_PUNCTUAL = 2.0
_CONNECTIONS = 16
_REMEMBERED = 20_000  # owners, of each policy and of each way to count
_GCRA = RateLimiterRegistry.get("gcra")
_TROUBLE = (BaseThrottledError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an owner may take.

    Attributes:
        name: for headers, metrics and keys.
        rate: units a second, above 0.
        burst: units at once.
    """

    name: str
    rate: float
    burst: int

    @property
    def window(self) -> int:
        """Seconds in which all that was taken comes back, rounded up."""
        return math.ceil(self.burst / self.rate)

    @property
    def lease(self) -> int:
        """How many units are paid for in advance: a twentieth of the burst, and of 100 ms at most."""
        return min(self.burst // 20, int(self.rate / 10))

    @property
    def quota(self) -> Quota:
        """The same for throttled-py, which takes whole units in whole seconds."""
        rate = Fraction(self.rate).limit_denominator(3600) or Fraction(1, 3600)
        return per_duration(timedelta(seconds=rate.denominator), rate.numerator, self.burst)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request for some units.

    Attributes:
        allowed: whether they were there; otherwise none was taken.
        remaining: units that are left.
        wait: seconds until the same request may succeed; of one that was allowed: until nothing is missing.
    """

    allowed: bool
    remaining: int
    wait: float


class Shared:
    """Redis, as long as it answers.

    Args:
        client: of Redis.
        wait: seconds that anybody waits for it.
    """

    def __init__(self, client: Any, wait: float) -> None:
        self.client = client
        self.wait = wait
        self.up = True
        self._probe: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Learns whether it is there."""
        if not await self._answers():
            self.failed()

    def failed(self) -> None:
        """It did not answer. From now on one task asks for it, and nobody else waits."""
        if not self.up:
            return
        self.up = False
        RATE_LIMIT_LOCAL.set(1)
        log.warning("Redis does not answer: rates are counted by this gateway alone")
        self._probe = asyncio.create_task(self._until_back(), name="rate-limit-probe")

    async def close(self) -> None:
        """Asks no more."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        RATE_LIMIT_LOCAL.set(0)

    async def _until_back(self) -> None:
        while not self.up:
            await asyncio.sleep(RETRY_SECONDS)
            self.up = await self._answers()
        RATE_LIMIT_LOCAL.set(0)
        log.info("Redis answers again: rates are shared")

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self.wait):
                await self.client.ping()
        except Exception as error:  # noqa: BLE001 - redis-py's own, and what a broken reply makes of it
            log.debug("Redis does not answer", extra={"error": str(error)})
            return False
        return True


@asynccontextmanager
async def open_shared(url: str, wait: float) -> AsyncIterator[Shared | None]:
    """What gateways share; None where no URL says where.

    Args:
        url: of Redis; empty: there is none.
        wait: seconds that a request waits for it at most.
    """
    if not url:
        yield None
        return
    async with open_redis(url, timeout=wait, connections=_CONNECTIONS, name="gateway") as client:
        shared = Shared(client, wait)
        await shared.begin()
        try:
            yield shared
        finally:
            await shared.close()


class _Account:
    """What this gateway knows of one owner."""

    __slots__ = ("full_at", "lease_ends", "left", "lock", "refused_cost", "refused_until", "remaining")

    def __init__(self, burst: int) -> None:
        self.lock = asyncio.Lock()
        self.left = 0
        self.lease_ends = 0.0
        self.remaining = burst
        self.full_at = 0.0
        self.refused_cost = 0
        self.refused_until = 0.0

    def take(self, cost: int, now: float) -> Taken | None:
        """Takes from the lease, or says what Redis would; None: only Redis knows."""
        if now < self.refused_until and cost >= self.refused_cost:
            return Taken(False, self.remaining, self.refused_until - now)
        if self.left >= cost and now < self.lease_ends:
            self.left -= cost
            return Taken(True, self.remaining + self.left, max(0.0, self.full_at - now))
        return None


class Bucket:
    """The budgets of all owners under one policy.

    A request that finds nothing paid for takes its own units and a lease of some more from Redis, so that most
    requests of a busy owner need not ask. What is leased is taken: an owner never has more than the policy's burst,
    the refill since, and one lease for each gateway, which is counted at its beginning and may be used within
    `LEASE_SECONDS`. An owner who was refused is refused without asking until more can be there.

    Args:
        policy: how much.
        shared: Redis; None: this gateway counts for itself.
        now: a monotonic clock in seconds.
    """

    def __init__(self, policy: Policy, shared: Shared | None, now: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self._shared = shared
        self._now = now
        self._accounts: LRUCache[str, _Account] = LRUCache(_REMEMBERED)
        self._local = _GCRA(policy.quota, MemoryStore(options={"MAX_SIZE": _REMEMBERED}), key_prefix=_PREFIX)
        self._redis = None if shared is None else _GCRA(policy.quota, _store(shared.client), key_prefix=_PREFIX)

    async def take(self, owner: str, cost: int) -> Taken:
        """Takes units from an owner's budget.

        Args:
            owner: whose.
            cost: how many; more than the burst counts as the burst, since nobody could ever have them.
        """
        cost = min(cost, self.policy.burst)
        key = f"{self.policy.name}:{owner}"
        shared = self._shared
        if shared is None or not shared.up:
            return await self._take_locally(key, cost)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(self.policy.burst)
        taken = account.take(cost, self._now())
        if taken is not None:
            return taken
        try:
            async with asyncio.timeout(shared.wait):
                await account.lock.acquire()
        except TimeoutError:  # another's question is under way; whether Redis is away is for that one to say
            return await self._take_locally(key, cost)
        began = self._now()
        try:
            taken = account.take(cost, began)
            if taken is None and shared.up:
                async with asyncio.timeout(shared.wait):
                    return await self._take_from_redis(key, cost, account)
        except _TROUBLE:
            # Much later than that, it was this process that had no time to hear the answer.
            if self._now() - began < _PUNCTUAL * shared.wait:
                shared.failed()
        finally:
            account.lock.release()
        return taken or await self._take_locally(key, cost)

    async def _take_from_redis(self, key: str, cost: int, account: _Account) -> Taken:
        lease = self.policy.lease if account.remaining >= 2 * self.policy.lease else 0
        if lease:
            taken = await self._ask(key, cost + lease, account)
            if taken.allowed:
                account.left, account.lease_ends = lease, self._now() + LEASE_SECONDS
                return Taken(True, taken.remaining + lease, taken.wait)
        return await self._ask(key, cost, account)

    async def _ask(self, key: str, cost: int, account: _Account) -> Taken:
        assert self._redis is not None  # noqa: S101 - whoever comes here has Redis
        cost = min(cost, self.policy.burst)
        with asked(REDIS, "rate_limit.take"):
            result = await self._redis.limit(key, cost)
        now, state = self._now(), result.state
        account.remaining, account.full_at = state.remaining, now + state.reset_after
        if result.limited:
            account.refused_cost, account.refused_until = cost, now + state.retry_after
            return Taken(False, state.remaining, state.retry_after)
        return Taken(True, state.remaining, state.reset_after)

    async def _take_locally(self, key: str, cost: int) -> Taken:
        result = await self._local.limit(key, cost)
        state = result.state
        return Taken(not result.limited, state.remaining, state.retry_after if result.limited else state.reset_after)


def _store(client: Any) -> RedisStore:
    """throttled-py's store on a client of ours, which bounds its waits and closes what it opened."""

    class Backend(RedisStoreBackend):
        def get_client(self) -> Any:
            return client

    class Store(RedisStore):
        _BACKEND_CLASS = Backend

    return Store()
