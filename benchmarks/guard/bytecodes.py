"""Counts what the interpreter executes, instruction by instruction.

The count of a piece of work is the same on every machine and beside every neighbour, but not in every minor version of
Python, whose compiler is another. It sees nothing of what C does: an instruction that runs a regular expression is one.
"""

import sys
import sysconfig
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

_TREE = Path(__file__).resolve().parents[2]
_OURS = str(Path(__file__).resolve().parent)
_PLACES = sorted(
    {str(_TREE), *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))}, key=len, reverse=True
)


class _Local(Protocol):
    def __call__(self, frame: FrameType, event: str, arg: Any) -> "_Local": ...


class Bytecodes:
    """Counts by module, in all threads that are begun after `install`; frames of this package do not count."""

    def __init__(self) -> None:
        self._on = False
        self._tallies: dict[str, tuple[list[int], _Local]] = {}

    def install(self) -> None:
        """Has the interpreter tell of its instructions, which makes it some thirty times slower while they count."""
        threading.settrace(self._entered)
        sys.settrace(self._entered)

    def start(self) -> None:
        """Counts from zero."""
        for tally, _ in self._tallies.values():
            tally[0] = 0
        self._on = True

    def stop(self) -> Counter[str]:
        """Instructions since `start` by module, e.g. ``gateway/reader.py``."""
        self._on = False
        return Counter({_module(name): tally[0] for name, (tally, _) in self._tallies.items() if tally[0]})

    def _entered(self, frame: FrameType, event: str, arg: Any) -> _Local | None:
        """A frame begins, or a generator or coroutine goes on."""
        if not self._on:
            return None
        name = frame.f_code.co_filename
        found = self._tallies.get(name)
        if found is None:
            found = self._tallies[name] = _tally(counts=not name.startswith(_OURS))
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return found[1]


def _tally(*, counts: bool) -> tuple[list[int], _Local]:
    tally = [0]

    def local(frame: FrameType, event: str, arg: Any) -> _Local:
        if counts and event == "opcode":
            tally[0] += 1
        return local

    return tally, local


def _module(name: str) -> str:
    for place in _PLACES:
        if name.startswith(place + "/"):
            return name[len(place) + 1 :]
    return name
