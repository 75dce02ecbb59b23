"""Answers kept at the edge for RPCs whose policy has ``cache_seconds``."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cachetools import TLRUCache

Key = tuple[str, bytes, str]
"""Method path, digest of the canonical request, user id: readers never see each other's answers."""


class EdgeCache:
    """A bounded cache in which identical calls that run at the same time are one.

    Args:
        max_bytes: the size of all answers; the least recently used go first. 0: nothing is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        # An entry is (answer, seconds); cachetools asks for its end with `ttu` when it is put in.
        self._entries: TLRUCache[Key, tuple[bytes, int]] = TLRUCache(
            max_bytes,
            ttu=lambda _key, entry, now: now + entry[1],
            timer=time.monotonic,
            getsizeof=lambda entry: len(entry[0]) + 256,
        )
        self._running: dict[Key, asyncio.Task[bytes]] = {}

    async def get(self, key: Key, seconds: int, compute: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        """The answer, and whether it was there already.

        Errors are raised to all who wait for them and are not kept. A waiter that goes away does not stop the others'
        computation.
        """
        entry = self._entries.get(key)
        if entry is not None:
            return entry[0], True
        task = self._running.get(key)
        shared = task is not None
        if task is None:
            task = self._running[key] = asyncio.ensure_future(self._compute(key, seconds, compute))
            task.add_done_callback(_seen)
        return await asyncio.shield(task), shared

    async def _compute(self, key: Key, seconds: int, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            answer = await compute()
            if len(answer) + 256 <= self._entries.maxsize:
                self._entries[key] = (answer, seconds)
            return answer
        finally:
            del self._running[key]


def _seen(task: "asyncio.Task[Any]") -> None:
    # When all waiters have gone nobody else looks at the exception, and asyncio would complain.
    if not task.cancelled():
        task.exception()
