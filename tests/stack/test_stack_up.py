"""``gaji up``: one command, all of it, and nothing left behind."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.api import Gateway
from stack.sessions import GuestSession
from stack.shelf import ingest
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, clean_environment, start_stack
from tests.search.stories import STORY

WORKERS = {"worker-high", "worker-low", "embedding-worker"}
SERVICES = {"postgres", "valkey", "cache", "search", "library", "generation", "jobs", "gateway", *WORKERS}


def descendants(root: int) -> set[int]:
    """The processes that a process started, and those that they started."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found - {root}


def alive(pids: set[int]) -> set[int]:
    running = set()
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                running.add(pid)
        except OSError:
            continue
    return running


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"nothing came of it within {seconds:g} s")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def story() -> Iterator[RunningStack]:
    """A stack that is restarted, crashed and killed by the tests of this module."""
    with (
        temporary_folder() as folder,
        start_stack(
            folder / "data",
            "--no-sample",
            "--replicas",
            "generation=2,gateway=2,worker-low=2",
            "--embedding-workers",
            "1",
        ) as running,
    ):
        running.wait_for_workers()
        running.wait_for("✓ embedding-worker ")
        yield running


def test_state_names_every_process(story: RunningStack) -> None:
    services = story.state["services"]
    assert set(services) == SERVICES
    assert {name: len(replicas) for name, replicas in services.items() if len(replicas) > 1} == {
        "generation": 2,
        "gateway": 2,
        "worker-low": 2,
    }
    pids = {entry["pid"] for replicas in services.values() for entry in replicas}
    assert pids == alive(pids)
    assert story.state["gateway"] == services["gateway"][0]["url"]
    assert {tuple(entry) for name in WORKERS for entry in services[name]} == {("pid", "admin")}
    for entry in [*services["generation"], *services["gateway"], *services["worker-low"]]:
        assert httpx.get(f"http://{entry['admin']}/metrics").status_code == 200
    for entry in services["gateway"]:
        assert httpx.get(f"{entry['url']}/ready").status_code == 200


def test_passwords_are_told_to_nobody(story: RunningStack) -> None:
    told: dict[str, set[str]] = {}
    for file in sorted((story.data_dir / "secrets").glob("*-password")):
        password = file.read_text()
        state = json.dumps(story.state)
        assert password not in state + story.output
        for pid in descendants(story.process.pid):
            with suppress(OSError):  # a connection's process may have ended meanwhile
                assert password not in Path(f"/proc/{pid}/cmdline").read_text()
        environments = {
            name: Path(f"/proc/{replicas[0]['pid']}/environ").read_text()
            for name, replicas in story.state["services"].items()
        }
        told[file.stem.removesuffix("-password")] = {name for name, text in environments.items() if password in text}
    each = {f"valkey-{name}": {name} for name in ("cache", "library", "generation", "jobs", "gateway", "search")}
    assert told == {
        **each,
        "valkey-worker": {"worker-high", "worker-low"},
        "valkey-embedding": {"embedding-worker"},
        "valkey": set(),
        "postgres": {"library"},
        "postgres-library": {"library"},
        "postgres-admin": set(),
    }


def test_passages_are_read_by_the_worker_for_them(story: RunningStack, tmp_path: Path) -> None:
    with Gateway(story.url, GuestSession(story.url, tmp_path)) as gateway:
        novel = ingest(gateway, {"title": "The Lamp", "text": STORY}, lambda *_: None)
    assert novel["passages"] > 0
    [entry] = story.state["services"]["embedding-worker"]
    told = httpx.get(f"http://{entry['admin']}/metrics").text
    assert re.search(r'^gaji_search_worker_batches_total\{.*result="read"\} [1-9]', told, re.MULTILINE)


def test_what_dies_comes_back_on_its_ports(story: RunningStack) -> None:
    for service in ("generation", "gateway", "worker-high", "postgres", "valkey"):
        before = story.state["services"][service][0]
        os.kill(before["pid"], signal.SIGKILL)
        until(partial(_replaced, story, service, before["pid"]))
        after = story.state["services"][service][0]
        assert {**after, "pid": 0} == {**before, "pid": 0}
    until(lambda: _ready(story.url))


def test_one_stack_a_folder(story: RunningStack) -> None:
    with start_stack(story.data_dir.parent / "data", ready=False) as second:
        assert second.process.wait(60) == 1
        assert f"another stack runs on {story.data_dir} (pid" in second.output
    assert _ready(story.url)


def test_a_taken_port_is_said(story: RunningStack, server_folder: Path) -> None:
    port = int(story.url.rpartition(":")[2])
    with start_stack(server_folder / "data", port=port, ready=False) as second:
        assert second.process.wait(60) == 1
        assert f"port {port} of 127.0.0.1 is taken" in second.output
        assert "gaji up --port" in second.output


@pytest.mark.timeout(300)
def test_neither_kill_nor_stop_leaves_a_process_or_loses_data(server_folder: Path) -> None:
    with start_stack(server_folder / "data", "--no-sample") as running:
        running.wait_for_workers()
        pids = descendants(running.process.pid)
        assert len(pids) >= len(SERVICES)
        me = whoami(running.url, server_folder / "sessions")
        running.process.kill()
        running.process.wait()
        until(lambda: not alive(pids), 10)
    with start_stack(server_folder / "data", "--no-sample") as running:
        assert whoami(running.url, server_folder / "sessions") == me
        running.wait_for_workers()
        pids = descendants(running.process.pid)
        assert running.stop() == 0
        assert not alive(pids)
        assert not (server_folder / "data" / "run" / "stack.json").exists()


def test_a_service_that_cannot_start_ends_it_with_its_words(server_folder: Path) -> None:
    with start_stack(server_folder / "data", ready=False, env={"GAJI_SCRIPTED_TOKENS": "many"}) as running:
        assert running.process.wait(100) == 1
        assert "gaji: generation cannot start: bad settings: GAJI_SCRIPTED_TOKENS: " in running.output
        assert "Traceback" not in running.output


def test_the_environment_of_tests_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_PROVIDER", "local")
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert not {"GAJI_PROVIDER", "GEMINI_API_KEY"} & set(clean_environment(tmp_path))


def whoami(url: str, sessions: Path) -> Any:
    """The guest that a folder remembers, whatever port the gateway has."""
    with httpx.Client(base_url=url) as http:
        token = GuestSession("http://same", sessions).token(http)
        answer = http.get("/api/users/me", headers={"Authorization": f"Bearer {token}"})
        return answer.raise_for_status().json()


def _replaced(stack: RunningStack, service: str, pid: int) -> bool:
    return bool(stack.state["services"][service][0]["pid"] != pid)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.HTTPError:
        return False
