"""Becomes another program, one that does not outlive the process that started it.

Run as a script: ``python -I -S child.py PARENT SIGNAL USER FOLDER PROGRAM [ARGUMENT ...]``. On Linux the kernel sends
SIGNAL to the program when its parent dies (prctl(2), PR_SET_PDEATHSIG); a change of user clears that wish, hence the
order here. Elsewhere this process stays and watches. It imports nothing of ours, so that it starts within milliseconds.
"""

import ctypes
import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1
_ENOUGH_FILES = 65_536
_WATCH_SECONDS = 0.5
_GRACE_SECONDS = 8.0


def main(arguments: Sequence[str]) -> int:
    """Drops privileges, ties the process to its parent and becomes the program.

    Args:
        arguments: the parent's pid, the number of the signal at its death, a user's name (empty: unchanged), the
            working folder, the program and its arguments.

    Returns:
        The program's exit code, where this process can't become it.
    """
    parent, signum, user, folder, *command = arguments
    os.chdir(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _ENOUGH_FILES:  # each reader's connection is a file
        resource.setrlimit(resource.RLIMIT_NOFILE, (_ENOUGH_FILES if hard < 0 else min(hard, _ENOUGH_FILES), hard))
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if not sys.platform.startswith("linux"):
        return _watch(int(parent), int(signum), command)
    if not tie(int(parent), int(signum)):
        return 1
    return os.execvp(command[0], command)  # noqa: S606 - to become the program is the purpose


def tie(parent: int, signum: int) -> bool:
    """Has the kernel send this process a signal when its parent dies; False: it has died already.

    Raises:
        OSError: the kernel does not do that.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    return os.getppid() == parent  # it may have died before the wish was in place


def _watch(parent: int, signum: int, command: Sequence[str]) -> int:
    process = subprocess.Popen(command)  # noqa: S603 - the command is the caller's own

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, forward)
    while True:
        try:
            code = process.wait(_WATCH_SECONDS)
        except subprocess.TimeoutExpired:
            if os.getppid() == parent:
                continue
            process.send_signal(signum)
            try:
                code = process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
