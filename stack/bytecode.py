"""Keeps the bytecode of what the rooms import: ``python -m stack.bytecode``, once they are installed.

The first start need not compile it then; and where the environment has Python keep none (PYTHONDONTWRITEBYTECODE, as in
many images), every start would: three seconds of a processor for what the rooms share alone.
"""

import importlib
import sys
from contextlib import suppress

from stack.children import ROOMS
from stack.nursery import LATER, SHARED

_AT_USE = ("onnx", "onnxruntime", "stack.commands.up", "tokenizers")
"""What is imported later than when a process begins."""


def main() -> None:
    """Imports it, and does nothing else with it."""
    sys.dont_write_bytecode = False
    rooms = [room.module for room in ROOMS]
    for module in (*SHARED, *LATER, *_AT_USE, *rooms, *(f"{room}.__main__" for room in rooms)):
        with suppress(Exception):  # whoever needs it says what is wrong; here it is only for speed
            importlib.import_module(module)


if __name__ == "__main__":
    main()
