"""What is being written to a folder, told to whoever would copy it: a backup holds this lock alone meanwhile.

The folder is one process's own, so the lock is for nobody else; and the system gives it back however a process ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "gaji.lock"


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
        """Waits until nobody copies, and keeps everybody from beginning until the block is left; one at a time."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._descriptor)
