"""Talks with this stack and with the one that it replaces, ever more at once, until replies come too late.

Usage: python -m benchmarks.talks [--rounds N] [--only PART ...] [--quick] [--json FILE]. Linux only (it reads /proc);
loopback only; ends by itself in about eight minutes, with --quick in two. The readers are this process; it shares the
machine with the stacks and says what it took of it. Both stacks run all the time and are measured in turn.
"""

import argparse
import dataclasses
import resource
import time
from collections.abc import Mapping, Sequence

import uvloop
from rich.console import Console

from benchmarks.results import Results, Spread, machine, options, turns
from benchmarks.talks.knee import Knee
from benchmarks.talks.stacks import OURS, REPLACED, STORES, Both, Target, running
from benchmarks.talks.steps import ERROR_SHARE, FIRST_SECONDS, GAP_MS, Step, price, step, way

WORDS = 200
RATE = 50.0
PARTS = ("way", "price", "knee")
_PEERS = ("fastapi", "starlette", "sse-starlette", "uvicorn", "httptools", "httpx", "asyncpg", "redis", "chromadb")
_START = {REPLACED: 20, OURS: 90}
_STEP_SECONDS = 10.0
_KNEE_SECONDS = 330.0  # of one round: what is not found by then is said to be so
_STREAMS = (40, 200)
_WAYS = 100


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=2)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="a part instead of all")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    uvloop.run(measure(arguments)).finish(arguments.json)


async def measure(arguments: argparse.Namespace) -> Results:
    """All parts on the same two stacks."""
    results = Results("talks", machine(*_PEERS))
    quick, console = arguments.quick, Console(width=120, stderr=True)
    words = WORDS // 4 if quick else WORDS
    async with running(words, RATE) as both:
        for target in both.targets.values():  # every question's passages are in the cache from here on
            await way(target, 20)
            await price(both, target, 20, words)
        if "way" in arguments.only:
            await _ways(both, results, 1 if quick else arguments.rounds, _WAYS // (5 if quick else 1))
        if "price" in arguments.only:
            await _prices(both, results, 1 if quick else arguments.rounds, words, _STREAMS[:1] if quick else _STREAMS)
        if "knee" in arguments.only:
            await _knees(both, results, console, quick=quick)
    results.notes.append(
        f"Replies of {words} words, {RATE:g} a second, from one model; readers think half a second to one and a half. "
        "CPU is user and system, of processes. The replaced stack cannot resume, stop or share a reply, limits, counts "
        "and traces nothing."
    )
    return results


async def _ways(both: Both, results: Results, rounds: int, count: int) -> None:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in both.targets}
    for turn, name in turns(both.targets, rounds, warm_up=0):
        del turn
        found[name].append(await way(both.targets[name], count))
    fields = ("post_to_model_p50_ms", "post_to_model_p99_ms", "model_to_reader_p50_ms", "model_to_reader_p99_ms")
    rows = [
        [name, *(Spread.of([one[each] for one in ways]).text(1) for each in fields)] for name, ways in found.items()
    ]
    told = f"{count} one after the other, {rounds} rounds, each its conversation's second, passages in the cache"
    title = f"the way of a message, ms: {told}"
    heads = ("stack", "POST to model p50", "p99", "first word to reader p50", "p99")
    results.table(title, heads, rows)
    results.raw["way"] = found


async def _prices(both: Both, results: Results, rounds: int, words: int, streams: Sequence[int]) -> None:
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    for count in streams:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in both.targets}
        for turn, name in turns(both.targets, rounds, warm_up=0):
            del turn
            found[name].append(await price(both, both.targets[name], count, words))
        raw[str(count)] = found
        whole = {name: [_own(one, both.targets[name]) for one in prices] for name, prices in found.items()}
        rows = [
            [
                name,
                Spread.of(whole[name]).text(0),
                Spread.of_ratios(whole[name], whole[REPLACED]).text(2),
                Spread.of([_others(one, both.targets[name]) for one in prices]).text(0),
                ", ".join(f"{role} {Spread.of([one[role] for one in prices]).median:.0f}" for role in prices[0]),
            ]
            for name, prices in found.items()
        ]
        title = f"CPU a token, us: {count} replies at once, {words} words at {RATE:g} a second; {rounds} rounds"
        results.table(title, ("stack", "its own processes", "of replaced", "stores", "each"), rows)
    results.raw["price"] = raw


def _own(prices: Mapping[str, float], target: Target) -> float:
    """What the processes of a stack take; in which of them a message is stored is each one's own affair."""
    return sum(prices[role] for role in target.pids)


def _others(prices: Mapping[str, float], target: Target) -> float:
    """What the stores take; the model is not of the stacks."""
    return sum(prices.values()) - _own(prices, target) - prices["model"]


async def _knees(both: Both, results: Results, console: Console, *, quick: bool) -> None:
    knees = {name: Knee(start // (4 if quick else 1)) for name, start in _START.items()}
    steps: list[Step] = []
    end = time.monotonic() + (40.0 if quick else _KNEE_SECONDS)
    while time.monotonic() < end and any(knee.wanted for knee in knees.values()):
        for name, knee in knees.items():
            if not (count := knee.wanted):
                continue
            done = await step(both, both.targets[name], count, 3.0 if quick else _STEP_SECONDS, 0)
            knee.tried(count, held=done.held)
            steps.append(done)
            console.print(" ".join(_cells(done)), highlight=False, soft_wrap=True)
    steps.sort(key=lambda one: (one.stack, one.conversations))
    heads = (
        "stack",
        "at once",
        "held",
        "first p50",
        "p99 ms",
        "gap p99",
        "errors",
        "tokens/s",
        "us/token",
        "cores: each",
    )
    results.table("conversations at once", heads, [_cells(one) for one in steps])
    rows = []
    for name, knee in knees.items():
        of = f"{knee.held / knees[REPLACED].held:.1f}" if knees[REPLACED].held else "-"
        rows.append([name, str(knee.held), str(knee.broke or "-"), "yes" if not knee.wanted else "no", of])
    title = (
        f"the knee: first token p99 <= {FIRST_SECONDS:g} s, gap between tokens p99 <= {GAP_MS:g} ms, "
        f"errors <= {ERROR_SHARE:.0%}"
    )
    results.table(title, ("stack", "most that held", "least that did not", "found", "times replaced"), rows)
    results.raw["steps"] = [dataclasses.asdict(one) for one in steps]
    results.raw["knee"] = {name: knee.held for name, knee in knees.items()}


def _cells(one: Step) -> list[str]:
    cores = sorted(one.cpu.items(), key=lambda pair: STORES.index(pair[0]) if pair[0] in STORES else -1)
    return [
        one.stack,
        str(one.conversations),
        "yes" if one.held else "no",
        f"{one.first_token_p50_ms:.0f}",
        f"{one.first_token_p99_ms:.0f}",
        f"{one.gap_p99_ms:.0f}",
        f"{one.error_share:.1%}",
        f"{one.tokens:.0f}",
        f"{one.cpu_per_token_us:.0f}",
        " ".join(f"{role} {cores:.2f}" for role, cores in cores if cores >= 0.01),
    ]


if __name__ == "__main__":
    main()
