"""How long a call has waited before its handler: the part of an overload that no handler sees.

``grpc.aio`` accepts one call at a time, each in a round of the event loop or two. Calls that come faster wait in
C-core, and those that are accepted find an empty house: ten callers of a busy server waited 12 ms each while no more
than three calls were in their handlers, for 2 ms. So a call says when it was sent, and the server compares.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

KEY = "x-gaji-sent"
"""Metadata: the sender's monotonic clock in milliseconds."""

_PEERS = 1_024
_IDLE_SECONDS = 0.05
_INTERVAL_SECONDS = 0.1
_LONGEST_WAIT = 10.0  # as long as calls live by default: what looks like more is a clock that was set, or a lie
_DRIFT = 20e-6  # what two clocks of quartz part in a second, at most
_RATE_WEIGHT = 0.05


def stamp(now: float) -> tuple[str, str]:
    """The metadata of a call that is sent at a time of `time.monotonic`."""
    return KEY, f"{now * 1000:.2f}"


@dataclass(slots=True)
class _Peer:
    least: float
    at: float


class Arrivals:
    """Tells calls' waits from their stamps.

    Clocks of two machines differ by what nobody knows, so a peer's calls are measured by the one that came fastest. A
    call that comes after a pause has not waited, whatever its stamp says, nor has one whose wait would be longer than
    calls live. So a clock that was set puts itself right, and one that lies cannot make an age of a call usual.

    A queue that is empty once in 100 ms is a burst that the server takes; the shortest wait in that time is that of
    the queue that stands. That is what CoDel tells the two apart by (RFC 8289, section 3).
    """

    def __init__(self) -> None:
        self._peers: OrderedDict[str, _Peer] = OrderedDict()
        self._last = float("-inf")
        self._gap = _IDLE_SECONDS
        self._wait = 0.0
        self._began = float("-inf")  # of the interval whose shortest wait is looked for
        self._shortest = self._standing = 0.0

    def waited(self, peer: str, sent: str | None, now: float) -> float:
        """Seconds that a call has waited; of one without a stamp what the last one did.

        Args:
            peer: who sent it: whose clock it is.
            sent: the stamp.
            now: of `time.monotonic`.
        """
        gap, self._last = now - self._last, now
        self._gap += (min(gap, 1.0) - self._gap) * _RATE_WEIGHT
        if gap >= _IDLE_SECONDS:
            self._wait = 0.0
        age = _age(sent, now)
        if age is not None:
            known = self._peers.get(peer)
            if known is None or gap >= _IDLE_SECONDS or age - known.least > _LONGEST_WAIT:
                self._peers[peer] = known = _Peer(age, now)
                self._peers.move_to_end(peer)
                if len(self._peers) > _PEERS:
                    self._peers.popitem(last=False)
            known.least = min(age, known.least + (now - known.at) * _DRIFT)
            known.at = now
            self._wait = age - known.least
        if now - self._began >= _INTERVAL_SECONDS:
            self._standing = self._shortest if now - self._began < 2 * _INTERVAL_SECONDS else 0.0
            self._began, self._shortest = now, self._wait
        self._shortest = min(self._shortest, self._wait)
        return self._wait

    def waiting(self) -> float:
        """How many calls wait as long as there is a queue: those that come while the luckiest waits (Little's law)."""
        return min(self._standing, self._wait) / self._gap if self._gap > 0 else 0.0


def _age(sent: str | None, now: float) -> float | None:
    try:
        age = now - float(sent or "") / 1000
    except ValueError:
        return None
    return age if math.isfinite(age) else None
