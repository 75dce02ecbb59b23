"""Words on a terminal."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len

from mesh import plain_text

_SPACES = re.compile(r"(\s+)")


def printable(text: str) -> str:
    """Text without controls, escape sequences among them, and without what turns or hides other text.

    Nobody's novel moves the reader's cursor, renames the window or shows a name from right to left. Line breaks and
    tabs stay.
    """
    return plain_text.text(text.replace("\0", ""))


def one_line(text: str) -> str:
    """The same in one line, for names and titles."""
    return plain_text.line(text.replace("\0", ""))


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 chapter``, ``61 chapters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def command(*arguments: str) -> str:
    """A ``gaji`` command to be typed: by the path that this one was called by where the shell finds none or another."""
    called = Path(sys.argv[0])
    found = shutil.which("gaji")
    by_name = called.name != "gaji" or (found is not None and Path(found).resolve() == called.resolve())
    return shlex.join(["gaji" if by_name else str(called), *arguments])


class Flow:
    """Shows text that comes in pieces, word by word, and breaks lines between words.

    Args:
        write: takes what is to be shown.
        width: columns of a line; None: lines are left as they are.
    """

    def __init__(self, write: Callable[[str], object], width: int | None) -> None:
        self._write = write
        self._width = width
        self._column = 0
        self._gap = ""
        self._word = ""

    def add(self, text: str) -> None:
        """Takes a piece; its last word is shown when it is whole, or half a line long, as without spaces."""
        if self._width is None:
            self._write(text)
            return
        for part in _SPACES.split(text):
            if not part.isspace():
                self._word += part
                if cell_len(self._word) > self._width // 2:
                    self.end_word()
                continue
            self.end_word()
            self._gap += part
            if "\n" in self._gap:
                self._write("\n" * self._gap.count("\n"))
                self._column, self._gap = 0, ""

    def end_word(self) -> None:
        """Shows what was held back."""
        if self._width is None or not self._word:
            return
        cells = cell_len(self._word)
        if self._gap and self._column + len(self._gap) + cells > self._width:
            self._column, self._gap = 0, "\n"
        self._write(self._gap + self._word)
        self._column += len(self._gap.strip("\n")) + cells
        if self._column > self._width:  # the terminal has broken a long word
            self._column %= self._width
        self._gap = self._word = ""
