"""``gaji search`` against a whole stack."""

# Every command run here is our own.
# ruff: noqa: S603

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from tests.fixtures.stack import RunningStack, clean_environment

TALE = """CHAPTER I. The Mill

The miller of Osk had a white owl that could count to seven, and nobody knew who had taught it.


CHAPTER II. The Flood

In the second spring the river rose over the mill wheel, and the owl counted the drowned sheep aloud till it
was hoarse.
"""


def test_search(running_stack: RunningStack, tmp_path: Path) -> None:
    name = f"owl-{uuid4().hex[:8]}"
    (tmp_path / f"{name}.txt").write_text(TALE)
    queries = tmp_path / "queries.jsonl"
    rows = [
        {"id": "a", "novel": name, "query": "who taught the bird its numbers", "answers": ["count to seven"]},
        {"id": "b", "novel": name, "query": "dead animals in high water", "answers": ["drowned sheep"]},
    ]
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run.jsonl"

    def gaji(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "stack.cli", "search", *arguments, "--url", running_stack.url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(tmp_path, COLUMNS="200"),
            check=False,
        )

    missing = gaji("--run", str(queries))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "is not on the shelf" in missing.stderr
    done = gaji("--run", str(queries), "--novels", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert "count to seven" in lines[0]["passages"][0]
    assert "drowned sheep" in lines[1]["passages"][0]

    again = gaji("--run", str(queries))
    assert [json.loads(line) for line in again.stdout.splitlines()] == lines
    shown = gaji("the flood", "--novel", name.replace("-", " "), "--until-chapter", "1")
    assert shown.returncode == 0, shown.stderr
    assert "CHAPTER I. The Mill" in shown.stdout
    assert "drowned" not in shown.stdout

    queries.write_text('{"id": "a"}\n')
    wrong = gaji("--run", str(queries))
    assert (wrong.returncode, "line 1 has no novel" in wrong.stderr) == (1, True)
    assert gaji().returncode == 2
