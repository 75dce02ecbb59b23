"""The deadline is set at the door, shaved at each hop, refused when too little is left.

gRPC for Python does not hand a deadline on by itself; the server's interceptor keeps it here and the channels read it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import grpc

from mesh.errors import DEADLINE_TOO_SHORT, DeadlineExceeded, deadline_facts, has_details, peer_name, short_name

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


def outgoing(timeout: float | None, default: float, margin: float, method: str = "") -> float:
    """The timeout in seconds of a call to a peer.

    Args:
        timeout: what the caller asks for; None: ``default``.
        default: for calls that state none; never infinite.
        margin: kept back to answer one's own caller in time.
        method: the path of what is called, for the error.

    Raises:
        DeadlineExceeded: less is left than the margin; the peer is not bothered.
    """
    wanted = default if timeout is None else timeout
    left = remaining()
    if left is None:
        return wanted
    if left <= margin:
        raise too_short(left, method)
    return min(wanted, left - margin)


def refuse_late(seconds: float | None, margin: float, method: str) -> None:
    """Refuses a call that has come with less time than its answer needs on the way back.

    Args:
        seconds: what its caller gives it; None: no limit.
        margin: what a hop keeps back.
        method: its path.

    Raises:
        DeadlineExceeded: before any work was done.
    """
    if seconds is not None and seconds <= margin:
        raise too_short(seconds, method)


def too_short(seconds: float, method: str) -> DeadlineExceeded:
    """The error of a call that is not begun, since it could not end in time."""
    left = max(0.0, seconds)
    return DeadlineExceeded(
        f"{left * 1000:.0f} ms are left for {short_name(method)}, too little to begin: ask with a longer deadline",
        reason=DEADLINE_TOO_SHORT,
        metadata=deadline_facts(left, method),
    )


def expired(seconds: float, method: str) -> DeadlineExceeded:
    """The error of a call that has used up its time."""
    peer = peer_name(method)
    return DeadlineExceeded(
        f"{peer} did not finish {short_name(method)} within its {seconds:.3g} s; try again",
        reason=f"{peer.upper()}_TOO_SLOW",
        metadata=deadline_facts(seconds, method),
    )


def typed_rpc_error(error: grpc.aio.AioRpcError, method: str, seconds: float) -> grpc.aio.AioRpcError:
    """A call's error, which says, when the time has run out here, which call had how much of it.

    Args:
        error: as gRPC raised it. A server's own words are left as they are: they name a hop that is further on.
        method: the path of what was called.
        seconds: its deadline.
    """
    if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or has_details(error):
        return error
    told = expired(seconds, method)
    trailing = grpc.aio.Metadata(*(error.trailing_metadata() or ()), *told.trailing_metadata())
    return grpc.aio.AioRpcError(
        error.code(), error.initial_metadata(), trailing, told.message, error.debug_error_string()
    )
