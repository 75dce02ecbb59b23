"""When a cache in trouble is asked again."""

import time
from collections.abc import Callable

from mesh.errors import Aborted, InvalidArgument, PermissionDenied, Unauthenticated
from mesh.read_through.metrics import TROUBLE
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_LOG_EVERY = 30.0


class Trouble:
    """Leaves a cache that does not answer alone for a while; then one caller tries it.

    Args:
        pause: how many seconds it is left alone.
        clock: seconds, never stepping.
    """

    def __init__(self, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._there = False
        self._try_again_at = 0.0
        self._logged_at = float("-inf")

    def may_try(self) -> bool:
        """Whether this caller may ask the cache."""
        if not self._there:
            return True
        now = self._clock()
        if now < self._try_again_at:
            return False
        self._try_again_at = now + self._pause  # for the others, while this caller tries
        return True

    def over(self) -> None:
        """The cache has answered."""
        self._there = False

    def failed(self, operation: str, error: Exception) -> None:
        """A call to the cache has failed."""
        if operation == "store" and isinstance(error, Aborted):
            return  # a write came in between; that is what leases are for
        TROUBLE.labels(operation).inc()
        now = self._clock()
        if not isinstance(error, InvalidArgument | Unauthenticated | PermissionDenied):  # those say: it is up
            self._there = True
            self._try_again_at = now + self._pause
        if now - self._logged_at >= _LOG_EVERY:
            self._logged_at = now
            log.warning(
                "reading without the cache",
                extra={"operation": operation, "error": f"{type(error).__name__}: {error}"},
            )
