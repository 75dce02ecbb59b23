"""How many of something each owner has open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.address import owner
from gateway.http import Request
from gateway.metrics import STREAMS_REFUSED
from mesh.errors import ResourceExhausted

_LATER_SECONDS = 5.0


class Counts:
    """Counts by owner, up to a limit.

    Args:
        limit: how many an owner may have; 0: any number.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: Counter[str] = Counter()

    def enter(self, owner: str) -> bool:
        """Counts one more; False: the owner has as many as may be, and this one is not counted."""
        if not self.limit:
            return True
        if self._open[owner] >= self.limit:
            return False
        self._open[owner] += 1
        return True

    def leave(self, owner: str) -> None:
        """One that was counted is gone."""
        if not self.limit:
            return
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]


@contextmanager
def one_more_stream(streams: Counts, request: Request) -> Iterator[None]:
    """Counts a stream of the request's user, or else of its address, while the block runs.

    Raises:
        ResourceExhausted: TOO_MANY_STREAMS.
    """
    whose = request.user_id or owner(request.client)
    if not streams.enter(whose):
        STREAMS_REFUSED.inc()
        text = f"{streams.limit} streams are open already: close one of them, or wait until one has ended"
        raise ResourceExhausted(text, reason="TOO_MANY_STREAMS", retry_after=_LATER_SECONDS)
    try:
        yield
    finally:
        streams.leave(whose)
