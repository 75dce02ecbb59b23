"""What stands before calls to a peer and hears how they went: the seam between channels and the circuit breaker."""

from typing import Protocol

import grpc


class Permit(Protocol):
    """The right to make one call. Whoever holds it says how the call went, once; what is said later is not heard."""

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        """The call has ended or, if it is a stream, its first message is there (OK).

        Args:
            code: how; None: its caller left, which says nothing of the peer and only gives the permit back.
            seconds: how long that took from the beginning of the call.
        """


class Gate(Protocol):
    """Lets calls to one peer through, or not."""

    def acquire(self, method: str) -> Permit:
        """A permit for a call of a method, given by its path.

        Raises:
            MeshError: the peer is to be left alone; ``retry_after`` says for how long.
        """

    def observe(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Tells of a stream what came after its first message: that it broke, or stood still so many seconds (OK)."""
