"""CPU of a gateway and of the service behind it: tracing off, at 1 % and at 100 %, in turn.

Usage: python -m benchmarks.tracing [--minutes N] [--requests N] [--streams N] [--spans]. Linux only (it reads /proc);
loopback only. One gateway and one service, which switch between the modes as they run: two processes differ by more
than tracing costs. In each round each mode has its turn, in another order each time and for a moment only, and what it
has recorded is exported before the next one's; a row is the median of the rounds' ratios. The service does nothing else
for a request, so that shares are as large as they can be. With --spans it measures what a span costs instead, through
these modules, through OpenTelemetry's messages and through its SDK.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.cpu import cpu_seconds
from benchmarks.relay.load import CONVERSATION, Load, Reader, request_for
from benchmarks.tokens import key_pair, sign
from benchmarks.tracing.modes import FLUSH, OFF, RATIOS
from benchmarks.tracing.parts import measure_spans

_CONCURRENT = 16
_FEWEST_ROUNDS = 3


class Child:
    """A process that obeys `benchmarks.tracing.modes`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode().strip()

    async def do(self, word: str) -> None:
        """Has it do something, and waits until it has."""
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n".encode())
        assert await self.line() == word


@asynccontextmanager
async def started(*command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """A child that is ended on leaving."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env={**os.environ, **(env or {})}, stdin=pipe, stdout=pipe, stderr=_NOWHERE
    )
    try:
        yield Child(child)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


_NOWHERE = asyncio.subprocess.DEVNULL


@dataclass(frozen=True, slots=True)
class Side:
    """What is measured: a gateway at a port and the service behind it."""

    port: int
    children: tuple[Child, Child]

    async def do(self, word: str) -> None:
        """Has both do something."""
        for child in self.children:
            await child.do(word)

    def spent(self) -> float:
        """CPU seconds of both so far."""
        return cpu_seconds(*(child.process.pid for child in self.children))


@asynccontextmanager
async def opened(work: Path) -> AsyncIterator[tuple[Side, str]]:
    """What is measured, and a token."""
    private, public = key_pair(work)
    env = {"GAJI_RATE_LIMIT": "0", "GAJI_MAX_STREAMS_PER_USER": "0", "GAJI_MAX_CONNECTIONS_PER_ADDRESS": "0"}
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(started("benchmarks.tracing.receiver"))
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{await receiver.line()}"}
        service = await stack.enter_async_context(started("benchmarks.tracing.upstream", str(public), env=env))
        env |= {"GAJI_GENERATION_TARGET": await service.line(), "GAJI_JWT_PUBLIC_KEY_FILE": str(public)}
        gateway = await stack.enter_async_context(started("benchmarks.tracing.gateway", env=env))
        address = await gateway.line()
        yield Side(int(address.rpartition(":")[2]), (gateway, service)), sign(private)


async def ask(port: int, request: bytes, count: int) -> None:
    """So many requests on one connection, one after the other.

    Raises:
        RuntimeError: one was refused.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a request was refused: {head.decode()}")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
    writer.close()


async def unary(side: Side, token: str, requests: int) -> int:
    """Requests with one call each; returns how many."""
    path = f"/api/conversations/{CONVERSATION}/messages/{CONVERSATION}:stop"
    headers = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n"
    request = f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode()
    await asyncio.gather(*(ask(side.port, request, requests // _CONCURRENT) for _ in range(_CONCURRENT)))
    return requests // _CONCURRENT * _CONCURRENT


async def streams(side: Side, token: str, count: int, tokens: int) -> int:
    """Streams of so many tokens, 500 a second; returns how many events came."""
    request = request_for(Load("paced", count, tokens, 2), token)
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Reader(request), "127.0.0.1", side.port) for _ in range(count)]
    await asyncio.gather(*(reader.ended for _, reader in made))
    events = sum(reader.events for _, reader in made)
    if events != count * (tokens + 1):
        raise RuntimeError(f"{events} events came, not {count * (tokens + 1)}")
    return events


async def measure(minutes: float, requests: int, count: int) -> dict[str, dict[str, list[float]]]:
    """Load -> mode -> microseconds of CPU for each request or event, by round."""
    took: dict[str, dict[str, list[float]]] = {}
    with TemporaryDirectory() as folder:
        async with opened(Path(folder)) as (side, token):
            loads: dict[str, Callable[[], Awaitable[int]]] = {
                "request (one call)": lambda: unary(side, token, requests),
                "event of a stream (100 events each)": lambda: streams(side, token, count, 99),
            }
            end = time.monotonic() + minutes * 60
            for turn in itertools.count():  # the first is the warm-up and does not count
                if turn > _FEWEST_ROUNDS and time.monotonic() >= end:
                    break
                for load, run in loads.items():
                    for mode in random.sample(list(RATIOS), len(RATIOS)):
                        await side.do(mode)
                        before = side.spent()
                        done = await run()
                        await side.do(FLUSH)
                        spent = (side.spent() - before) / done * 1e6
                        if turn:
                            took.setdefault(load, {}).setdefault(mode, []).append(spent)
    return took


def interval(count: int) -> tuple[int, int]:
    """The ranks between which the median of so many sorted values lies with 95 % (the sign test)."""
    reach = 0.98 * count**0.5
    return max(0, round(count / 2 - reach)), min(count - 1, round(count / 2 + reach - 1))


def report(took: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Prints the medians."""
    rounds = len(next(iter(took.values()))[OFF])
    heads = "median, calmest tenth; median of the ratios (95 %), ratio of the calmest"
    print(f"CPU of gateway and service together, {rounds} rounds: {heads}")
    for load, modes in took.items():
        for mode in RATIOS:
            ratios = sorted(a / b for a, b in zip(modes[mode], modes[OFF], strict=True))
            low, high = interval(len(ratios))
            middle = statistics.median(ratios) - 1
            calm, calm_off = (statistics.quantiles(modes[each], n=10)[0] for each in (mode, OFF))
            share = f"{middle:+7.1%}  ({ratios[low] - 1:+.1%} to {ratios[high] - 1:+.1%})" if mode != OFF else ""
            share += f"  {calm / calm_off - 1:+7.1%}" if mode != OFF else ""
            print(f"{load:38} {mode:>6}  {statistics.median(modes[mode]):7.1f} us  {calm:7.1f} us  {share}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--spans", action="store_true", help="what a span costs, by itself")
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.spans:
        measure_spans()
    else:
        report(uvloop.run(measure(arguments.minutes, arguments.requests, arguments.streams)))
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
