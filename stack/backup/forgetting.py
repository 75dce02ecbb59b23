"""Clears a Redis of the operator's own of what is Gaji's: it tells of a library that is no more."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stack.errors import StackError

_OURS = "gaji:*"
_SECONDS = 10.0
_AT_ONCE = 500


async def forget(url: str) -> int:
    """Removes caches, queues, limits and logs of streams; how many keys.

    Raises:
        StackError: the server does not answer, or refuses.
    """
    removed = 0
    try:
        async with Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            keys: list[bytes] = []
            async for key in client.scan_iter(_OURS, count=_AT_ONCE):
                keys.append(key)
                if len(keys) >= _AT_ONCE:
                    removed += await client.unlink(*keys)
                    keys.clear()
            if keys:
                removed += await client.unlink(*keys)
    except (RedisError, OSError, ValueError) as error:
        raise StackError(
            f"Redis at GAJI_REDIS_URL can't be cleared: {error}", "check GAJI_REDIS_URL; the user needs SCAN and UNLINK"
        ) from None
    return removed
