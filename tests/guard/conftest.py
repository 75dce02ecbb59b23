"""A source tree with a brake in it."""

import shutil
from pathlib import Path

import pytest

from benchmarks.guard.trees import HERE

BRAKE = """

import hashlib as _hashlib
import os as _os

_TURNS, _BYTES = int(_os.environ.get("BRAKE_TURNS", "0")), bytes(int(_os.environ.get("BRAKE_BYTES", "0")))
_without_brake = NearCache.get


def _with_brake(self: NearCache, key: str) -> bytes | None:
    for _ in range(_TURNS):
        pass
    _hashlib.sha256(_BYTES)
    return _without_brake(self, key)


NearCache.get = _with_brake
"""


@pytest.fixture
def braked(tmp_path: Path) -> Path:
    """This tree, but near hits take more: BRAKE_TURNS of a loop, and a digest of BRAKE_BYTES."""
    tree = tmp_path / "tree"
    for name in ("mesh", "benchmarks/guard"):
        shutil.copytree(HERE / name, tree / name)  # with what is compiled: modules keep their times
    for name in ("benchmarks/__init__.py", "benchmarks/tokens.py"):
        shutil.copy(HERE / name, tree / name)
    for name in ("services", "generated", "stack", "gateway"):
        (tree / name).symlink_to(HERE / name)
    with (tree / "mesh/near/cache.py").open("a") as module:
        module.write(BRAKE)
    return tree
