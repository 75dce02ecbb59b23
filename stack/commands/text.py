"""Words on a terminal."""

import os
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len


def printable(text: str) -> str:
    """Text without control characters, so that nobody's novel moves the reader's cursor; line breaks and tabs stay."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def counted(number: int, noun: str) -> str:
    """A number of things: "1 chapter", "1,008 passages"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def command(*arguments: str) -> str:
    """A ``gaji`` command to be typed here: by the path that this one was called by where the shell knows no other."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    known = called.name != "gaji" or (found is not None and os.path.samefile(found, called))
    return shlex.join(["gaji" if known else str(called), *arguments])


class Flow:
    """Writes text that comes in pieces, breaking lines between words where they fit.

    Words longer than a line, and scripts without spaces, are left to the terminal.

    Args:
        write: takes what is to be shown.
        width: columns of a line; 0: lines are not broken.
    """

    def __init__(self, write: Callable[[str], object], width: int) -> None:
        self._write = write
        self._width = width
        self._column = 0
        self._held = ""

    def add(self, text: str) -> None:
        """Shows a piece; spaces at its end wait for the word behind them."""
        if not self._width:
            self._write(text)
            return
        for character in text:
            if character == "\n":
                self._write("\n")
                self._column, self._held = 0, ""
            elif character.isspace():
                self._held += " "
            else:
                self._held += character
        raise NotImplementedError
