"""Calls through other people's breakers, each in its fastest way around a coroutine.

All of them count failures in a row, not in a window, and none of them looks at the clock while closed.
"""

# `suppress` costs as much as some of the breakers that are measured here.
# ruff: noqa: SIM105

from collections.abc import Awaitable, Callable

import aiobreaker
import pybreaker
from purgatory import AsyncCircuitBreakerFactory

Call = Callable[[], Awaitable[int]]
Calls = Callable[[int, Call], Awaitable[None]]


class BrokenError(Exception):
    """What a call that fails raises."""


def pybreaker_calls() -> Calls:
    """Its own ``call_async`` is Tornado's; the context manager takes any code."""
    breaker = pybreaker.CircuitBreaker()

    async def calls(count: int, call: Call) -> None:
        for _ in range(count):
            try:
                with breaker.calling():
                    await call()
            except BrokenError:
                pass

    return calls


def aiobreaker_calls() -> Calls:
    """With ``call_async``."""
    breaker = aiobreaker.CircuitBreaker()

    async def calls(count: int, call: Call) -> None:
        for _ in range(count):
            try:
                await breaker.call_async(call)
            except BrokenError:
                pass

    return calls


async def purgatory_calls() -> Calls:
    """With the context manager of a breaker that is asked for once; its decorator asks for it at each call."""
    breaker = await AsyncCircuitBreakerFactory().get_breaker("search")

    async def calls(count: int, call: Call) -> None:
        for _ in range(count):
            try:
                async with breaker:
                    await call()
            except BrokenError:
                pass

    return calls
