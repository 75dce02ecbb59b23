"""A backup that is ended clears away what it has gathered, and one that is killed is cleared away by the next."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from stack.backup import vectors
from stack.backup.working import working_folder
from stack.cli import main
from tests.fixtures.stack import clean_environment

_SECONDS = 60.0


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    (folder := tmp_path / "backups").mkdir()
    return folder


def left(backups: Path) -> list[Path]:
    return sorted(path for path in backups.iterdir() if not path.name.startswith(".gaji-making-"))


@contextmanager
def begun(tmp_path: Path, backups: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A backup of a stack that is stopped, which waits for the vector store and has a folder by then."""
    (store := tmp_path / "data" / "chroma").mkdir(parents=True)
    (store / vectors.DATABASE).touch()
    env = clean_environment(tmp_path, GAJI_DATABASE_URL="postgresql://127.0.0.1:1/none")
    command = [sys.executable, "-m", "stack.cli", "backup", str(backups), "--data-dir", str(tmp_path / "data")]
    with vectors.held_still(store), subprocess.Popen(command, env=env) as process:  # noqa: S603 - our own command
        try:
            end = time.monotonic() + _SECONDS
            while not left(backups):
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def test_one_that_is_ended_leaves_nothing(tmp_path: Path, backups: Path) -> None:
    with begun(tmp_path, backups) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(_SECONDS) == 128 + signal.SIGTERM
    assert list(backups.iterdir()) == []


def test_one_that_was_killed_is_cleared_away_by_the_next(tmp_path: Path, backups: Path) -> None:
    with begun(tmp_path, backups) as process:
        process.kill()
        process.wait(_SECONDS)
    (killed,) = left(backups)
    with working_folder(backups) as first:
        assert left(backups) == [first.parent] != [killed]
        with working_folder(backups) as second:
            assert left(backups) == sorted([first.parent, second.parent])
            assert first.is_dir()
    assert list(backups.iterdir()) == []


def test_help_says_what_force_does_not_keep() -> None:
    words = " ".join(CliRunner().invoke(main, ["restore", "--help"]).output.split())
    assert "the library in a database of your own (GAJI_DATABASE_URL) is not: back it up first" in words
