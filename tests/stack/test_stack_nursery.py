"""Processes that the nursery forks are as if they had been executed, and none is left behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack.births import Nursery, open_nursery
from stack.logs import LogFile
from stack.nursery import MOST_BYTES
from stack.processes import Process, Program, running
from tests.stack.test_stack_supervisor import alive, touched, until

NURSLING = """
import json, os, pathlib, signal, sys, time
imported, later = ("mesh.server" in sys.modules, "throttled.asyncio" in sys.modules)
own, mark = pathlib.Path("/proc/self"), pathlib.Path(sys.argv[1])
def words(name): return own.joinpath(name).read_text().rstrip("\\0").split("\\0")
if sys.argv[2:] == ["fail"]: raise RuntimeError("as asked")
if sys.argv[2:]: sys.exit(int(sys.argv[2]))
facts = dict(
    pid=os.getpid(), parent=os.getppid(), session=os.getsid(0), folder=os.getcwd(), argv=sys.argv,
    cmdline=words("cmdline"), environ=words("environ"), env=dict(os.environ), main=__name__, imported=imported,
    later=later,
    threads=len(list(own.joinpath("task").iterdir())), files=sorted(os.listdir("/proc/self/fd"), key=int),
    siblings=len(list(pathlib.Path(f"/proc/{os.getppid()}/task").iterdir())),
    signals=[signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler) for number in (2, 15, 17)],
)
print("spoken", flush=True)
mark.with_suffix(".new").write_text(json.dumps(facts))
mark.with_suffix(".new").rename(mark)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Python finds the nursling."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "nursling.py").write_text(NURSLING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture(scope="module")
async def nursery(modules: Path) -> AsyncIterator[Nursery]:
    """One for all, since what it imports takes a second. When a test has killed it, the next finds another."""
    async with open_nursery(LogFile(modules / "nursery.log")) as opened:
        yield opened


def make(nursery: Nursery, folder: Path, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Program:
    mark = folder / name
    return Program(
        name=name,
        argv=[sys.executable, "-P", "-m", "nursling", str(mark), *arguments],
        log=LogFile(folder / f"{name}.log"),
        ready=touched(mark),
        env={"PYTHONPATH": os.environ["PYTHONPATH"], **(env or {})},
        folder=folder,
        start=nursery.start,
    )


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / name).read_text())
    return facts


async def test_a_child_looks_as_if_it_had_been_executed(nursery: Nursery, tmp_path: Path) -> None:
    program = make(nursery, tmp_path, "one", env={"GREETING": "안녕", "EMPTY": ""})
    async with running(program) as process:
        forked = facts_of(tmp_path, "one")
        assert forked["pid"] == process.pid == forked["session"]
        assert forked["cmdline"] == list(program.argv)
        assert program.env is not None
        assert forked["env"] == dict(program.env)
        assert forked["environ"] == [f"{name}={value}" for name, value in program.env.items()]
        assert forked["folder"] == str(tmp_path)
        assert forked["main"] == "__main__"
        assert Path(forked["argv"][0]).name == "nursling.py"
        assert forked["signals"] == [True, True, True]
        assert forked["files"][:3] == ["0", "1", "2"]
        assert program.log.tail() == ["spoken"]
    assert process.returncode == -signal.SIGTERM


async def test_what_is_shared_is_there_and_nothing_of_it_runs(nursery: Nursery, modules: Path, tmp_path: Path) -> None:
    async with running(make(nursery, tmp_path, "one")):
        forked = facts_of(tmp_path, "one")
    assert (forked["imported"], forked["threads"], forked["siblings"]) == (True, 1, 1)
    assert not (modules / "nursery.log").exists()  # it had nothing to complain of


@pytest.mark.usefixtures("modules")
async def test_what_comes_last_is_read_when_nobody_asks_and_nothing_of_it_runs(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "nursery.log")
    async with open_nursery(log) as nursery, asyncio.timeout(60):
        number, forked = 0, dict[str, Any]()
        while not forked.get("later"):
            number += 1
            async with running(make(nursery, tmp_path, f"{number}")):
                forked = facts_of(tmp_path, f"{number}")
            await asyncio.sleep(0.5)
    assert (number > 1, forked["threads"], forked["siblings"]) == (True, 1, 1)
    assert not log.path.exists()


@pytest.mark.parametrize(("argument", "code", "words"), [("0", 0, ""), ("3", 3, ""), ("fail", 1, "as asked")])
async def test_exit_codes_and_last_words(
    nursery: Nursery, tmp_path: Path, argument: str, code: int, words: str
) -> None:
    process = await Process.start(make(nursery, tmp_path, "short", argument))
    assert await process.wait() == code
    assert words in "\n".join(process.program.log.tail()[-1:])


async def test_a_killed_child_is_known_to_have_been(nursery: Nursery, tmp_path: Path) -> None:
    async with running(make(nursery, tmp_path, "one")) as process:
        os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL


async def test_no_child_has_the_secrets_of_the_stack(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = os.urandom(16).hex()
    monkeypatch.setenv("GEMINI_API_KEY", secret)
    async with open_nursery(LogFile(modules / "spared.log")) as nursery, running(make(nursery, tmp_path, "one")) as one:
        pids = one.pid, facts_of(tmp_path, "one")["parent"]
        assert [await asyncio.to_thread(_found_in, pid, secret.encode()) for pid in pids] == [False, False]


async def test_no_child_has_the_secrets_of_another(nursery: Nursery, tmp_path: Path) -> None:
    secret = os.urandom(16).hex()
    async with (
        running(make(nursery, tmp_path, "one", env={"SECRET": secret})) as one,
        running(make(nursery, tmp_path, "two")) as two,
    ):
        pids = one.pid, two.pid, facts_of(tmp_path, "two")["parent"]
        found = [await asyncio.to_thread(_found_in, pid, secret.encode()) for pid in pids]
    assert found == [True, False, False]


def _found_in(pid: int, text: bytes) -> bool:
    """Whether a process has a text in its memory."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            if "rw" in rights:
                start, end = (int(part, 16) for part in place.split("-"))
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
    return False


async def test_children_end_with_their_nursery_and_the_next_one_serves(nursery: Nursery, tmp_path: Path) -> None:
    first = await Process.start(make(nursery, tmp_path, "one"))
    await first.wait_ready()
    before = facts_of(tmp_path, "one")["parent"]
    os.kill(before, signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL
    await until(lambda: not alive(first.pid))
    async with running(make(nursery, tmp_path, "two")):
        forked = facts_of(tmp_path, "two")
    assert (forked["imported"], forked["parent"] != before) == (True, True)


async def test_a_program_is_executed_when_the_nursery_ends_before_it_answers(nursery: Nursery, tmp_path: Path) -> None:
    async with running(make(nursery, tmp_path, "one")):
        parent = facts_of(tmp_path, "one")["parent"]
    os.kill(parent, signal.SIGSTOP)
    starting = asyncio.create_task(Process.start(make(nursery, tmp_path, "two")))
    await asyncio.sleep(0.05)
    os.kill(parent, signal.SIGKILL)
    process = await starting
    try:
        await process.wait_ready()
        executed = facts_of(tmp_path, "two")
        assert (executed["imported"], executed["parent"]) == (False, os.getpid())
    finally:
        await process.stop()


async def test_an_environment_that_is_too_long_for_it_is_no_hindrance(nursery: Nursery, tmp_path: Path) -> None:
    big = {f"BIG_{number}": "x" * (MOST_BYTES // 4) for number in range(5)}
    async with running(make(nursery, tmp_path, "one", env=big)):
        assert facts_of(tmp_path, "one")["imported"] is False


@pytest.mark.usefixtures("modules")
async def test_what_is_left_ends_with_the_block(tmp_path: Path) -> None:
    async with open_nursery(LogFile(tmp_path / "nursery.log")) as nursery:
        process = await Process.start(make(nursery, tmp_path, "one"))
        await process.wait_ready()
        parent = facts_of(tmp_path, "one")["parent"]
    await until(lambda: not alive(process.pid) and not alive(parent))
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.usefixtures("modules")
async def test_all_die_with_the_one_who_started_them(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from tests.stack.test_stack_nursery import hold; asyncio.run(hold(Path(sys.argv[2])))"
    )
    repository = str(Path(__file__).parents[2])
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", script, repository, str(tmp_path))
    await until((tmp_path / "one").exists)
    forked = facts_of(tmp_path, "one")
    holder.kill()
    await holder.wait()
    await until(lambda: not alive(forked["pid"]) and not alive(forked["parent"]))


async def hold(folder: Path) -> None:
    """Runs a child for ever; the test above kills it."""
    async with (
        open_nursery(LogFile(folder / "nursery.log")) as nursery,
        running(make(nursery, folder, "one")),
    ):
        await asyncio.sleep(600)
