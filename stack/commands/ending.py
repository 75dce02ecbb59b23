"""A command that is ended clears away what it has begun."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_ENDED = 128  # and the signal's number: as shells say it


@contextmanager
def clearing_up() -> Iterator[None]:
    """SIGTERM and SIGHUP end a block as Ctrl-C does, by an exception, even where the event loop is kept busy."""

    def end(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # clearing up is not to be ended
        raise SystemExit(_ENDED + number)

    # nohup(1) has its way.
    before = {each: found for each in _SIGNALS if (found := signal.getsignal(each)) != signal.SIG_IGN}
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
