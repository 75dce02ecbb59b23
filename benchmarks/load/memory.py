"""How much memory and processor the processes of a stack take while something happens (proc(5))."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from benchmarks.faults.running import Stack

EVERY_SECONDS = 2.0


@dataclass(slots=True)
class Course:
    """One process over time.

    Attributes:
        points: seconds since the beginning, and MiB of proportional set size.
        cpu: as a part of one core, over the whole time.
    """

    name: str
    points: list[tuple[float, float]] = field(default_factory=list)
    cpu: float = 0.0

    def level(self, part: int, of: int = 4) -> float:
        """The mean of one of so many equal parts of the time, in MiB."""
        size = max(1, len(self.points) // of)
        chosen = self.points[part * size :][:size]
        return sum(mib for _, mib in chosen) / len(chosen) if chosen else 0.0


class Sampler:
    """Samples until it is stopped.

    Args:
        stack: whose processes.
        services: of them, these.

    Attributes:
        pids: of each process by its name.
        courses: what was seen of each.
    """

    def __init__(self, stack: Stack, *services: str) -> None:
        self.pids = {replica.name: replica.pid for replica in stack.replicas(*services)}
        self.courses = {name: Course(name) for name in self.pids}
        self._began = time.monotonic()
        self._cpu = {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    async def run(self) -> None:
        """Samples every two seconds."""
        while True:
            at = time.monotonic() - self._began
            for name, pid in self.pids.items():
                course = self.courses[name]
                course.points.append((at, await asyncio.to_thread(pss_mib, pid)))
                course.cpu = (cpu_seconds(pid) - self._cpu[name]) / at if at else 0.0
            await asyncio.sleep(EVERY_SECONDS)


def pss_mib(pid: int) -> float:
    """What a process has of memory, shared pages in equal parts with those who share them, in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
