"""The store on Redis (7 or later) or Valkey.

A key has one entry: ``l{lease_id}`` while somebody computes its value, the value with a header once it is stored
(`services.cache.stores.entries`). So to delete the entry is to remove the value and to void the lease, both at once;
the lease to compute a stale value anew is in the header. Each operation is one Lua script, atomic and one round trip.

Keys that a prefix can name are listed in a sorted set per group, by the time at which their entry expires. The list
decides: an entry that is not in it does not count, so that a list evicted under memory pressure loses values but never
lets one survive its invalidation.

A store that restarts may come back with values whose invalidation it had not written to disk yet. All names therefore
begin with the server's run id. Redis and Valkey do not keep scripts over a restart: the first call to a server that is
another than thought fails with NOSCRIPT before it touches a key, and the run id is read again. What an earlier run left
expires unseen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans.stores import REDIS, asked
from services.cache.ports import Contended, Found, GroupPrefix, Kept, Lease, Place, StoreUnavailableError, Wanted
from services.cache.stores import entries, news
from services.cache.stores.line import Line, Script

log = get_logger(__name__)

# Entries of one group share KEYS[2], the group's list; other entries have no KEYS[2].
_PRELUDE = """
local NEVER = '999999999999'
local function renewal_of(header)
  if string.sub(header, 1, 1) ~= 'w' or string.sub(header, 15, 26) == NEVER then return nil end
  return string.sub(header, 27, 58)
end
local function listed(list, key)
  return not list or redis.call('ZSCORE', list, key)
end
local function enlist(list, key, ms, list_ms)
  if not list then return end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  redis.call('ZADD', list, now + ms, key)
  redis.call('PEXPIRE', list, list_ms)
end
"""

# ARGV: lease entry, lease ms, key, list ms, whether the lease may be one to renew. Asked twice with the same lease, it
# grants the same lease. Times in a header are milliseconds of the entry's life that are left: no clock is needed.
_LOOKUP = """
local entry = redis.call('GET', KEYS[1])
if entry and entry ~= ARGV[1] and listed(KEYS[2], ARGV[3]) then
  local left, granted = redis.call('PTTL', KEYS[1]), 0
  if ARGV[5] == '1' and string.sub(entry, 1, 1) == 'w' and left <= tonumber(string.sub(entry, 3, 14)) then
    local lease = string.sub(ARGV[1], 2)
    if left <= tonumber(string.sub(entry, 15, 26)) or renewal_of(entry) == lease then
      local ends = math.max(0, left - tonumber(ARGV[2]))
      redis.call('SETRANGE', KEYS[1], 14, string.format('%012d', ends) .. lease)
      granted = 1
    end
  end
  return {entry, left, granted}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
enlist(KEYS[2], ARGV[3], ARGV[2], ARGV[4])
return {ARGV[1], tonumber(ARGV[2]), 1}
"""

# ARGV: lease entry, value entry, ttl ms, key, list ms, channel, message.
_STORE = """
local header = redis.call('GETRANGE', KEYS[1], 0, 65)
local held = header == ARGV[1] or renewal_of(header) == string.sub(ARGV[1], 2)
if not held or not listed(KEYS[2], ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
enlist(KEYS[2], ARGV[4], ARGV[3], ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
"""

# ARGV: lease entry, channel, message.
_RELEASE = """
local header = redis.call('GETRANGE', KEYS[1], 0, 65)
if renewal_of(header) == string.sub(ARGV[1], 2) then
  redis.call('SETRANGE', KEYS[1], 14, NEVER)
  return 1
end
if header ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""

# KEYS: the entries of the keys, then the list of each prefix's group. ARGV: channel, message, what entries' names begin
# with, then the prefixes. The entries that a list names cannot be declared as KEYS: this script needs a store that is
# not a cluster.
_INVALIDATE = """
local function remove(entry)
  local begins = redis.call('GETRANGE', entry, 0, 1)
  redis.call('UNLINK', entry)
  local kind = string.sub(begins, 1, 1)
  return (kind == 'v' or kind == 'w' and begins ~= 'wn') and 1 or 0
end
local prefixes = #ARGV - 3
local counts = {}
for i = 1, #KEYS - prefixes do
  counts[i] = remove(KEYS[i])
end
for p = 1, prefixes do
  local list, prefix, count = KEYS[#KEYS - prefixes + p], ARGV[3 + p], 0
  for _, key in ipairs(redis.call('ZRANGE', list, 0, -1)) do
    if string.sub(key, 1, #prefix) == prefix then
      count = count + remove(ARGV[3] .. key)
      redis.call('ZREM', list, key)
    end
  end
  counts[#counts + 1] = count
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return counts
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """One life of the server: how names begin, and the digests of its scripts."""

    entry: str
    list: str
    lookup: str
    store: str
    release: str
    invalidate: str

    def names(self, place: Place) -> tuple[str, ...]:
        """KEYS of a script that deals with one entry."""
        entry = self.entry + place.key
        return (entry,) if place.group is None else (entry, self.list + place.group)


class RedisStore:
    """The `Store` port.

    Args:
        redis: a client without retries of its own.
        timeout: seconds that an operation may take.
    """

    def __init__(self, redis: Redis, *, timeout: float) -> None:
        self._redis = redis
        self._line = Line(redis, timeout)
        self._timeout = timeout
        self._channel = news.channel(redis)
        self._run: _Run | None = None
        self._starting = asyncio.Lock()

    async def lookup_many(self, wanted: Sequence[Wanted], lease_ms: int) -> list[Found | StoreUnavailableError]:
        """Finds values; on a miss that nobody else works on, grants the lease, if asked for also on a stale hit."""

        async def run(life: _Run) -> list[Any]:
            answers = await self._line.evaluated([_lookup(life, one, lease_ms) for one in wanted])
            for answer in answers:
                if isinstance(answer, NoScriptError):
                    raise answer
            return answers

        answers = await self._called("cache.lookup", run)
        return [await self._found(one, answer, lease_ms) for one, answer in zip(wanted, answers, strict=True)]

    async def store(self, place: Place, lease_id: str, value: bytes | None, ttl_ms: int, fresh_ms: int) -> Kept:
        """Stores the value, or with None that there is no such thing, if the lease is held."""
        entry = await entries.written(value, ttl_ms - fresh_ms)
        arguments = (
            *(f"l{lease_id}", entry, ttl_ms, place.key, place.group_ttl_ms),
            *(self._channel, news.settled(place.key)),
        )
        stored = await self._call("cache.store", lambda run: (run.store, run.names(place), arguments))
        return Kept(bool(stored), len(entry) - entries.HEADER)

    async def release(self, place: Place, lease_id: str) -> bool:
        """Ends the lease if it is held; whether it was."""
        arguments = (f"l{lease_id}", self._channel, news.settled(place.key))
        return bool(await self._call("cache.release", lambda run: (run.release, run.names(place), arguments)))

    async def invalidate(self, keys: Sequence[str], prefixes: Sequence[GroupPrefix]) -> list[int]:
        """Removes values, voids leases and tells every replica. How many values went: by key, then by prefix."""
        notice = news.invalidated(keys, [prefix.text for prefix in prefixes])
        counts: list[int] = await self._call(
            "cache.invalidate",
            lambda run: (
                run.invalidate,
                (*(run.entry + key for key in keys), *(run.list + prefix.group for prefix in prefixes)),
                (self._channel, notice, run.entry, *(prefix.text for prefix in prefixes)),
            ),
        )
        return counts

    async def available(self) -> bool:
        """Whether the store answers."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    async def _found(self, one: Wanted, answer: Any, lease_ms: int) -> Found | StoreUnavailableError:
        if isinstance(answer, ResponseError):
            return _unavailable(answer)
        entry, ttl_ms, granted = answer
        lease = Lease(one.lease_id, lease_ms) if granted else None
        try:
            return await entries.read(entry, max(0, ttl_ms), lease) or lease or Contended(max(0, ttl_ms))
        except entries.DamagedError as error:
            log.warning("a damaged entry is removed", extra={"key": one.place.key, "error": str(error)})
        try:
            await self.invalidate([one.place.key], [])
        except StoreUnavailableError as error:
            return error
        return Contended(0)  # whoever looks again gets the lease

    async def _call(self, operation: str, script: Callable[[_Run], Script]) -> Any:
        """Runs a script over a connection of the pool: it may be large, and is not to hold up lookups."""

        async def run(life: _Run) -> Any:
            digest, keys, arguments = script(life)
            async with asyncio.timeout(self._timeout):
                return await self._redis.evalsha(digest, len(keys), *keys, *arguments)

        return await self._called(operation, run)

    async def _called(self, operation: str, run: Callable[[_Run], Awaitable[Any]]) -> Any:
        """Runs scripts: their digests, KEYS and ARGV depend on the server's run."""
        try:
            with asked(REDIS, operation):
                while True:
                    life = self._run or await self._start()
                    try:
                        return await run(life)
                    except NoScriptError:
                        if self._run is life:
                            self._run = None
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def _start(self) -> _Run:
        async with asyncio.timeout(self._timeout), self._starting:  # whoever waits for its turn has no longer either
            if self._run is None:
                # One connection for both: it breaks when the server restarts in between.
                async with self._redis.client() as connection:
                    run_id = (await connection.info("server"))["run_id"]
                    # The id makes the digests those of this run, whatever else has loaded the same scripts.
                    digests = [
                        await connection.script_load(f"-- gaji cache, run {run_id}\n{_PRELUDE}{script}")
                        for script in (_LOOKUP, _STORE, _RELEASE, _INVALIDATE)
                    ]
                begin = f"gaji:cache:{run_id[:12]}:"
                self._run = _Run(begin + "entry:", begin + "list:", *digests)
            return self._run


def _unavailable(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"the store does not answer: {str(error) or 'no answer in time'}")


def _lookup(run: _Run, one: Wanted, lease_ms: int) -> Script:
    place = one.place
    arguments = (f"l{one.lease_id}".encode(), lease_ms, place.key, place.group_ttl_ms, "1" if one.renews else "")
    return run.lookup, run.names(place), arguments
