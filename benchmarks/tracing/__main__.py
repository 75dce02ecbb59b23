"""CPU of a gateway and of the service behind it: tracing off, at 1 % and at 100 %, in turn.

Usage: python -m benchmarks.tracing [--minutes N] [--requests N] [--streams N] [--spans]. Linux only (it reads /proc);
loopback only. Each mode has a gateway and a service of its own, and all export to one receiver; the modes take turns
in each round, in another order each time, and a row is the median of the rounds' ratios. The service does nothing else
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

from benchmarks.relay.load import CONVERSATION, Load, Reader, request_for
from benchmarks.tokens import key_pair, sign
from benchmarks.tracing.parts import measure_spans

MODES = {"off": None, "1 %": "0.01", "100 %": "1"}
_CONCURRENT = 16
_FEWEST_ROUNDS = 3
_SETTLE_SECONDS = 0.4
"""So long after a load its last spans have been exported."""


@dataclass(frozen=True, slots=True)
class Side:
    """A gateway and the service behind it."""

    port: int
    pids: tuple[int, int]


@asynccontextmanager
async def process(*command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[tuple[str, int]]:
    """A child that is ended on leaving: the first line that it prints, and its pid."""
    child = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert child.stdout
        async with asyncio.timeout(60):
            line = await child.stdout.readline()
        yield line.decode().strip(), child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, in nanoseconds' resolution (proc(5), schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@asynccontextmanager
async def sides(work: Path) -> AsyncIterator[tuple[dict[str, Side], str]]:
    """A side for each mode, and a token."""
    private, public = key_pair(work)
    async with AsyncExitStack() as stack:
        receiver, _ = await stack.enter_async_context(process(sys.executable, "-m", "benchmarks.tracing.receiver"))
        opened = {}
        for name, ratio in MODES.items():
            env = {"GAJI_RATE_LIMIT": "0", "GAJI_MAX_STREAMS_PER_USER": "0", "GAJI_MAX_CONNECTIONS_PER_ADDRESS": "0"}
            if ratio is not None:
                env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver}"}
                env |= {"OTEL_TRACES_SAMPLER_ARG": ratio, "OTEL_BSP_SCHEDULE_DELAY": "100"}
            upstream, service = await stack.enter_async_context(
                process(sys.executable, "-m", "benchmarks.tracing.upstream", str(public), env=env)
            )
            env |= {"GAJI_GENERATION_TARGET": upstream, "GAJI_JWT_PUBLIC_KEY_FILE": str(public)}
            address, gateway = await stack.enter_async_context(
                process(sys.executable, "-m", "benchmarks.tracing.gateway", env=env)
            )
            opened[name] = Side(int(address.rpartition(":")[2]), (gateway, service))
        yield opened, sign(private)


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
    """Streams of so many tokens, 100 a second; returns how many events came."""
    request = request_for(Load("paced", count, tokens, 10), token)
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
        async with sides(Path(folder)) as (opened, token):
            loads: dict[str, Callable[[Side], Awaitable[int]]] = {
                "request (one call)": lambda side: unary(side, token, requests),
                "event of a stream (100 events each)": lambda side: streams(side, token, count, 99),
            }
            end = time.monotonic() + minutes * 60
            for turn in itertools.count():  # the first is the warm-up and does not count
                if turn > _FEWEST_ROUNDS and time.monotonic() >= end:
                    break
                for load, run in loads.items():
                    for mode in random.sample(list(opened), len(opened)):
                        side = opened[mode]
                        before = sum(map(cpu_seconds, side.pids))
                        done = await run(side)
                        await asyncio.sleep(_SETTLE_SECONDS)
                        spent = (sum(map(cpu_seconds, side.pids)) - before) / done * 1e6
                        if turn:
                            took.setdefault(load, {}).setdefault(mode, []).append(spent)
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return took


def interval(count: int) -> tuple[int, int]:
    """The ranks between which the median of so many sorted values lies with 95 % (the sign test)."""
    reach = 0.98 * count**0.5
    return max(0, round(count / 2 - reach)), min(count - 1, round(count / 2 + reach - 1))


def report(took: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Prints the medians."""
    print("CPU of gateway and service together; of off: the median of the rounds' ratios (its 95 % interval)")
    for load, modes in took.items():
        for mode in MODES:
            ratios = sorted(a / b for a, b in zip(modes[mode], modes["off"], strict=True))
            low, high = interval(len(ratios))
            middle = statistics.median(ratios) - 1
            share = f"{middle:+7.1%}  ({ratios[low] - 1:+.1%} to {ratios[high] - 1:+.1%})" if mode != "off" else ""
            print(f"{load:38} {mode:>6}  {statistics.median(modes[mode]):7.1f} us  {share}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--streams", type=int, default=10)
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
