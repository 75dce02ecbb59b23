"""What a gate hears of the calls of streams."""

import time

import grpc

from mesh.gate import Gate, Permit

PLANNED = frozenset({"DRAINING", "REPLICA_STOPS"})
"""Reasons of UNAVAILABLE that say nothing bad of a peer: one replica is being stopped, the others are well."""
# A stream that has begun and ends like this has not broken: it has used up the time that it was given.
_NO_BREAK = (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED)


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

    __slots__ = ("_gate", "_method", "_permit", "_started", "begun")

    def __init__(self, gate: Gate, method: str) -> None:
        self._gate = gate
        self._method = method
        self._permit: Permit | None = gate.acquire(method)
        self._started = time.monotonic()
        self.begun = False

    def begin(self) -> None:
        """The first message has come."""
        self.begun = True
        self._end(grpc.StatusCode.OK, time.monotonic() - self._started)

    def stands_still(self, seconds: float) -> None:
        """Nothing has come for so long. A stream that has not begun is a slow call from now on, whatever comes."""
        if not self._end(grpc.StatusCode.OK, seconds):
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
