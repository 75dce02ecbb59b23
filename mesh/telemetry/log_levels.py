"""How much a process writes into its log: what the settings say, and what an operator sets for a while.

What is set ends by itself, at a timer: a logger that is to say less is not even asked, so there is no line at which one
could look at the clock. Only loggers of our own are set, and only they write below INFO: what libraries write there is
theirs, headers and bodies of requests among it.
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


Start = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Has something called after so many seconds; what it returns calls that off."""


def _start_timer(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    timer = threading.Timer(seconds, call)  # workers have no event loop
    timer.daemon = True
    timer.start()
    return timer.cancel


class LogLevels:
    """The levels of a process.

    Args:
        clock: seconds that only grow.
        start: starts a timer; there is one at a time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, start: Start = _start_timer) -> None:
        self._clock = clock
        self._start = start
        self._overrides: dict[str, Override] = {}
        self._cancel: Callable[[], None] | None = None
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
        now = self._clock()
        with self._lock:
            return [(one, one.until - now) for _, one in sorted(self._overrides.items())]

    def _look(self) -> None:
        """Ends what is over."""
        with self._lock:
            now = self._clock()
            self._apply({name: one for name, one in self._overrides.items() if one.until > now})

    def _apply(self, overrides: dict[str, Override]) -> None:
        for name in self._overrides.keys() - overrides.keys():
            if name:
                logging.getLogger(name).setLevel(logging.NOTSET)
        self._overrides = overrides
        if self._cancel is not None:
            self._cancel()
        self._cancel = None
        if overrides:
            first = min(one.until for one in overrides.values())
            self._cancel = self._start(max(0.0, first - self._clock()), self._look)
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
