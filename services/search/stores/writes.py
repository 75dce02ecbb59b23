"""What is being written to a folder, told to whoever would copy it: a backup holds this lock alone meanwhile.

The folder is one process's own, so the lock is for nobody else; and the system gives it back however a process ends.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh.errors import Unavailable

LOCK = "gaji.lock"
_MOST_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_PAUSE_SECONDS = 5.0


class Writes:
    """Those to a folder; to be used in threads, for it waits.

    Args:
        folder: where the lock is kept.

    Raises:
        OSError: it cannot be made there.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Waits until nobody copies, and keeps everybody from beginning until the block is left; one at a time.

        Raises:
            Unavailable: somebody copies for longer than a write can wait.
        """
        until = time.monotonic() + _MOST_SECONDS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    text = "a backup is being made; try again when it is done"
                    raise Unavailable(text, reason="BACKUP_RUNS", retry_after=_PAUSE_SECONDS) from None
                time.sleep(_LOOK_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._descriptor)
