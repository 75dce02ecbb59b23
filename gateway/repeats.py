"""When a call is made again by the gateway, and after how long.

A call is repeated by one layer alone, or repetitions would multiply: streams, and unary calls with an idempotency key,
by the gateway, which knows what has reached the reader and where to go on; all others by the channel (`mesh.retries`).
The gateway's repetitions are counted with the channel's, and are not taken from their budget: a reader whose replica
was lost is the call that was lost with it, not a further one, and none is made while no replica serves
(`gateway.upstreams.Upstream.ready`). What bounds them is the peer's circuit, `LONGEST` and ``resume_seconds``.
"""

import random

import grpc

from mesh.errors import MeshError

SHORTEST, LONGEST = 0.05, 1.0
"""Bounds of a pause, in seconds."""

CIRCUIT_OPEN = "CIRCUIT_OPEN"
"""The reason of a call that was not made since the peer is to be left alone."""

_LOST = {
    "UNAVAILABLE",  # a status without details: not a room's word but gRPC's
    "RELAY_CLOSED",  # the relay's stream broke
    "DRAINING",  # the relay's server takes no new calls
    "REPLICA_STOPS",  # a room's replica gives up its streams, for others to go on with
}


def peer_lost(error: MeshError, room: str, *, resuming: bool = False) -> bool:
    """Whether a call ended because its peer, or the way to it, was lost, so that another replica can answer it.

    Only what nobody decided counts: the connection broke or was never there, the replica is about to stop. What a room
    says itself, with a reason of its own (MODEL_UNREACHABLE, LOG_UNAVAILABLE), another replica would say as well, and
    the reader had better hear it at once.

    Args:
        error: how it ended.
        room: whom it was to.
        resuming: whether a reader is in the middle of a stream. Then an open circuit is waited for as well: that takes
            nothing from the peer, and the reader has waited before. A new request hears of it at once.
    """
    return error.code is grpc.StatusCode.UNAVAILABLE and (
        error.reason in _LOST
        or (resuming and error.reason == CIRCUIT_OPEN)
        or error.reason == f"{room.upper()}_UNAVAILABLE"  # the latter by mesh.errors.translated
    )


def pause_before(attempt: int, error: MeshError | None = None) -> float:
    """Seconds to wait before a repetition, the first being 0: doubled each time, with jitter, within bounds.

    An open circuit says in ``retry_after`` when it will let calls through. That is a hint: it may close sooner, and to
    ask it costs nothing, so that it is asked once in `LONGEST` at least, and at once when its time has come.
    """
    ceiling = min(LONGEST, SHORTEST * 2 ** min(attempt, 10))
    if error is not None and error.reason == CIRCUIT_OPEN and error.retry_after is not None:
        ceiling = min(LONGEST, max(SHORTEST, error.retry_after))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, hides nothing
