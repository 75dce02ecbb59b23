"""When a call is made again, and after how long."""

import random

import grpc

from mesh.errors import MeshError

SHORTEST, LONGEST = 0.05, 1.0
"""Bounds of a pause, in seconds."""

_LOST = {
    "UNAVAILABLE",  # a status without details: not a room's word but gRPC's
    "RELAY_CLOSED",  # the relay's stream broke
    "DRAINING",  # the relay's server takes no new calls
    "REPLICA_STOPS",  # a room's replica gives up its streams, for others to go on with
}


def peer_lost(error: MeshError, room: str) -> bool:
    """Whether a call ended because its peer, or the way to it, was lost, so that another replica can answer it.

    Only what nobody decided counts: the connection broke or was never there, the replica is about to stop. What a room
    says itself, with a reason of its own (MODEL_UNREACHABLE, LOG_UNAVAILABLE), another replica would say as well, and
    the reader had better hear it at once.

    Args:
        error: how it ended.
        room: whom it was to.
    """
    return error.code is grpc.StatusCode.UNAVAILABLE and (
        error.reason in _LOST or error.reason == f"{room.upper()}_UNAVAILABLE"  # the latter by mesh.errors.translated
    )


def pause_before(attempt: int) -> float:
    """Seconds to wait before a repetition, the first being 0: doubled each time, with jitter, within bounds."""
    ceiling = min(LONGEST, SHORTEST * 2 ** min(attempt, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, hides nothing
