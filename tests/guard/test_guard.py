"""The guard names a path that is slower, by either measure, and lets small changes pass."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guard.children import ChildError
from benchmarks.guard.measuring import open_bench
from benchmarks.guard.paths import PATHS
from benchmarks.guard.trees import HERE, base_commit, differs
from benchmarks.guard.verdict import Verdict, read_baseline, write_baseline

NEAR = "cache hit, near"


async def guard(tree: Path, *arguments: str, turns: int = 0) -> tuple[int, str]:
    """Exit code and output of the guard of a tree."""
    path = os.pathsep.join([str(tree), str(tree / "generated")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "benchmarks.guard", "--only", NEAR, "--bytecodes", *arguments),
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "BRAKE_TURNS": str(turns)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_slower_path_is_named_and_a_small_change_passes(braked: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    arguments = ("--baseline", str(baseline))
    code, said = await guard(braked, *arguments, "--update")
    assert code == 0, said
    [(python, paths)] = json.loads(baseline.read_text()).items()
    assert python == f"{sys.version_info.major}.{sys.version_info.minor}"
    usual = sum(paths[NEAR].values())
    turn = 3  # instructions, in every version so far

    code, said = await guard(braked, *arguments, turns=round(0.05 * usual / turn))
    assert code == 0, said
    assert "nothing is slower" in said

    code, said = await guard(braked, *arguments, turns=round(0.20 * usual / turn))
    assert code == 1, said
    assert f"SLOWER: {NEAR}: " in said
    assert "mesh/near/cache.py (+" in said


async def test_what_is_slower_in_c_is_seen_by_its_cpu(braked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bench() as bench:
        plain = (await bench.bytecodes(braked, [NEAR]))[NEAR]
        monkeypatch.setenv("BRAKE_BYTES", "20000")  # takes several times what a hit does
        slow = (await bench.bytecodes(braked, [NEAR]))[NEAR]
        turns = (await bench.cpu(braked, HERE, [NEAR], 2))[NEAR]
    assert not isinstance(slow, ChildError)
    assert not isinstance(plain, ChildError)
    assert not isinstance(turns, ChildError)
    assert slow == plain
    [fault] = Verdict(NEAR, slow, plain, turns).faults
    assert fault.startswith(f"{NEAR}: ")
    assert fault.endswith("% more CPU")


def test_verdicts_have_a_limit() -> None:
    def verdict(more: float) -> Verdict:
        now = {"mesh/near/cache.py": 50.0 + more, "asyncio/tasks.py": 50.0}
        return Verdict(NEAR, now, {"mesh/near/cache.py": 50.0, "asyncio/tasks.py": 50.0})

    assert verdict(14.9).faults == []
    [fault] = verdict(15.1).faults
    assert fault == f"{NEAR}: 15% more instructions (100 -> 115); more in mesh/near/cache.py (+15)"


def test_a_baseline_keeps_what_was_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    write_baseline("3.11", {"search": {"a.py": 1000.0, "b.py": 9.0}, NEAR: {"c.py": 100.0}}, file)
    write_baseline("3.11", {NEAR: {"c.py": 120.0}}, file)
    write_baseline("3.12", {NEAR: {"c.py": 90.0}}, file)
    assert read_baseline("3.11", file) == {
        "search": {"a.py": 1000.0, "others": 9.0},
        NEAR: {"c.py": 120.0, "others": 0.0},
    }
    assert read_baseline("3.13", file) == {}


def test_the_baseline_has_every_path() -> None:
    known = read_baseline("3.11")
    assert known.keys() == PATHS.keys()


def git(tree: Path, *arguments: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    command = ["git", *author, *arguments]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)  # noqa: S603 - our words
    return done.stdout.strip()


def test_a_branch_is_compared_with_where_it_left_main(tmp_path: Path) -> None:
    assert base_commit(tmp_path) is None
    (tmp_path / "mesh").mkdir()
    module = tmp_path / "mesh" / "module.py"

    def commit(text: str) -> str:
        module.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", text)
        return git(tmp_path, "rev-parse", "HEAD")

    git(tmp_path, "init", "-q", "-b", "main")
    first = commit("1")
    assert base_commit(tmp_path) is None  # a clone of one commit
    second = commit("2")
    assert base_commit(tmp_path) == first
    git(tmp_path, "checkout", "-qb", "branch")
    commit("3")
    commit("4")
    assert base_commit(tmp_path) == second
    assert differs(second, tmp_path)
    module.write_text("2")
    assert not differs(second, tmp_path)
