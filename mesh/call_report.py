"""What a gate hears of the calls of streams."""

import time

import grpc

from mesh.errors import DEADLINE_TOO_SHORT, PEER, MeshError, peer_name
from mesh.gate import Gate, Permit

PLANNED = frozenset({"DRAINING", "REPLICA_STOPS"})
"""Reasons of UNAVAILABLE that say nothing bad of a peer: one replica is being stopped, the others are well."""
_NO_WORD = PLANNED | {DEADLINE_TOO_SHORT}
# A stream that has begun and ends like this has not broken: it has used up the time that it was given.
_NO_BREAK = (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED)


def told_of(code: grpc.StatusCode, told: MeshError | None, service: str) -> grpc.StatusCode | None:
    """What the end of a call says of the room that was called; None: nothing.

    A stop that is planned says nothing, nor does a caller who gave too little time to begin. And what a room passes on
    of a peer of its own (`mesh.errors.PEER`) says something of that one alone: or a dead search would open the circuits
    before library, and take with it all that library does well without search.

    Args:
        code: how the call ended.
        told: the error that came with it; None: none, or the transport's own words.
        service: what was called, e.g. ``gaji.search.v1.SearchService``, or the path of its method.
    """
    if told is None:
        return code
    room = peer_name(service)
    return None if told.reason in _NO_WORD or told.metadata.get(PEER, room) != room else code


class Losses:
    """Lost connections of a channel, each of which is told once.

    With a host that is lost all calls that were on the way to it end in one moment: ten of them would open a circuit
    though the peer's other replicas are well. A call that was begun after the last loss was told is another matter:
    where nobody is left, each says so.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = float("-inf")

    def another(self, started: float) -> bool:
        """Whether the loss of a connection, which ended a call, is yet to be told.

        Args:
            started: `time.perf_counter` when the call was begun.
        """
        if started < self._told:
            return False
        self._told = time.perf_counter()
        return True


class CallReport:
    """What the gate hears of one attempt of a stream.

    Args:
        gate: is asked for a permit.
        method: its path.

    Raises:
        MeshError: the gate is shut.

    Attributes:
        begun: whether the first message has come.
    """

    __slots__ = ("_gate", "_method", "_permit", "_slow", "_started", "begun")

    def __init__(self, gate: Gate, method: str) -> None:
        self._gate = gate
        self._method = method
        self._permit: Permit | None = gate.acquire(method)
        self._started = time.monotonic()
        self._slow = False
        self.begun = False

    def begin(self) -> None:
        """The first message has come."""
        self.begun = True
        self._end(grpc.StatusCode.OK, time.monotonic() - self._started)

    def stands_still(self, seconds: float) -> None:
        """Nothing has come for so long. A stream that has not begun is a slow call from now on, whatever comes.

        Told once: a stream is one call, and one whose messages are far apart must not fill a window by itself.
        """
        told, self._slow = self._slow, True
        if not self._end(grpc.StatusCode.OK, seconds) and not told:
            self._gate.observe(self._method, grpc.StatusCode.OK, seconds)

    def done(self, code: grpc.StatusCode | None, since: float) -> None:
        """It has ended.

        Args:
            code: how; None: its reader has left.
            since: `time.monotonic` since when a message was waited for; 0: it was not.
        """
        now = time.monotonic()
        if not self._end(code, now - self._started) and code is not None and code not in _NO_BREAK:
            self._gate.observe(self._method, code, now - since if since else 0.0)

    def _end(self, code: grpc.StatusCode | None, seconds: float) -> bool:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.end(code, seconds)
        return permit is not None
