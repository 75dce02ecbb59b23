"""How much a process writes into its log: what the settings say, and what an operator sets for a while.

What is set ends by itself: it is looked at with each line that would be written, so nothing has to be awake for it.
Only loggers of our own are set, and only they write below INFO: what libraries write there is theirs, headers and
bodies of requests among it.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

OURS = ("mesh", "gateway", "services", "stack")
"""The loggers that are ours, with all below them."""
MOST = 20
"""Loggers that may be set at once."""


@dataclass(frozen=True, slots=True)
class Override:
    """A level that was set for a while.

    Attributes:
        logger: its name; empty: all of ours.
        level: as `logging` counts them.
        until: by the clock.
    """

    logger: str
    level: int
    until: float


class LogLevels:
    """The levels of a process.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._overrides: dict[str, Override] = {}
        self._next = float("inf")  # when the first of them ends
        self._lock = threading.Lock()
        self.level = logging.INFO

    def configure(self, level: int) -> None:
        """Takes what the settings say, and forgets all else."""
        with self._lock:
            self.level = level
            self._apply({})

    def set(self, logger: str, level: int | None, seconds: float) -> None:
        """Sets a level for a while.

        Args:
            logger: a logger of ours that there is; empty: all of ours.
            level: as `logging` counts them; None: what the settings say, from now on; of all loggers, if none is named.
            seconds: how long it holds.

        Raises:
            KeyError: there is no such logger, or it is not ours.
            OverflowError: too many are set.
        """
        if logger and not is_ours(logger):
            raise KeyError(logger)
        with self._lock:
            overrides = {name: one for name, one in self._overrides.items() if name != logger}
            if level is None and not logger:
                overrides = {}
            if level is not None:
                if len(overrides) >= MOST:
                    raise OverflowError(f"{MOST} loggers are set already")
                overrides[logger] = Override(logger, level, self._clock() + seconds)
            self._apply(overrides)

    def overrides(self) -> list[tuple[Override, float]]:
        """What is set, by logger, and for how many seconds it still holds."""
        self.look()
        now = self._clock()
        with self._lock:
            return [(one, one.until - now) for _, one in sorted(self._overrides.items())]

    def look(self) -> bool:
        """Ends what is over; whether there was any."""
        if self._clock() < self._next:
            return False
        with self._lock:
            now = self._clock()
            self._apply({name: one for name, one in self._overrides.items() if one.until > now})
        return True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written, for a handler: it may be the first after the end of what let it through."""
        return not self.look() or record.levelno >= logging.getLogger(record.name).getEffectiveLevel()

    def _apply(self, overrides: dict[str, Override]) -> None:
        for name in self._overrides.keys() - overrides.keys():
            if name:
                logging.getLogger(name).setLevel(logging.NOTSET)
        self._overrides = overrides
        self._next = min((one.until for one in overrides.values()), default=float("inf"))
        logging.getLogger().setLevel(max(self.level, logging.INFO))
        usual = self.level if self.level < logging.INFO else logging.NOTSET
        every = overrides.get("")
        for name in OURS:
            logging.getLogger(name).setLevel(usual if every is None else every.level)
        for name, one in overrides.items():
            if name:
                logging.getLogger(name).setLevel(one.level)


def is_ours(logger: str) -> bool:
    """Whether there is a logger of ours of such a name; loggers are never made for having been asked about."""
    return logger.partition(".")[0] in OURS and (logger in OURS or logger in logging.root.manager.loggerDict)


LEVELS = LogLevels()
"""Those of this process."""
