"""Permits: the right to make one call, and how it went."""

import grpc

from mesh.breaker.era import Era
from mesh.breaker.outcomes import kind_of

_OK = grpc.StatusCode.OK


class FreePermit:
    """For calls that nobody counts."""

    __slots__ = ()

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        """Is not heard."""


FREE = FreePermit()


class Permit:
    """For a call that is counted.

    Args:
        era: the one that it belongs to; None once it has ended.
    """

    __slots__ = ("era",)

    def __init__(self, era: Era) -> None:
        self.era: Era | None = era

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        """Says how the call went, once."""
        era = self.era
        if era is None:
            return
        self.era = None
        if code is _OK and seconds <= era.slow_seconds:
            if not era.window.clean:  # else: one more good call after nothing but good ones
                era.breaker.record(era, 0)
            return
        kind = kind_of(code, seconds, era.slow_seconds)
        if kind is not None:
            era.breaker.record(era, kind)


class Probe(Permit):
    """For a call that a half-open breaker makes to see how the peer is.

    One that ends without a result, or is dropped, gives its place back. That takes no lock: it may happen wherever
    garbage is collected, even in the very thread that holds the breaker's lock.

    Args:
        era: the one that it belongs to.
        token: its number.
    """

    __slots__ = ("_token",)

    def __init__(self, era: Era, token: int) -> None:
        super().__init__(era)
        self._token = token

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        """Says how the call went, once."""
        era = self.era
        if era is None:
            return
        self.era = None
        kind = kind_of(code, seconds, era.slow_seconds)
        if kind is None:
            era.dropped.append(self._token)
        else:
            era.breaker.record_probe(era, kind, self._token)

    def __del__(self) -> None:
        era = self.era
        if era is not None:
            era.dropped.append(self._token)
