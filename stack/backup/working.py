"""Where a backup is put together: a folder beside its file, which is cleared away however its process ends.

It has keys and readers' texts. A process that is killed leaves it, and the next that makes a backup there removes it:
whoever uses a folder holds the lock in it, and a lock ends with its process.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNLOCKED, _PREFIX = ".gaji-making-", ".gaji-backup-"
_LOCK, _INSIDE = "lock", "inside"


@contextmanager
def working_folder(beside: Path) -> Iterator[Path]:
    """An empty folder of mode 0700, for as long as the block lasts; those of processes that were killed are removed.

    Args:
        beside: where it is made.

    Raises:
        OSError: it can't be made, or not be cleared away.
    """
    for left in beside.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is in use, or somebody else's
            _remove_if_left(left)
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=beside))
    # It gets its name when it is locked: nobody takes it for one that was left.
    with (made / _LOCK).open("xb") as lock:
        with suppress(OSError):  # a file system without locks, where none is ever taken for one that was left
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (made / _INSIDE).mkdir(mode=0o700)
        folder = made.rename(made.with_name(made.name.replace(_UNLOCKED, _PREFIX, 1)))
        try:
            yield folder / _INSIDE
        finally:
            _remove(folder)


def _remove_if_left(folder: Path) -> None:
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        return
    try:
        with (folder / _LOCK).open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
    except FileNotFoundError:  # the lock goes last
        folder.rmdir()


def _remove(folder: Path) -> None:
    if (folder / _INSIDE).exists():
        shutil.rmtree(folder / _INSIDE)
    (folder / _LOCK).unlink()
    with suppress(FileNotFoundError):  # somebody who looks for what was left was quicker
        folder.rmdir()
