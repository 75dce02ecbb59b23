"""CPU time of processes, for benchmarks that compare what a small thing costs."""

from collections.abc import Iterable
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, user and system, in nanoseconds' resolution (proc(5), schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except FileNotFoundError:  # it has just ended
            continue
    return total / 1e9


def together(pids: Iterable[int]) -> float:
    """That of several processes."""
    return sum(map(cpu_seconds, pids))
