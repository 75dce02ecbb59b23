"""How long a value takes by where it comes from: near, the cache over gRPC, and Valkey asked directly by redis-py.

Usage: python -m benchmarks.cache [--calls N] [--rounds N]. Loopback only: a Valkey and the cache service as processes
of their own, which end with this one, in about half a minute. The ways take turns in each round; percentiles are of all
calls, one after the other, and ratios are medians of the rounds' ratios to the direct GET of the same value. The last
rows are 1,000 equal misses of ten readers at once: how often the value was computed, and after how long all had it.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import redis.asyncio
import uvloop
from gaji.cache.v1 import cache_service_pb2 as pb
from rich.console import Console
from rich.table import Table

from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from mesh.near import NearCache, following_news
from mesh.read_through import ReadThrough, always
from services.search.clients import CacheClient
from stack.embedded.valkey import open_valkey
from stack.logs import LogFile
from stack.ports import Ports
from stack.probes import grpc_serving
from stack.processes import Program, running

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
SIZES = {"a character, 1.5 KB": 1_500, "10 passages, 8 KB": 8_000, "50 passages, 40 KB": 40_000}
DIRECT, NEAR, READ, LOOKUP = "redis-py GET", "near", "read through, over gRPC", "Lookup over gRPC"
_READERS, _CALLERS = 10, 100

Way = Callable[[], Awaitable[object]]
Samples = dict[tuple[str, str], list[list[int]]]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    samples, together = uvloop.run(measured(arguments.calls, arguments.rounds))
    report(samples, together, arguments.calls, arguments.rounds)


async def measured(calls: int, rounds: int) -> tuple[Samples, tuple[int, float]]:
    """Nanoseconds of each call, by value and way, round by round; and the runs and seconds of equal misses."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gaji-bench-")))
        valkey = await stack.enter_async_context(open_valkey(folder / "valkey"))
        address = await stack.enter_async_context(_cache(folder, valkey.url))
        direct = await stack.enter_async_context(redis.asyncio.Redis.from_url(valkey.url, protocol=3))
        channel = await stack.enter_async_context(open_channel(address, MeshSettings(), [CACHE]))
        client, near = CacheClient(channel), NearCache(32_000_000)
        await stack.enter_async_context(following_news(near, client.watch))
        through, plain = ReadThrough(client, near=near, patience=5), ReadThrough(client, patience=5)
        ways: dict[tuple[str, str], Way] = {}
        for name, size in SIZES.items():
            key, value = f"passages:{uuid.uuid4()}:{uuid.uuid4().hex}:10", _text(size)
            await direct.set(key, value)
            while near.get(key) is None:  # until the news is followed
                await through.get(key, _computing(value), always)
                await asyncio.sleep(0.01)
            ways |= {
                (name, DIRECT): lambda key=key: direct.get(key),  # type: ignore[misc]  # mypy infers no default
                (name, LOOKUP): lambda key=key: client.lookup(key, 0, 5),  # type: ignore[misc]  # likewise
                (name, READ): lambda key=key: plain.get(key, _unwanted),  # type: ignore[misc]  # likewise
                (name, NEAR): lambda key=key: through.get(key, _unwanted, always),  # type: ignore[misc]  # likewise
            }
        samples: Samples = {way: [] for way in ways}
        for turn in range(-1, rounds):
            for which, way in ways.items():
                took = await _timed(way, calls)
                if turn >= 0:  # the first warms up
                    samples[which].append(took)
        return samples, await _equal_misses(channel)


async def _timed(way: Way, calls: int) -> list[int]:
    clock, took = time.perf_counter_ns, []
    for _ in range(calls):
        began = clock()
        await way()
        took.append(clock() - began)
    return took


async def _equal_misses(channel: MeshChannel) -> tuple[int, float]:
    runs, value = 0, _text(8_000)

    async def compute() -> bytes:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)  # as a search takes
        return value

    key = f"passages:{uuid.uuid4()}:{uuid.uuid4().hex}:10"
    readers = [ReadThrough(CacheClient(channel), patience=5) for _ in range(_READERS)]
    began = time.perf_counter()
    values = await asyncio.gather(*(reader.get(key, compute) for reader in readers for _ in range(_CALLERS)))
    took = time.perf_counter() - began
    assert set(values) == {value}
    return runs, took


@asynccontextmanager
async def _cache(folder: Path, redis_url: str) -> AsyncIterator[str]:
    address = f"127.0.0.1:{Ports().free()}"
    program = Program(
        name="cache",
        argv=[sys.executable, "-P", "-m", "services.cache"],
        log=LogFile(folder / "cache.log"),
        ready=grpc_serving(address),
        env={
            **os.environ,
            "GAJI_LISTEN": address,
            "GAJI_ADMIN_LISTEN": "127.0.0.1:0",
            "GAJI_REDIS_URL": redis_url,
        },
    )
    async with running(program):
        yield address


def _text(size: int) -> bytes:
    draw = random.Random(size)  # noqa: S311 - no secret
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(2_000)]
    return " ".join(draw.choices(words, k=size // 4)).encode()[:size]


def _computing(value: bytes) -> Callable[[], Awaitable[bytes]]:
    async def compute() -> bytes:
        return value

    return compute


async def _unwanted() -> bytes:
    raise AssertionError("the value is there")


def report(samples: Samples, together: tuple[int, float], calls: int, rounds: int) -> None:
    """Prints the tables."""
    table = Table(title=f"microseconds a value, {rounds} rounds of {calls:,} calls")
    for column in ("value", "from", "p50", "p95", "p99", "ratio to GET"):
        table.add_column(column, justify="left" if column in {"value", "from"} else "right")
    for (value, way), turns in samples.items():
        every = sorted(took for turn in turns for took in turn)
        ratios = [
            statistics.median(turn) / statistics.median(base)
            for turn, base in zip(turns, samples[value, DIRECT], strict=True)
        ]
        percentiles = [every[int(len(every) * part)] / 1000 for part in (0.5, 0.95, 0.99)]
        table.add_row(value, way, *(f"{one:,.1f}" for one in percentiles), f"{statistics.median(ratios):.3f}")
    console = Console(width=100)
    console.print(table)
    runs, took = together
    console.print(
        f"{_READERS * _CALLERS:,} equal misses of {_READERS} readers: computed {runs} x, all had it after"
        f" {took * 1000:,.0f} ms"
    )


if __name__ == "__main__":
    main()
