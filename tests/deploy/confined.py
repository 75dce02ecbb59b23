"""Runs a module in which only some packages can be imported, as in the image of its room.

``python confined.py FILE MODULE [ARGUMENT ...]``: FILE holds, a line each, the import names that are not there.
"""

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class Absent(MetaPathFinder):
    """Finds nothing, and says so, for modules that the image has not."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuses what is absent; leaves the rest to other finders."""
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r} (it is not in this image)", name=fullname)
        return None


def main() -> None:
    """Runs it as ``python -m`` would."""
    file, module, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Absent(frozenset(Path(file).read_text().split())))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
