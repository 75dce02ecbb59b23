"""What a call costs at least, and what the mesh adds on either side; beside it what Redis asks for a GET."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import redis
import redis.asyncio
from gaji.cache.v1 import cache_service_pb2 as pb

from benchmarks.cpu import cpu_seconds
from benchmarks.results import Results, Spread, percentile, turns
from benchmarks.tracing.__main__ import started
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.telemetry import trace
from stack.embedded.valkey import open_valkey

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
STATS = "/gaji.cache.v1.CacheService/GetStats"
MANY = "/gaji.cache.v1.CacheService/LookupMany"
AT_ONCE = 64
GET = "redis.asyncio GET"

Way = Callable[[], Awaitable[object]]


@asynccontextmanager
async def ways() -> AsyncIterator[tuple[dict[str, Way], int]]:
    """What is measured, and the process at the other end of gRPC."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(started("benchmarks.calls.server"))
        bare, ours, path, pid = (await server.line()).split()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gaji-bench-")))
        valkey = await stack.enter_async_context(open_valkey(folder / "valkey"))
        direct = await stack.enter_async_context(redis.asyncio.Redis.from_url(valkey.url, protocol=3))
        blocking = stack.enter_context(redis.Redis.from_url(valkey.url, protocol=3))
        await direct.set("key", b"x" * 1500)
        settings = MeshSettings()
        to_bare = await stack.enter_async_context(grpc.aio.insecure_channel(bare))
        to_path = await stack.enter_async_context(grpc.aio.insecure_channel(path))
        to_ours = await stack.enter_async_context(grpc.aio.insecure_channel(ours))
        mesh_bare = await stack.enter_async_context(open_channel(bare, settings, [CACHE], serving=False))
        mesh_ours = await stack.enter_async_context(open_channel(ours, settings, [CACHE]))
        many: Any = to_bare.stream_stream(MANY)

        async def get() -> object:
            return blocking.get("key")

        yield (
            {
                GET: lambda: direct.get("key"),
                "redis-py GET, blocking": get,
                "message each way, grpc.aio": _echo(many(timeout=600)),
                "call, grpc.aio": _call(to_bare),
                "call, grpc.aio, Unix socket": _call(to_path),
                "call, mesh's channel": _call(mesh_bare),
                "call, mesh's server": _call(to_ours),
                "call, mesh's channel and server": _call(mesh_ours),
            },
            int(pid),
        )


def _call(channel: Any) -> Way:
    call: Any = channel.unary_unary(STATS)
    return lambda: call(b"", timeout=10)


def _echo(stream: Any) -> Way:
    turn = asyncio.Lock()

    async def run() -> object:
        async with turn:  # one outstanding write and read for each call
            await stream.write(b"x")
            return await stream.read()

    return run


async def measure(results: Results, calls: int, rounds: int) -> None:
    """Measures, one after the other and many at once."""
    clock = time.perf_counter_ns
    alone: dict[str, list[list[int]]] = {}
    cpu: dict[str, dict[str, list[float]]] = {"one after the other": {}, f"{AT_ONCE} at once": {}}
    async with ways() as (every, server):
        trace.enter()
        pids = (os.getpid(), server)
        for turn, name in turns(every, rounds):
            way, took = every[name], list[int]()
            before = cpu_seconds(*pids)
            for _ in range(calls):
                began = clock()
                await way()
                took.append(clock() - began)
            middle = cpu_seconds(*pids)

            async def several(way: Way = way) -> None:
                for _ in range(calls // AT_ONCE):
                    await way()

            await asyncio.gather(*(several() for _ in range(AT_ONCE)))
            after = cpu_seconds(*pids)
            if turn >= 0:
                alone.setdefault(name, []).append(took)
                first, second = cpu.values()
                first.setdefault(name, []).append((middle - before) / calls * 1e6)
                second.setdefault(name, []).append((after - middle) / (calls // AT_ONCE * AT_ONCE) * 1e6)
    rows = []
    for name, rounds_of in alone.items():
        every_one = [one / 1000 for took in rounds_of for one in took]
        medians = [percentile(took, 50) for took in rounds_of]
        base = [percentile(took, 50) for took in alone[GET]]
        each = [Spread.of(of[name]).text(0) for of in cpu.values()]
        ratio = Spread.of_ratios(medians, base).text(2)
        rows.append((name, f"{percentile(every_one, 50):,.0f}", f"{percentile(every_one, 99):,.0f}", ratio, *each))
    results.table(
        f"one call: microseconds, {rounds} rounds of {calls:,}; CPU of caller and called together",
        ("", "p50", "p99", "p50 to GET", "CPU, one after the other", f"CPU, {AT_ONCE} at once"),
        rows,
    )
    results.raw["floor"] = {
        "p50_us": {n: [percentile(t, 50) / 1000 for t in r] for n, r in alone.items()},
        "cpu_us": cpu,
    }
