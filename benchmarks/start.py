"""How long ``gaji up`` takes until all is ready, and how much of the processors, warm: on data that it has made.

Beside the seconds, which depend on what else the machine does, it tells the CPU time of all processes up to ready,
which does so less. ``--against PATH`` starts another checkout, with a ``.venv`` of its own, in turn with this one.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.results import Results, Spread, machine, options, turns

_HERE = Path(__file__).parents[1]
_SECONDS = 300.0
_POLL_SECONDS = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout, with its .venv")
    arguments = parser.parse_args()
    trees = {"this": _HERE} | ({"against": arguments.against.resolve()} if arguments.against else {})
    results = Results("start", machine())
    seconds: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="gaji-start-") as folder:
        for turn, name in turns(trees, 1 if arguments.quick else arguments.rounds):
            ready, used = _start(trees[name], Path(folder) / name)
            if turn >= 0:  # -1 makes the data
                seconds[name].append(ready)
                cpu[name].append(used)
    rows = [[name, Spread.of(seconds[name]).text(2), Spread.of(cpu[name]).text(2)] for name in trees]
    results.table("From the command to ready, warm", ("checkout", "seconds", "CPU seconds of all"), rows)
    if arguments.against:
        ratio = Spread.of_ratios(cpu["this"], cpu["against"]).text(2)
        results.notes.append(f"CPU of this checkout, of the other's: {ratio}")
    results.raw = {"ready_s": dict(seconds), "cpu_to_ready_s": dict(cpu)}
    results.finish(arguments.json)


def _start(tree: Path, data_dir: Path) -> tuple[float, float]:
    """Starts a stack and stops it; returns the seconds until it was ready, and the CPU seconds of its processes."""
    data_dir.mkdir(exist_ok=True, parents=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GAJI_") and not k.endswith("_API_KEY")}
    output = data_dir / "up.out"
    began = time.monotonic()
    with output.open("wb") as told:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [tree / ".venv/bin/python", "-m", "stack.cli", "up", "--port", "0", "--data-dir", data_dir, "--no-sample"],
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            env={**kept, "GAJI_PROVIDER": "scripted", "XDG_CONFIG_HOME": str(data_dir / "config")},
        )
    try:
        while b"ready: " not in output.read_bytes():
            if process.poll() is not None or time.monotonic() - began > _SECONDS:
                raise SystemExit(f"gaji up of {tree} is not ready:\n{output.read_text()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began, _cpu(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _cpu(root: int) -> float:
    """Seconds of user and system of a process, of those below it, and of those that these have waited for."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(map(int, fields[11:15])) / _TICKS
    ours, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours, grown = ours | more, bool(more)
    return sum(used[pid] for pid in ours)


if __name__ == "__main__":
    main()
