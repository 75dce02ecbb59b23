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
        urgent: whether a relay sends it at once, whenever its last batch was.
    """

    __slots__ = ("_forms", "message", "urgent")

    def __init__(self, message: Any, *, urgent: bool = False) -> None:
        self.message = message
        self.urgent = urgent
        self._forms: dict[Callable[[Any], bytes], bytes] = {}

    def form(self, make: Callable[[Any], bytes]) -> bytes:
        """What a function makes of the message; the function is known by its identity."""
        made = self._forms.get(make)
        if made is None:
            made = self._forms[make] = make(self.message)
        return made


class Source(Protocol[T_co]):
    """Where a `Feed` comes from."""

    def take(self) -> T_co | None:
        """The next item, if it is there."""

    @property
    def over(self) -> bool:
        """Once there is nothing to take: whether its handler has to see to what comes next."""

    def listen(self, heard: Callable[[], None]) -> None:
        """Calls somebody whenever there may be something to take, or it is over."""

    def leave(self, heard: Callable[[], None]) -> None:
        """Calls him no more."""


class Feed:
    """What a streaming handler yields where its next messages come by themselves.

    Whoever sends takes them as they come, without a step of the handler's task for each; the handler goes on when the
    source is over.

    Args:
        source: of what the messages are made of.
        make: makes the message, or the `Shared`, of an item.
    """

    __slots__ = ("_make", "_take", "source")

    def __init__(self, source: Source[T], make: Callable[[T], Any]) -> None:
        self.source = source
        self._take: Callable[[], Any] = source.take
        self._make: Callable[[Any], Any] = make

    def take(self) -> Any | None:
        """The next message, if it is there."""
        item = self._take()
        return None if item is None else self._make(item)


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
