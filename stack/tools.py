"""Servers' programs, asked for a word."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import StackError

_SECONDS = 10
_VERSION = re.compile(r"\d+(\.\d+)+")


def version_of(program: Path) -> str:
    """A program's version by its own word, e.g. ``18.6``.

    Raises:
        StackError: it does not run.
    """
    words = said([str(program), "--version"])
    number = _VERSION.search(words)
    return number[0] if number else words


def said(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """What a program says.

    Args:
        command: the program, which is to end soon, and its arguments.
        env: its whole environment; None: this process's.

    Raises:
        StackError: it does not run, or complains.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, env=env, check=False)  # noqa: S603 - our own command
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{Path(command[0]).name} does not run: {error}", "reinstall the package") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[0]
        raise StackError(said.removeprefix("psql: error: "), "see what it says")
    return done.stdout.strip()
