"""Clears a Redis of the operator's own of what is Gaji's: it tells of a library that is no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from mesh.redis_client import TROUBLE, open_redis
from stack.errors import StackError

_OURS = "gaji:*"
_NOBODYS = "gaji:restore:none"
_SECONDS = 10.0
_AT_ONCE = 500


async def try_to_forget(url: str) -> None:
    """Makes sure that a server would let itself be cleared; changes nothing.

    Raises:
        StackError: the server does not answer, or would refuse.
    """
    async with _cleared(url) as client:
        await client.scan(0, match=_OURS, count=1)
        await client.unlink(_NOBODYS)


async def forget(url: str) -> int:
    """Removes caches, queues, limits and logs of streams; how many keys.

    Raises:
        StackError: the server does not answer, or refuses.
    """
    removed = 0
    async with _cleared(url) as client:
        keys: list[bytes] = []
        async for key in client.scan_iter(_OURS, count=_AT_ONCE):
            keys.append(key)
            if len(keys) >= _AT_ONCE:
                removed += await client.unlink(*keys)
                keys.clear()
        if keys:
            removed += await client.unlink(*keys)
    return removed


@asynccontextmanager
async def _cleared(url: str) -> AsyncIterator[Redis]:
    try:
        async with open_redis(url, timeout=_SECONDS, connections=1, name="gaji-restore") as client:
            yield client
    except (*TROUBLE, ValueError) as error:
        raise StackError(
            f"Redis at GAJI_REDIS_URL can't be cleared: {error}", "check GAJI_REDIS_URL; the user needs SCAN and UNLINK"
        ) from None
