"""Lets readers get a reply each, wait on open streams, and search, and prints what each costs every process.

Usage: python -m benchmarks.cost [--replies N] [--readers N] [--searches N]. Linux only (it reads /proc); loopback only;
ends by itself in about two minutes. CPU is that of the processes, user and system, less what they take when nothing
happens; it depends little on what else the machine does, but not on nothing.
"""

import argparse
import asyncio
import os
import platform
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.cpu import cpu_seconds
from benchmarks.fanout.__main__ import connect
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.world import Client, World
from benchmarks.relay.load import Reader

TOKENS = 200
RATE = 20.0
SERVICES = ("gateway", "generation", "library", "search", "cache", "jobs", "valkey", "postgres")
_SECONDS = 120.0
_IDLE_SECONDS = 5.0


class Spent:
    """What processes and stores have taken between two moments.

    Attributes:
        seconds: of CPU, by service.
        memory: bytes of resident set that each has more than before, by service.
        commands: of Valkey.
        kept: bytes that Valkey holds more than before.
        lasted: seconds of the clock.
    """

    def __init__(self, stack: Stack) -> None:
        self._pids = {service: stack.replicas(service)[0].pid for service in SERVICES}
        self._stack = stack
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self.commands = self.kept = self.lasted = 0.0

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """What happens in the block."""
        began, before, stores = time.monotonic(), self._now(), await self._stores()
        yield
        after, then = self._now(), await self._stores()
        self.lasted = time.monotonic() - began
        for service in SERVICES:
            self.seconds[service] = after[service][0] - before[service][0]
            self.memory[service] = after[service][1] - before[service][1]
        self.commands, self.kept = (new - old for new, old in zip(then, stores, strict=True))

    def _now(self) -> dict[str, tuple[float, float]]:
        found = {}
        for service, pid in self._pids.items():
            # PostgreSQL has a process for each connection.
            every = [pid, *_children(pid)] if service == "postgres" else [pid]
            found[service] = (sum(map(cpu_seconds, every)), _resident(pid))
        return found

    async def _stores(self) -> tuple[float, float]:
        async with Redis.from_url(self._stack.valkey_url()) as redis:
            stats, memory = await redis.info("stats"), await redis.info("memory")
        return float(stats["total_commands_processed"]), float(memory["used_memory"])


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * float(resource.getpagesize())


async def measure(replies: int, readers: int, searches: int) -> None:
    """Measures and prints.

    Raises:
        RuntimeError: a reader was not sent what it should.
    """
    console = Console(width=120)
    async with running_stack("gateway=1", tokens=TOKENS, rate=RATE) as stack, Client(stack.gateways) as client:
        world = await World(client).make()
        port = urlsplit(stack.gateways[0]).port or 80
        # First of all: memory that a process has had once, it keeps.
        waiting = Spent(stack)
        held: list[Reader] = []
        async with waiting.measured(), asyncio.timeout(_SECONDS):
            path = world.question(await world.conversation(), 1)[1]
            held = [await connect(port, path, client.token) for _ in range(readers)]
            await asyncio.sleep(2)
        bytes_each = waiting.memory["gateway"] / readers
        console.print(
            f"an open stream: {bytes_each / 1024:.1f} KiB of the gateway, of {readers} readers of one reply",
            highlight=False,
        )
        await asyncio.gather(*(stream.ended for stream in held))

        conversations = [await world.conversation() for _ in range(replies)]
        idle = Spent(stack)
        async with idle.measured():
            await asyncio.sleep(_IDLE_SECONDS)
        spent = Spent(stack)
        async with spent.measured(), asyncio.timeout(_SECONDS):
            paths = [world.question(conversation, 1)[1] for conversation in conversations]
            streams = [await connect(port, path, client.token) for path in paths]
            await asyncio.gather(*(stream.ended for stream in streams))
            await asyncio.sleep(1)  # until the last end is stored
        events = sum(stream.events for stream in streams)
        if events < replies * TOKENS / 2:
            raise RuntimeError(f"{replies} readers were sent {events} events")
        title = f"{replies} replies of {TOKENS} tokens at {RATE:g} a second, all at once, a reader each"
        _report(console, title, spent, idle, {"reply": replies, "event": events})

        looked = Spent(stack)
        async with looked.measured(), asyncio.timeout(_SECONDS):
            for number in range(searches):
                body = {"novel_id": world.novel_id, "query": f"the light that burned {number} times"}
                await client.ask("POST", "/api/search/passages", body)
        _report(
            console, f"{searches} searches, none asked before, one after the other", looked, idle, {"search": searches}
        )
        memory = {service: _resident(stack.replicas(service)[0].pid) / 2**20 for service in SERVICES}
        console.print(
            "resident memory at the end, MiB: " + ", ".join(f"{name} {mib:.0f}" for name, mib in memory.items()),
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f}",
        highlight=False,
    )


def _report(console: Console, title: str, spent: Spent, idle: Spent, counts: dict[str, int]) -> None:
    table = Table(title=title)
    table.add_column("process")
    for what in counts:
        table.add_column(f"CPU each {what}", justify="right")
    share = spent.lasted / idle.lasted
    for service in SERVICES:
        seconds = max(0.0, spent.seconds[service] - idle.seconds[service] * share)
        table.add_row(service, *(f"{seconds / count * 1e6:,.0f} us" for count in counts.values()))
    console.print(table)
    first = next(iter(counts.values()))
    console.print(
        f"each: {(spent.commands - idle.commands * share) / first:.1f} commands of Valkey (those in scripts counted), "
        f"{spent.kept / first / 1024:.1f} KiB kept by Valkey",
        highlight=False,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replies", type=int, default=100)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--searches", type=int, default=200)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    uvloop.run(measure(options.replies, options.readers, options.searches))


if __name__ == "__main__":
    main()
