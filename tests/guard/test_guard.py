"""The guard names a path that is slower, by either measure, and lets small changes pass."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.guard.children import ChildError
from benchmarks.guard.measuring import Turns, open_bench
from benchmarks.guard.paths import PATHS
from benchmarks.guard.trees import HERE, base_commit, differs
from benchmarks.guard.verdict import Verdict, read_baseline, write_baseline

NEAR = "cache hit, near"


async def test_a_slower_path_is_named_and_a_small_change_passes(
    braked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline, python = tmp_path / "baseline.json", f"{sys.version_info.major}.{sys.version_info.minor}"
    async with open_bench() as bench:
        usual = (await bench.bytecodes(braked, [NEAR]))[NEAR]
        assert not isinstance(usual, ChildError)
        write_baseline(python, {NEAR: usual}, baseline)
        turns = sum(usual.values()) / 3  # of a loop, each of three instructions in every version so far
        monkeypatch.setenv("BRAKE_TURNS", str(round(0.05 * turns)))
        more = (await bench.bytecodes(braked, [NEAR]))[NEAR]
    assert not isinstance(more, ChildError)
    assert sum(more.values()) > sum(usual.values())
    assert Verdict(NEAR, more, read_baseline(python, baseline)[NEAR]).faults == []

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "benchmarks.guard", "--only", NEAR, "--bytecodes", "--baseline", str(baseline)),
        cwd=braked,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(braked), str(braked / "generated")]),
            "BRAKE_TURNS": str(round(0.20 * turns)),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 1, said.decode()
    assert f"SLOWER: {NEAR}: " in said.decode()
    assert "mesh/near/cache.py (+" in said.decode()


async def test_what_is_slower_in_c_is_seen_by_its_cpu(braked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAKE_BYTES", "10000")  # takes several times what a hit does
    async with open_bench() as bench:
        turns = (await bench.cpu(braked, HERE, [NEAR], 1))[NEAR]
    assert not isinstance(turns, ChildError)
    [fault] = Verdict(NEAR, {}, turns=turns).faults
    assert fault.startswith(f"{NEAR}: ")
    assert "% more CPU, " in fault


def test_verdicts_have_a_limit() -> None:
    def verdict(more: float) -> Verdict:
        now = {"mesh/near/cache.py": 50.0 + more, "asyncio/tasks.py": 50.0}
        return Verdict(NEAR, now, {"mesh/near/cache.py": 50.0, "asyncio/tasks.py": 50.0})

    assert verdict(14.9).faults == []
    [fault] = verdict(15.1).faults
    assert fault == f"{NEAR}: 15% more instructions (100 -> 115); more in mesh/near/cache.py (+15)"


def test_cpu_must_be_surely_too_much() -> None:
    before = [1.0] * 25

    def faults(now: list[float]) -> list[str]:
        return Verdict(NEAR, {}, turns=Turns(now, before)).faults

    assert faults([1.2] * 25) == [f"{NEAR}: 20% more CPU, 20% at least"]
    assert faults([1.05] * 25) == []
    assert faults([0.9] * 12 + [1.4] * 13) == []  # neighbours


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
