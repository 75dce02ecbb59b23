"""A reply on its way to a terminal, whatever becomes of its text."""

import re
from collections.abc import Callable

from stack.commands.text import Flow, printable

_SENTENCE_END = re.compile(r"\n+|[.!?…。！？]+[\"'”’)」』]*\s+")  # noqa: RUF001 - sentences of other scripts end so


class Shown:
    """Shows a reply as it comes.

    Args:
        name: who speaks.
        write: takes what is to be shown.
        width: columns of a line; None: lines are left as they are.

    Attributes:
        begun: whether any of it is shown.
    """

    def __init__(self, name: str, write: Callable[[str], object], width: int | None) -> None:
        self.begun = False
        self._name = name
        self._write = write
        self._width = width
        self._flow = Flow(write, width)
        self._text = ""

    def add(self, text: str) -> None:
        """More of it."""
        if not text:
            return
        if not self.begun:
            self._begin(f"{self._name}: ")
        self._text += text
        self._flow.add(printable(text))

    def keep(self, length: int) -> None:
        """What follows so many code points is void: the sentence that they end in is shown anew, on its own line."""
        if length >= len(self._text):
            return
        self._text = self._text[:length]
        start = max((match.end() for match in _SENTENCE_END.finditer(self._text)), default=0)
        self._flow.end_word()
        self._begin("… " if start else f"{self._name}: ")
        self._flow.add(printable(self._text[start:]))

    def end(self, whole: str, mark: str = "") -> None:
        """It has ended.

        Args:
            whole: all of its text, of which what is not shown yet is shown; empty: what is shown is all.
            mark: a word to put behind it.
        """
        if whole and whole.strip() != self._text.strip():
            same = _common(self._text, whole)
            self.keep(same)
            self.add(whole[same:])
        self._flow.end_word()
        self._write(f" {mark}\n" if mark else "\n")

    def _begin(self, head: str) -> None:
        self.begun = True
        self._flow = Flow(self._write, self._width)
        self._write("\n")
        self._flow.add(head)


def _common(one: str, other: str) -> int:
    """How many code points two texts begin with in common."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
