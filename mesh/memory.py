"""Memory that a process has no use for any more, given back to the system."""

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _malloc_trim() -> Any:
    """The function ``malloc_trim(3)`` of glibc; None: another C library, which decides for itself."""
    if not sys.platform.startswith("linux"):
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return trim


def give_back() -> None:
    """Gives free memory back, some tens of milliseconds at most; for a moment in which nobody waits.

    glibc keeps what was freed below something that is still in use: a sixth of a process after its imports, a third of
    one that has loaded a model.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
