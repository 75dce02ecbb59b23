"""Starts a stack, lets it rest, and prints what each of its processes costs meanwhile.

Usage: python -m benchmarks.idle [--rounds N] [--seconds S] [--empty] [--provider scripted] [--threads] [--json FILE].
Linux only (it reads /proc); loopback only; ends by itself within two minutes. A stack of the user's own: ``--data-dir
DIR`` looks at the one that runs on that folder instead.

Percent are of one core. A wake-up is a voluntary context switch: a thread that had begun to wait. Memory is looked at
last. "Model" is what is mapped of model files: the system may take it back at any time, and has it once for all. What
else the local model takes (its context, its buffers) is what generation takes less with ``--provider scripted``.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.faults.running import ROOT
from benchmarks.idle.reading import Memory, Moment, memory, moments, named
from benchmarks.results import Results, Spread, machine, options
from stack.processes import wrapped
from stack.state import read_state

SUPERVISOR = "gaji up"
_READY_SECONDS = 90.0  # of a machine with much else to do; mostly ten
_CALM_SECONDS = 45.0
_CALM = 0.1  # of a core, over a look: whatever a start has left to do is done
_LOOK_SECONDS = 3.0
_STOP_SECONDS = 15.0
_MIB = 1024 * 1024


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a round")
    parser.add_argument("--empty", action="store_true", help="without the sample story, of which a new stack reads")
    parser.add_argument("--provider", default="local", choices=("local", "scripted"), help="the model that is there")
    parser.add_argument("--threads", action="store_true", help="wake-ups by thread as well")
    parser.add_argument("--data-dir", type=Path, help="of a stack that runs already, as this user")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 3.0
    uvloop.run(measure(arguments))


async def measure(arguments: argparse.Namespace) -> None:
    """A stack at rest, in rounds."""
    results = Results("idle", machine("celery", "chromadb", "redis", "uvicorn", "xllamacpp"))
    async with resting(arguments) as data_dir:
        names = _names(data_dir)
        rounds = [await _round(names, arguments.seconds) for _ in range(arguments.rounds)]
        kept = {pid: memory(pid) for pid in names}
    _tell_cpu(results, names, rounds)
    if arguments.threads:
        _tell_threads(results, names, rounds)
    _tell_memory(results, names, kept)
    results.raw["provider"] = None if arguments.data_dir else arguments.provider
    results.raw["rounds"] = [_by_name(names, one) for one in rounds]
    results.finish(arguments.json)


@asynccontextmanager
async def resting(arguments: argparse.Namespace) -> AsyncIterator[Path]:
    """The data folder of a stack that has nothing left to do."""
    if arguments.data_dir is not None:
        yield arguments.data_dir
        return
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GAJI_") and not k.endswith("_API_KEY")}
    with TemporaryDirectory(prefix="gaji-idle-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - the stores run as a user of their own where this one is root
        data_dir = Path(folder) / "data"
        command = [sys.executable, "-m", "stack.cli", "up", "--port", "0", "--data-dir", str(data_dir)]
        with (Path(folder) / "up.out").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *wrapped([*command, *(["--no-sample"] if arguments.empty else [])], None, ROOT, signal.SIGTERM),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**kept, "GAJI_PROVIDER": arguments.provider, "NO_COLOR": "1"},
                start_new_session=True,
            )
        try:
            await _calm(process, data_dir, sample=not arguments.empty)
            yield data_dir
        finally:
            await _stopped(process)


async def _calm(process: asyncio.subprocess.Process, data_dir: Path, *, sample: bool) -> None:
    """Waits until a stack is ready and has done what it had to do.

    Raises:
        RuntimeError: it has ended.
        TimeoutError: it is not ready, or does not come to rest.
    """
    async with asyncio.timeout(_READY_SECONDS):
        while read_state(data_dir) is None or (sample and not (data_dir / "sample.json").exists()):
            if process.returncode is not None:
                raise RuntimeError(f"gaji up ended with {process.returncode}")
            await asyncio.sleep(0.1)
    async with asyncio.timeout(_CALM_SECONDS):
        while True:
            names = _names(data_dir)
            before = moments(names)
            await asyncio.sleep(_LOOK_SECONDS)
            after = moments(names)
            spent = sum(one.cpu - before[pid].cpu for pid, one in after.items() if pid in before)
            if after.keys() == before.keys() and spent < _CALM * _LOOK_SECONDS:
                return


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _names(data_dir: Path) -> dict[int, str]:
    """The processes of a stack by pid, each called as its service is: workers have children, PostgreSQL has many.

    Rooms are children of the nursery, which goes by the supervisor's name.
    """
    state = json.loads((data_dir / "run" / "stack.json").read_text())
    root = int(state["pid"])
    services = {int(replica["pid"]): service for service, replicas in state["services"].items() for replica in replicas}
    return named(root, {root: SUPERVISOR, **services})


async def _round(names: Mapping[int, str], seconds: float) -> dict[int, tuple[float, Counter[str]]]:
    """By process: seconds on a processor for each second, and wake-ups a second by thread."""
    before, began = moments(names), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = moments(names), time.monotonic() - began
    return {pid: _grown(before[pid], one, took) for pid, one in after.items() if pid in before}


def _grown(before: Moment, after: Moment, seconds: float) -> tuple[float, Counter[str]]:
    waits: Counter[str] = Counter()
    for number, thread in after.threads.items():
        earlier = before.threads.get(number)
        waits[thread.name] += thread.waits - (earlier.waits if earlier is not None else 0)
    rates = Counter({name: count / seconds for name, count in waits.items()})
    return (after.cpu - before.cpu) / seconds, rates


def _by_name(names: Mapping[int, str], found: Mapping[int, tuple[float, Counter[str]]]) -> dict[str, dict[str, float]]:
    """A round's figures by service."""
    services: dict[str, dict[str, float]] = {}
    for pid, (cpu, waits) in found.items():
        service = services.setdefault(names[pid], {"cpu_percent": 0.0, "wakeups_per_second": 0.0})
        service["cpu_percent"] += 100 * cpu
        service["wakeups_per_second"] += waits.total()
    return services


def _tell_cpu(results: Results, names: Mapping[int, str], rounds: list[dict[int, tuple[float, Counter[str]]]]) -> None:
    told = [_by_name(names, one) for one in rounds]
    rows = []
    for service in dict.fromkeys(names.values()):
        count = list(names.values()).count(service)
        cpu = Spread.of([one.get(service, {}).get("cpu_percent", 0.0) for one in told])
        wakes = Spread.of([one.get(service, {}).get("wakeups_per_second", 0.0) for one in told])
        rows.append([service if count == 1 else f"{service} ({count} processes)", cpu.text(2), wakes.text(0)])
    cpu = Spread.of([sum(service["cpu_percent"] for service in one.values()) for one in told])
    wakes = Spread.of([sum(service["wakeups_per_second"] for service in one.values()) for one in told])
    rows.append(["all", cpu.text(2), wakes.text(0)])
    results.table(f"a stack at rest: medians of {len(rounds)} rounds", ("process", "% of a core", "wake-ups/s"), rows)


def _tell_threads(
    results: Results, names: Mapping[int, str], rounds: list[dict[int, tuple[float, Counter[str]]]]
) -> None:
    threads: Counter[tuple[str, str]] = Counter()
    for one in rounds:
        for pid, (_, waits) in one.items():
            for name, rate in waits.items():
                threads[names[pid], name] += rate / len(rounds)  # type: ignore[assignment]  # likewise
    rows = [[f"{service}: {name}", f"{rate:.1f}"] for (service, name), rate in threads.most_common() if rate >= 0.05]
    results.table("who wakes", ("thread", "a second"), rows)


def _tell_memory(results: Results, names: Mapping[int, str], kept: Mapping[int, Memory]) -> None:
    sums: dict[str, Memory] = {service: Memory() for service in dict.fromkeys(names.values())}
    for pid, one in kept.items():
        total = sums[names[pid]]
        total.rss += one.rss
        total.pss += one.pss
        for model, size in one.models.items():
            total.models[model] = total.models.get(model, 0) + size
    rows = [_memory_row(service, one) for service, one in sums.items()]
    everything = Memory(sum(one.rss for one in sums.values()), sum(one.pss for one in sums.values()))
    for service, one in sums.items():
        everything.models |= {f"{service} {model}": size for model, size in one.models.items()}
    rows.append(_memory_row("all", everything)[:4])
    rows[-1].append("")
    results.table("memory at rest, MiB", ("process", "PSS without models", "models", "RSS", "models' files"), rows)
    results.raw["memory"] = {
        service: {"rss": one.rss, "pss": one.pss, "models": one.models} for service, one in sums.items()
    }


def _memory_row(service: str, one: Memory) -> list[str]:
    models = sum(one.models.values())
    figures = [f"{size / _MIB:,.0f}" for size in (one.pss - models, models, one.rss)]
    return [service, *figures, ", ".join(sorted(one.models))]


if __name__ == "__main__":
    main()
