"""Children are started in order, restarted when they die, stopped whatever they do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.logs import LogFile
from stack.processes import Program, StartFailedError, running
from stack.supervisor import Child, Policy, Supervisor

SLEEPER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
PARENT = "import subprocess, sys; subprocess.Popen(['sleep', '601']); " + SLEEPER
FAST = Policy(first_pause=0.01, longest_pause=0.05, stop_seconds=4, child_stop_seconds=1)


class Reports:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.deaths: list[tuple[str, str, Sequence[str], float]] = []

    def started(self, child: Child) -> None:
        self.order.append(f"started {child.program.name}")

    def ready(self, child: Child, seconds: float) -> None:
        self.order.append(f"ready {child.program.name}")

    def died(self, child: Child, why: str, lines: Sequence[str], pause: float) -> None:
        self.deaths.append((child.program.name, why, lines, pause))


def touched(path: Path) -> Callable[[int], Awaitable[bool]]:
    async def probe(_pid: int) -> bool:
        return path.exists()  # noqa: ASYNC240 - a quick look

    return probe


def make(
    folder: Path,
    name: str,
    script: str = SLEEPER,
    *,
    needs: Sequence[str] = (),
    seconds: float = 20,
    awaited: bool = True,
) -> Child:
    mark = folder / f"{name}.ready"
    program = Program(
        name=name,
        argv=[sys.executable, "-c", script, str(mark)],
        log=LogFile(folder / f"{name}.log"),
        ready=touched(mark),
        ready_seconds=seconds,
    )
    return Child(name, program, needs, awaited=awaited)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def supervised(*children: Child, policy: Policy = FAST) -> AsyncIterator[tuple[Supervisor, Reports]]:
    reports = Reports()
    supervisor = Supervisor(children, reports, policy=policy)
    try:
        await supervisor.start()
        yield supervisor, reports
    finally:
        await supervisor.stop()


async def test_needs_are_ready_first(tmp_path: Path) -> None:
    async with supervised(make(tmp_path, "store"), make(tmp_path, "room", needs=["store"])) as (_, reports):
        assert reports.order == ["started store", "ready store", "started room", "ready room"]


async def test_a_child_that_dies_comes_back(tmp_path: Path) -> None:
    async with supervised(make(tmp_path, "one"), make(tmp_path, "two")) as (supervisor, reports):
        pids = {child.program.name: pid for child, pid in supervisor.running()}
        os.kill(pids["one"], signal.SIGKILL)
        await until(lambda: reports.order.count("ready one") == 2)
        again = {child.program.name: pid for child, pid in supervisor.running()}
        assert (again["one"] != pids["one"], again["two"] == pids["two"]) == (True, True)
        assert reports.deaths[0][:2] == ("one", "one was killed by signal 9")


async def test_pauses_grow_and_last_words_are_told(tmp_path: Path) -> None:
    child = make(tmp_path, "crasher", SLEEPER.replace("time.sleep(600)", "time.sleep(0.3); sys.exit('no such luck')"))
    async with supervised(child) as (_, reports):
        await until(lambda: len(reports.deaths) >= 4)
    assert [pause for *_, pause in reports.deaths[:4]] == [0.01, 0.02, 0.04, 0.05]
    assert reports.deaths[0][1] == "crasher ended with code 1"
    assert reports.deaths[0][2] == ["no such luck"]


async def test_a_child_that_never_starts_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(
        StartFailedError, match=r"broken ended with code 3 .*\(it said: bad settings\); see .*broken.log"
    ):
        async with supervised(make(tmp_path, "broken", "print('bad settings'); raise SystemExit(3)")):
            pass


async def test_bad_settings_are_not_tried_again(tmp_path: Path) -> None:
    reports = Reports()
    supervisor = Supervisor([make(tmp_path, "wrong", "raise SystemExit(2)")], reports, policy=FAST)
    with pytest.raises(StartFailedError, match="wrong ended with code 2"):
        await supervisor.start()
    await supervisor.stop()
    assert (reports.order, reports.deaths) == (["started wrong"], [])


async def test_a_child_that_the_system_refuses_is_tried_and_told_of(tmp_path: Path) -> None:
    reports = Reports()
    too_long = "#" * 4_000_000  # for a command line
    supervisor = Supervisor([make(tmp_path, "fat", too_long)], reports, policy=FAST)
    with pytest.raises(StartFailedError, match=r"fat cannot be started: .*too long"):
        await supervisor.start()
    await supervisor.stop()
    assert len(reports.deaths) == FAST.first_tries - 1
    assert all("too long" in why for _, why, *_ in reports.deaths)


async def test_workers_are_not_awaited_and_never_given_up(tmp_path: Path) -> None:
    worker = make(tmp_path, "worker", "raise SystemExit(2)", needs=["room"], awaited=False)
    async with supervised(make(tmp_path, "room"), worker) as (_, reports):
        assert reports.order[:2] == ["started room", "ready room"]
        await until(lambda: len(reports.deaths) > FAST.first_tries)
    assert {name for name, *_ in reports.deaths} == {"worker"}


async def test_a_child_that_is_not_ready_in_time_is_stopped(tmp_path: Path) -> None:
    program = make(tmp_path, "slow", "import time; time.sleep(600)", seconds=0.3).program
    with pytest.raises(StackError, match="was not ready within"):
        async with running(program):
            pass


async def test_the_stubborn_are_stopped_too(tmp_path: Path) -> None:
    children = [make(tmp_path, f"stubborn{i}", STUBBORN) for i in range(3)]
    async with supervised(*children) as (supervisor, _):
        pids = [pid for _, pid in supervisor.running()]
    assert not any(map(alive, pids))


async def test_children_of_children_are_not_left_behind(tmp_path: Path) -> None:
    def groups() -> set[int]:
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                found.add(int(fields[2]))
        return found

    async with supervised(make(tmp_path, "parent", PARENT)) as (supervisor, reports):
        [(_, first)] = supervisor.running()
        os.kill(first, signal.SIGKILL)
        await until(lambda: reports.order.count("ready parent") == 2)
        await until(lambda: first not in groups())
        [(_, second)] = supervisor.running()
    await until(lambda: second not in groups())


async def test_children_die_with_the_one_who_started_them(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from tests.stack.test_stack_supervisor import hold; asyncio.run(hold(Path(sys.argv[2])))"
    )
    repository = str(Path(__file__).parents[2])
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", script, repository, str(tmp_path))
    pids_file = tmp_path / "pids"
    await until(pids_file.exists)
    pids = [int(pid) for pid in pids_file.read_text().split()]
    holder.kill()
    await holder.wait()
    await until(lambda: not any(map(alive, pids)))


async def hold(folder: Path) -> None:
    """Runs two children, one of them stubborn, for ever; the test above kills it."""
    async with supervised(make(folder, "one"), make(folder, "two", STUBBORN)) as (supervisor, _):
        new = folder / "pids.new"
        new.write_text(" ".join(str(pid) for _, pid in supervisor.running()))
        new.rename(folder / "pids")
        await asyncio.sleep(600)


async def test_a_stop_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    reports = Reports()
    supervisor = Supervisor([make(tmp_path, "slow", "import time; time.sleep(600)")], reports, policy=FAST)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: bool(reports.order))
    [(_, pid)] = supervisor.running()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await supervisor.stop()
    assert not alive(pid)


async def test_a_second_signal_hurries(tmp_path: Path) -> None:
    policy = Policy(stop_seconds=10_000, child_stop_seconds=10_000)
    async with supervised(make(tmp_path, "stubborn", STUBBORN), policy=policy) as (supervisor, _):
        asyncio.get_running_loop().call_later(0.2, supervisor.hurry)


def test_a_stop_takes_less_than_ten_seconds_by_default() -> None:
    assert Policy().stop_seconds < 10


async def test_a_full_disk_does_not_end_a_child(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"for n in range(5): print(n, flush=True)\nimport pathlib; pathlib.Path({str(mark)!r}).touch()"
    log = LogFile(Path("/dev/full"))
    async with running(Program("wordy", [sys.executable, "-c", script], log, touched(mark))):
        pass
    assert log.tail()[-1] == "4"


def test_logs_have_a_bounded_size(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", max_bytes=100_000)
    writing, pump = log.attach()
    for number in range(100):
        os.write(writing, f"line {number} {'x' * 4000}\n".encode())
    os.close(writing)
    pump.join(10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1"]
    assert all(path.stat().st_size <= 100_000 for path in tmp_path.iterdir())
    assert log.tail()[-1].startswith("line 99 ")
