"""The deadline is set at the door, shaved at each hop, refused when too little is left.

gRPC for Python does not hand a deadline on by itself; the server's interceptor keeps it here and the channels read it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mesh.errors import DeadlineExceeded

_deadline: ContextVar[float | None] = ContextVar("gaji_deadline", default=None)


def remaining() -> float | None:
    """Seconds left of the call that is being answered; None where there is no limit. May be negative."""
    deadline = _deadline.get()
    return None if deadline is None else deadline - time.monotonic()


@contextmanager
def scope(seconds: float | None) -> Iterator[None]:
    """Everything inside has at most so many seconds left; None lifts the limit (for work that outlives its call)."""
    token = _deadline.set(None if seconds is None else time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def enter(seconds: float | None) -> None:
    """Sets the deadline for the rest of the running task; for interceptors, whose task is the call's."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def outgoing(timeout: float | None, default: float, margin: float) -> float:
    """The timeout in seconds of a call to a peer.

    Args:
        timeout: what the caller asks for; None: ``default``.
        default: for calls that state none; never infinite.
        margin: kept back to answer one's own caller in time.

    Raises:
        DeadlineExceeded: less is left than the margin; the peer is not bothered.
    """
    wanted = default if timeout is None else timeout
    left = remaining()
    if left is None:
        return wanted
    if left <= margin:
        raise DeadlineExceeded("too little time is left to call another service", reason="DEADLINE_TOO_SHORT")
    return min(wanted, left - margin)
