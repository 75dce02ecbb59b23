"""Computations that several callers share."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any


class Flight:
    """A computation that several callers wait for. It ends when it is done or when the last of them leaves."""

    def __init__(self, work: Coroutine[Any, Any, bytes]) -> None:
        self.task = asyncio.create_task(work)
        self.abandoned = False
        self._callers = 0

    async def join(self) -> bytes:
        """Its value, or what it raises."""
        self._callers += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._callers -= 1
            if not self._callers and not self.task.done():
                self.abandoned = True
                self.task.cancel()


class Flights:
    """Those under way that may be joined, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def board(self, key: str, work: Callable[[], Coroutine[Any, Any, bytes]]) -> tuple[Flight, bool]:
        """The key's flight, which begins now if there is none; and whether it does."""
        flight = self._flights.get(key)
        if flight is not None:
            return flight, False
        flight = self._flights[key] = Flight(work())
        flight.task.add_done_callback(partial(self._landed, key, flight))
        return flight, True

    def close(self, key: str, flight: Flight) -> None:
        """Nobody may join this one any more."""
        if self._flights.get(key) is flight:
            del self._flights[key]

    def close_all(self, keys: Sequence[str], prefixes: Sequence[str]) -> None:
        """Nobody may join those of keys that are one of these or start with a prefix."""
        if prefixes:
            starts = tuple(prefixes)
            keys = [*keys, *(key for key in self._flights if key.startswith(starts))]
        for key in keys:
            self._flights.pop(key, None)

    def _landed(self, key: str, flight: Flight, task: "asyncio.Task[bytes]") -> None:
        self.close(key, flight)
        if not task.cancelled():
            task.exception()  # has been seen, even if every caller has left
