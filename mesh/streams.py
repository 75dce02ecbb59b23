"""Streams that close what they open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class StreamCall(Protocol[T_co]):
    """A server-streaming call of ``grpc.aio``."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    def cancel(self) -> bool:
        """Ends the call; False when it had ended."""


@asynccontextmanager
async def opened(call: StreamCall[T]) -> AsyncIterator[AsyncIterator[T]]:
    """The messages of a call that is cancelled on leaving.

    Leaving the response iterator of ``grpc.aio`` early does not cancel its call; the peer would go on producing for
    nobody until the deadline.
    """
    try:
        yield aiter(call)
    finally:
        call.cancel()
