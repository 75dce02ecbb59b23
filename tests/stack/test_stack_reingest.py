"""``gaji reingest`` against a whole stack."""

# Every command run here is our own.
# ruff: noqa: S603

import subprocess
import sys
from pathlib import Path

from tests.fixtures.stack import RunningStack, clean_environment

TALE = "CHAPTER I\n\nThe ferrywoman of {0} rowed by night, and by day she mended the clock of {0} with a spoon.\n"


def test_reingest(running_stack: RunningStack, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for place in ("Oxley", "Quern"):
        (shelf / f"{place.lower()}.txt").write_text(TALE.format(place))

    def gaji(*arguments: str, reader: str = "owner") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "stack.cli", *arguments, "--url", running_stack.url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(tmp_path / reader, COLUMNS="200"),
            check=False,
        )

    assert gaji("ingest", str(shelf), "--visibility", "public").returncode == 0
    done = gaji("reingest", "--all")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "2 novels queued"
    assert sorted(line.partition(": ")[2] for line in lines[1:]) == ["“Oxley”", "“Quern”"]
    one = gaji("reingest", "--title", "quer")
    assert one.stdout.splitlines() == ["1 novel queued", "1 of 1: “Quern”"], one.stderr
    none = gaji("reingest", "--title", "Middlemarch")
    assert (none.returncode, none.stdout) == (1, "")
    assert "none of your novels has 'Middlemarch' in its title" in none.stderr
    stranger = gaji("reingest", "--all", reader="stranger")
    assert (stranger.returncode, stranger.stdout) == (1, "")
    assert "you have no novels" in stranger.stderr
    assert gaji("reingest").returncode == 2
