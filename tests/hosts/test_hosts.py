"""The stack on five hosts: one between which packets are dropped, one that is lost, one that is upgraded.

`python -m benchmarks.hosts` does the same at length. Here are also the parts of it that could flatter.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.faults.availability.records import Record
from benchmarks.faults.load import Report
from benchmarks.hosts.__main__ import SKIPPED
from benchmarks.hosts.breaking import FAULTS, Kind
from benchmarks.hosts.network import missing
from benchmarks.hosts.verdict import Row, Seen, row_of

ROOT = Path(__file__).parents[2]
SECONDS = 420
FAULT = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skips, with the reason, where hosts can't be made."""
    if why := missing():
        pytest.skip(f"no network namespaces: {why}")


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.usefixtures("namespaces")
def test_readers_miss_no_word_when_hosts_are_cut_off_and_lost_and_upgraded(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks.hosts", "--quick", "--json", str(figures)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    sys.stdout.write(ended.stdout)  # shown with -s, or when it fails: the table
    assert ended.returncode != SKIPPED
    rows = json.loads(figures.read_text())
    assert [row["name"] for row in rows] == [fault.name for fault in FAULTS if fault.quick]
    missed = [f"{row['title']}: {target}" for row in rows for target in row["targets"] if not target["ok"]]
    assert not [*missed, *(sentence for row in rows for sentence in row["broken"])]
    assert ended.returncode == 0


@pytest.mark.usefixtures("namespaces")
def test_cables_are_cut_and_mended_and_nothing_is_left_when_all_is_killed() -> None:
    command = ["unshare", "--net", "--", sys.executable, "-m", "tests.hosts.switch"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                if line == "ready\n":
                    break
                said.append(line.strip())
            assert said == [
                "at first yes yes yes",
                "cut no yes",
                "mended yes yes",
                "dropped no yes",
                "mended yes yes",
                "parted yes yes no",
                "together yes",
                "back yes",
            ]
            home = Path(f"/proc/{process.pid}/ns/net").readlink()
            holders = in_namespaces_of_children(process.pid, home)
            assert len(holders) == 2
        finally:
            process.kill()
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() and state(pid) != "Z" for pid in holders):
        assert time.monotonic() < end
        time.sleep(0.02)


def in_namespaces_of_children(parent: int, home: Path) -> list[int]:
    """The children of a process that are in network namespaces of their own."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/ns/net").readlink() != home]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_where_hosts_cannot_be_made_the_run_says_why_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in missing()
    monkeypatch.setenv("PATH", "")
    assert missing().startswith("ip, bridge, nsenter, unshare, sleep")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing() == "network namespaces are Linux's, and this is darwin"


def record(began: float, *, ok: bool = True, kept: bool | None = None, kind: str = "message") -> Record:
    return Record(kind, "", began, 0.1, ok=ok, kept=kept, outcome="200" if ok else "503", deadline=60.0)


def row(name: str, records: Sequence[Record], *, report: Report | None = None, **seen: object) -> Row:
    whole = report or Report("", replies=2)
    return row_of(FAULT[name], whole, records, Seen(2.0, 5.0, 9.0, **seen))  # type: ignore[arg-type]  # as each test says


def not_held(found: Row) -> list[str]:
    return [target.what for target in (*found.targets, *found.timed) if not target.ok]


GOOD = [record(n / 4) for n in range(36)]


def test_what_is_as_it_should_be_passes() -> None:
    assert row("front-dropped", GOOD).ok
    assert row("upgrade-generation", GOOD, versions={"generation": "2", "generation-2": "2"}, version="2").ok


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (row("front-lost", GOOD, report=Report("", replies=2, wrong=["reply 1: differs"])), "every reply exact"),
        (row("front-lost", GOOD, report=Report("")), "every reply exact"),
        (row("rooms-lost", [*GOOD, record(3.0, ok=False, kept=False)]), "every message answered in the end"),
        (
            row("front-lost", [*GOOD, record(3.0, ok=False, kept=False, kind="read")]),
            "99.9 % of all answered in the end",
        ),
        (row("front-lost", GOOD, opened=["gateway->search/read"]), "no circuit opens elsewhere: the other one is well"),
        (
            row("front-lost", [record(n / 4, ok=n % 4 > 0, kept=True) for n in range(36)]),
            "all well 10 s after the healing",
        ),
        (
            row("upgrade", GOOD, versions={"cache": "1", "jobs": "2"}, version="2"),
            "what was replaced is of the new build",
        ),
        (row("upgrade", GOOD, version="2"), "what was replaced is of the new build"),
        (row("stores-dropped", GOOD, died=["library: gone"]), "nothing ended that should run"),
        (row("front-cut", GOOD, leaked=["1 stream"]), "nothing left behind"),
    ],
)
def test_targets_fail_by_what_they_name(found: Row, what: str) -> None:
    assert not found.ok
    assert not_held(found) == [what]


def test_what_nobody_could_have_answered_in_time_is_told_and_does_not_count() -> None:
    left = Record("message", "create-stream", 3.0, 0.1, kept=False, outcome="503", deadline=10.0)
    found = row("rooms-lost", [*GOOD, left])
    assert found.ok
    assert found.given_up == ["create-stream, 1.0 s after the fault: 503; given up after 0.0 s, "]


def test_circuits_of_hosts_that_are_cut_off_may_open() -> None:
    opened = ["generation-2->library/ConversationService/unary", "library->search/SearchService/unary"]
    assert row("front-lost", GOOD, opened=opened, cut_off=["generation-2"]).ok
    assert not row("front-lost", GOOD, opened=opened, cut_off=["generation"]).ok


def test_a_front_has_another_one_and_the_rest_have_not() -> None:
    assert [fault.name for fault in FAULTS if fault.redundant] == [
        "front-dropped",
        "front-cut",
        "front-lost",
        "front-from-rooms",
        "upgrade-generation",
    ]
    assert {fault.kind for fault in FAULTS} == set(Kind)
