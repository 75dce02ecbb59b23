"""What the kernel knows of processes: time on a processor, wake-ups, memory (proc(5), clock_getcpuclockid(3))."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODELS = (".gguf", ".onnx", ".onnx_data", ".safetensors", ".bin.zst", ".model", ".mdl", ".knlm", ".sbg", ".bin")
_PROCESS_CLOCK = 2  # of CPUCLOCK_SCHED, include/linux/posix-timers.h: exact, where /proc/PID/stat counts hundredths
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Thread:
    """What a thread is called and how often it began to wait; each such wait ends with a wake-up."""

    name: str
    waits: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A process at a moment.

    Attributes:
        cpu: seconds on a processor since its start, user and system, all threads.
        threads: those that live, by id.
    """

    cpu: float
    threads: Mapping[int, Thread]


@dataclass(slots=True)
class Memory:
    """What a process has of memory, in bytes.

    Attributes:
        rss: resident.
        pss: the same with shared pages in equal parts with those who share them.
        models: of ``pss``, files of models that are mapped, by name.
    """

    rss: int = 0
    pss: int = 0
    models: dict[str, int] = field(default_factory=dict)


def named(root: int, names: Mapping[int, str]) -> dict[int, str]:
    """Every process from a process down, called as the nearest process above it, or itself, that has a name."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
    found: dict[int, str] = {}
    for pid in parents:
        line = [pid]
        while line[-1] != root and line[-1] in parents:
            line.append(parents[line[-1]])
        if line[-1] == root:
            found[pid] = next(names[above] for above in line if above in names)
    return found


def moments(pids: Iterable[int]) -> dict[int, Moment]:
    """How processes are now; those that have ended are left out."""
    found: dict[int, Moment] = {}
    for pid in pids:
        try:
            found[pid] = Moment(time.clock_gettime(~pid << 3 | _PROCESS_CLOCK), _threads(pid))
        except OSError:
            continue
    return found


def _threads(pid: int) -> dict[int, Thread]:
    found: dict[int, Thread] = {}
    for entry in Path(f"/proc/{pid}/task").iterdir():
        try:
            facts = _fields(entry / "status")
        except OSError:
            continue
        found[int(entry.name)] = Thread(facts["Name"], int(facts["voluntary_ctxt_switches"]))
    return found


def _fields(path: Path) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in path.read_text().splitlines())}


def memory(pid: int) -> Memory:
    """What a process has; nothing: it has ended. Looks at every mapping, so not while anything is measured."""
    found, file = Memory(), ""
    try:
        with Path(f"/proc/{pid}/smaps").open(encoding="utf-8") as mappings:
            for line in mappings:
                name, _, rest = line.partition(" ")
                if not name.endswith(":"):  # the head of a mapping: addresses, rights, offset, device, inode, path
                    parts = line.split(maxsplit=5)
                    file = parts[5].strip() if len(parts) > 5 else ""
                elif name == "Rss:":
                    found.rss += int(rest.split()[0]) * _KIB
                elif name == "Pss:":
                    size = int(rest.split()[0]) * _KIB
                    found.pss += size
                    if size and file.endswith(MODELS):
                        model = os.path.basename(file)  # noqa: PTH119 - of a text that is no path of ours
                        found.models[model] = found.models.get(model, 0) + size
    except OSError:
        return Memory()
    return found
