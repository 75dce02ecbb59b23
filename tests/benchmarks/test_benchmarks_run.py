"""A job that fails, hangs, or is not there ends no other, and is named."""

import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main, run
from benchmarks.jobs import JOBS, Job

Write = Callable[[str, str], None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that this process and its children can import."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))

    return write


KEEPS = """
    import pathlib, sys
    assert sys.argv[1] == "--json"
    pathlib.Path(sys.argv[2]).write_text("{}")
"""


def job(name: str, seconds: float = 30.0) -> Job:
    return Job(name, name, seconds, "nothing")


def test_others_run_and_the_failed_ones_are_named(
    written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written("bench_job_fails", "raise SystemExit(3)")
    written("bench_job_forgets", "")
    written("bench_job_keeps", KEEPS)
    jobs = [job("bench_job_fails"), job("bench_job_nowhere"), job("bench_job_forgets"), job("bench_job_keeps")]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main(jobs)
    assert ended.value.code == 1
    lines = {words[0]: line for line in capsys.readouterr().out.splitlines() if (words := line.split())}
    assert "failed: it ended with code 3" in lines["bench_job_fails"]
    assert "failed: there is no bench_job_nowhere" in lines["bench_job_nowhere"]
    assert "failed: it kept no figures" in lines["bench_job_forgets"]
    assert lines["bench_job_keeps"].endswith("done")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bench_job_keeps.json"]


def test_all_well_is_code_0(written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("bench_job_well", KEEPS)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path / "out"), "--only", "bench_job_well"])
    with pytest.raises(SystemExit) as ended:
        main([job("bench_job_well"), job("bench_job_nowhere_else")])
    assert ended.value.code == 0


def test_a_job_that_hangs_is_ended_with_what_it_has_started(written: Write, tmp_path: Path) -> None:
    written(
        "bench_job_hangs",
        f"""
        import os, time
        child = os.fork()
        if child:
            with open({str(tmp_path / "child")!r}, "w") as file:
                file.write(str(child))
        time.sleep(600)
        """,
    )
    outcome = run(job("bench_job_hangs", seconds=2.0), tmp_path, quick=False)
    assert outcome.failed == "it did not end within 2 s"
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    end = time.monotonic() + 10
    while lives(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def lives(stat: Path) -> bool:
    """Whether a process is there and no zombie, which whoever is its new parent may leave for a while."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_quick_is_handed_on(written: Write, tmp_path: Path) -> None:
    written("bench_job_quick", f"{textwrap.dedent(KEEPS)}sys.exit(sys.argv[3:] != ['--quick'])")
    assert run(job("bench_job_quick"), tmp_path, quick=True).failed == ""
    assert run(job("bench_job_quick"), tmp_path, quick=False).failed == "it ended with code 1"


def test_names_are_of_one_job_each() -> None:
    names = [one.name for one in JOBS]
    assert len(set(names)) == len(names)
    assert not any(os.sep in name for name in names)
