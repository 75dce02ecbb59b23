"""How long the event loop takes for one round."""

import asyncio
from collections.abc import Callable

_PROBE_SECONDS = 0.02


class LoopLag:
    """Measures the loop's rounds while there is work: what has just come has waited for the round before it to end.

    A timer would say the same with a resolution of a millisecond (uvloop's), and wake an idle process. Here arrivals
    set probes off, at most one in 20 ms: a callback that is called in this round calls another in the next, and the
    time between is a round's, its input and output included.

    Args:
        clock: in seconds.

    Attributes:
        seconds: a round's, averaged over the last few.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._probed = float("-inf")
        self._probing = False
        self.seconds = 0.0

    def arrived(self, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Something has come; time to look again?"""
        if now - self._probed >= _PROBE_SECONDS and not self._probing:
            self._probed, self._probing = now, True
            loop.call_soon(self._first, loop)

    def _first(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(self._second, self._clock())

    def _second(self, began: float) -> None:
        self._probing = False
        self.seconds += (self._clock() - began - self.seconds) * 0.2
