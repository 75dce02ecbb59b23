"""Lets work that nobody waits for give way to what somebody waits for, within a process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SEARCHES_SECONDS = 1.0
"""How long a part of such work gives way to searches: under readers who never cease it shall end all the same."""


class Calm:
    """Knows whether novels are being taken in or searched."""

    def __init__(self) -> None:
        self._searches, self._ingestions = _Count(), _Count()

    @contextmanager
    def searching(self) -> Iterator[None]:
        """A search is under way."""
        with self._searches.one():
            yield

    @contextmanager
    def ingesting(self) -> Iterator[None]:
        """A novel is being taken in."""
        with self._ingestions.one():
            yield

    async def come(self) -> None:
        """Waits until no novel is being taken in, and then a while for searches to end."""
        await self._ingestions.none.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(SEARCHES_SECONDS):
                await self._searches.none.wait()


class _Count:
    def __init__(self) -> None:
        self._count = 0
        self.none = asyncio.Event()
        self.none.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        self._count += 1
        self.none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self.none.set()
