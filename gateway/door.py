"""Who may connect, and who is shown out."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from gateway.address import UNKNOWN, ClientAddresses, owner, parse_address
from gateway.counts import Counts
from gateway.metrics import CONNECTIONS_REFUSED, SLOW_READERS_CUT

SLOWEST_READER = 4096
"""Bytes a second, on average, that a client has to take of an answer once it makes the gateway wait."""
_MOST_REFUSED_AT_ONCE = 64


class Door:
    """Counts connections by address; those of trusted proxies carry many clients, and are not counted.

    Args:
        limit: how many an address (of IPv6, a /64) may have; 0: any number.
        addresses: knows the proxies.
    """

    def __init__(self, limit: int, addresses: ClientAddresses) -> None:
        self._counts = Counts(limit)
        self._addresses = addresses
        self._lingering = 0

    def enter(self, peer: str) -> str | None:
        """Lets a connection in: what to call `leave` with; None: its address has too many."""
        address = parse_address(peer)
        if address is None or self._addresses.trusts(address):
            return UNKNOWN
        whose = owner(str(address))
        if self._counts.enter(whose):
            return whose
        CONNECTIONS_REFUSED.inc()
        return None

    def leave(self, whose: str) -> None:
        """One that was let in is gone."""
        if whose != UNKNOWN:
            self._counts.leave(whose)

    def may_linger(self) -> bool:
        """Whether a refused connection may hear why; it takes `gone` then. In a flood most are just closed."""
        if self._lingering >= _MOST_REFUSED_AT_ONCE:
            return False
        self._lingering += 1
        return True

    def gone(self) -> None:
        """One that lingered is gone."""
        self._lingering -= 1


class Reading(Protocol):
    """A connection whose client may be slow to read."""

    def owes(self) -> int:
        """How many bytes of answers wait for the client; 0 as well where somebody else looks after it."""

    def cut(self) -> None:
        """Ends it at once."""


async def cut_slow_readers(connections: Iterable[Reading], seconds: float) -> None:
    """Cuts clients that ask and do not read; runs until it is cancelled.

    The server hands an answer to the transport as a whole and, when its time is up, closes the connection: which waits
    until everything is read, and so for ever. Streams have readers that see to this themselves.

    Args:
        connections: those that are open, looked at anew each time.
        seconds: how long a client may take less than `SLOWEST_READER` asks for.
    """
    loop = asyncio.get_running_loop()
    seen: dict[Reading, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(seconds / 4)
        now = loop.time()
        owing: dict[Reading, tuple[int, float]] = {}
        for connection in list(connections):
            waiting = connection.owes()
            if not waiting:
                continue
            before, since = owing[connection] = seen.get(connection, (waiting, now))
            if now - since >= seconds:
                # More than before: it has read what there was, and another answer has been put behind.
                if abs(before - waiting) < SLOWEST_READER * (now - since):
                    SLOW_READERS_CUT.inc()
                    connection.cut()
                owing[connection] = (waiting, now)
        seen = owing
