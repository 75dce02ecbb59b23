"""What a channel of the mesh adds to a gRPC call: the CPU of the calling process, against a bare grpc.aio call.

Usage: python -m benchmarks.calls.channel [--calls N] [--rounds N]. Loopback only; ends by itself in about a minute. The
server is a process of its own; the ways take turns in each round, and a row is the median of the rounds' ratios.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import uvloop
from gaji.cache.v1 import cache_service_pb2 as pb

from benchmarks.calls.server import MESSAGES
from mesh import deadlines
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.telemetry import trace

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
STATS = "/gaji.cache.v1.CacheService/GetStats"
WATCH = "/gaji.cache.v1.CacheService/WatchInvalidations"
_SECONDS = 120.0

Way = Callable[[int], Awaitable[None]]


class OpenGate:
    """A gate that does nothing: what asking costs, without what a breaker does."""

    def acquire(self, method: str) -> "OpenGate":
        """Lets it through."""
        return self

    def end(self, code: grpc.StatusCode | None, seconds: float) -> None:
        """Hears nothing."""

    def observe(self, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Likewise."""


def unary_way(channel: grpc.aio.Channel) -> Way:
    """Calls one after the other."""
    call: Any = channel.unary_unary(STATS)

    async def run(count: int) -> None:
        for _ in range(count):
            await call(b"", timeout=10)

    return run


def stream_way(channel: grpc.aio.Channel) -> Way:
    """Streams of a hundred messages, as many messages together as calls are asked for."""
    call: Any = channel.unary_stream(WATCH)

    async def run(count: int) -> None:
        for _ in range(count // MESSAGES):
            async for _ in call(b"", timeout=10):
                pass

    return run


async def measure(target: str, calls: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each way in each round."""
    settings = MeshSettings()
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(grpc.aio.insecure_channel(target))
        mesh = await stack.enter_async_context(open_channel(target, settings, [CACHE]))
        gated = await stack.enter_async_context(open_channel(target, settings, [CACHE], gate=OpenGate()))
        channels = {"grpc.aio": bare, "mesh": mesh, "mesh, with a gate": gated}
        ways = {f"call: {name}": unary_way(channel) for name, channel in channels.items()}
        ways.update({f"message of a stream: {name}": stream_way(channel) for name, channel in channels.items()})
        took: dict[str, list[float]] = {name: [] for name in ways}
        trace.enter()
        for way in ways.values():
            await way(calls // 5)
        for _ in range(rounds):
            for name, way in ways.items():
                started = time.process_time()
                with deadlines.scope(_SECONDS):  # as in a call that is being answered
                    await way(calls)
                took[name].append(time.process_time() - started)
    return took


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.calls.server"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout
        bare = server.stdout.readline().split()[0]
        took = uvloop.run(measure(bare, arguments.calls, arguments.rounds))
    finally:
        server.terminate()
        server.wait(10)
    print(f"{arguments.rounds} rounds of {arguments.calls:,}; CPU of the caller")
    for name, seconds in took.items():
        base = took[f"{name.partition(':')[0]}: grpc.aio"]
        ratio = statistics.median(a / b for a, b in zip(seconds, base, strict=True))
        print(f"{name:40} {statistics.median(seconds) / arguments.calls * 1e6:7.1f} us  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
