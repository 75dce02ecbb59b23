"""Streams that close what they open, and messages that many streams share."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class StreamCall(Protocol[T_co]):
    """A server-streaming call of ``grpc.aio``."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    def cancel(self) -> bool:
        """Ends the call; False when it had ended."""


class Shared:
    """A message that a streaming handler yields to many callers: it is serialized and formatted once for all of them.

    Args:
        message: the response message; not to be changed any more.
    """

    __slots__ = ("_forms", "message")

    def __init__(self, message: Any) -> None:
        self.message = message
        self._forms: dict[Callable[[Any], bytes], bytes] = {}

    def form(self, make: Callable[[Any], bytes]) -> bytes:
        """What a function makes of the message; the function is known by its identity."""
        made = self._forms.get(make)
        if made is None:
            made = self._forms[make] = make(self.message)
        return made


def shared_once(make: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """The function for messages, `Shared` or not."""
    return lambda message: message.form(make) if type(message) is Shared else make(message)


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
