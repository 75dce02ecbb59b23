"""What connections take of memory, in a process and in the kernel (proc(5))."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PAGE_KIB = 4


@dataclass(frozen=True, slots=True)
class Memory:
    """How it stands.

    Attributes:
        rss_kib: resident memory of a process.
        kernel_kib: the kernel's objects and the buffers of its TCP connections, of the whole machine.
        files: how many the process has open.
    """

    rss_kib: int
    kernel_kib: int
    files: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """A process now."""
        slab = _number(Path("/proc/meminfo").read_text(), "Slab:")
        buffers = int(Path("/proc/net/sockstat").read_text().partition("TCP:")[2].split()[9])
        rss = _number(Path(f"/proc/{pid}/status").read_text(), "VmRSS:")
        return cls(rss, slab + buffers * _PAGE_KIB, len(list(Path(f"/proc/{pid}/fd").iterdir())))


def _number(text: str, name: str) -> int:
    return int(text.partition(name)[2].split()[0])
