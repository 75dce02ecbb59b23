"""What tests of operations share: the command, run as people run it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.stack import clean_environment

Gaji = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gaji(tmp_path: Path) -> Gaji:
    """Runs a command to its end."""

    def run(*arguments: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "stack.cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(tmp_path, COLUMNS="200", **env),
            check=False,
        )

    return run
