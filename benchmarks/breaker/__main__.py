"""What a closed circuit breaker costs each call: ours against pybreaker, aiobreaker and purgatory, and no breaker.

Usage: python -m benchmarks.breaker [--rounds N] [--calls N]. Each round measures all of them one after the other, in an
order that moves on; what is printed are medians over the rounds, of CPU time, in which other processes hardly show. The
call itself does nothing, so that what is seen is the breaker. Ends by itself in about a minute.
"""

# `suppress` costs as much as some of the breakers that are measured here.
# ruff: noqa: SIM105

import statistics
import time
from importlib.metadata import version

import grpc
import uvloop

from benchmarks.breaker.peers import BrokenError, Call, Calls, aiobreaker_calls, purgatory_calls, pybreaker_calls
from benchmarks.results import Results, Spread, machine, options
from mesh.breaker import Breaker, Breakers, BreakerSettings, State

METHOD = "/gaji.search.v1.SearchService/SearchPassages"
OK, DOWN = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
NAKED, OURS = "no breaker", "gaji"
GOOD, FAILING = "every call good", "every 5th call fails"
Measured = dict[tuple[str, str], list[float]]


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=25)
    parser.add_argument("--calls", type=int, default=10_000)
    arguments = parser.parse_args()
    rounds, calls = (3, 1_000) if arguments.quick else (arguments.rounds, arguments.calls)
    results = Results("breaker", machine("pybreaker", "aiobreaker", "purgatory"))
    report(results, uvloop.run(measure(rounds, calls)), rounds, calls)
    results.finish(arguments.json)


async def good() -> int:
    """A call."""
    return 1


def failing() -> Call:
    """Calls of which each fifth fails."""
    made = 0

    async def call() -> int:
        nonlocal made
        made += 1
        if made % 5 == 0:
            raise BrokenError
        return 1

    return call


def naked() -> Calls:
    """Without a breaker."""

    async def calls(count: int, call: Call) -> None:
        for _ in range(count):
            try:
                await call()
            except BrokenError:
                pass

    return calls


def ours(settings: BreakerSettings) -> Calls:
    """As a channel uses its gate, with the two looks at the clock that tell how long a call took."""
    breakers = Breakers(settings)
    gate = breakers.gate("search")

    async def calls(count: int, call: Call) -> None:
        clock = time.perf_counter
        for _ in range(count):
            permit = gate.acquire(METHOD)
            started = clock()
            try:
                await call()
            except BrokenError:
                permit.end(DOWN, clock() - started)
            else:
                permit.end(OK, clock() - started)
        check(breakers.matching()[0])

    return calls


def check(breaker: Breaker) -> None:
    """It was closed all the while, and counted."""
    now = breaker.snapshot()
    assert now.state is State.CLOSED
    assert not now.transitions
    assert now.calls


async def measure(rounds: int, count: int) -> Measured:
    """Nanoseconds a call, by workload and breaker, of each round."""
    contenders: dict[tuple[str, str], tuple[Calls, Call]] = {}
    for workload, call in ((GOOD, good), (FAILING, failing())):
        made = {
            NAKED: naked(),
            OURS: ours(BreakerSettings()),
            f"{OURS}, window of 60 s": ours(BreakerSettings(window_seconds=60)),
            f"pybreaker {version('pybreaker')}": pybreaker_calls(),
            f"aiobreaker {version('aiobreaker')}": aiobreaker_calls(),
            f"purgatory {version('purgatory')}": await purgatory_calls(),
        }
        contenders |= {(workload, name): (calls, call) for name, calls in made.items()}
    keys = list(contenders)
    results: Measured = {key: [] for key in keys}
    for calls, call in contenders.values():
        await calls(count // 10, call)  # everything is loaded and specialised
    for turn in range(rounds):
        first = turn % len(keys)
        for key in keys[first:] + keys[:first]:
            calls, call = contenders[key]
            started = time.thread_time_ns()
            await calls(count, call)
            results[key].append((time.thread_time_ns() - started) / count)
    return results


def report(results: Results, measured: Measured, rounds: int, count: int) -> None:
    """What each adds to a call, against the bare call of the same round, and ratios to ours."""
    added = {
        (workload, name): [one - bare for one, bare in zip(values, measured[workload, NAKED], strict=True)]
        for (workload, name), values in measured.items()
    }
    rows = []
    for name in dict.fromkeys(name for _, name in measured):
        row = [name]
        for workload in (GOOD, FAILING):
            if name == NAKED:
                row += [f"({statistics.median(measured[workload, name]):,.0f})", ""]
            else:
                cost = Spread.of(added[workload, name])
                row += [cost.text(0), f"{cost.median / statistics.median(added[workload, OURS]):.1f}"]
        rows.append(row)
    title = f"ns added to a call: medians of {rounds} rounds of {count:,} calls (least-most)"
    results.table(title, ("", GOOD, "of ours", FAILING, "of ours"), rows)
    for workload, name in measured:
        results.raw.setdefault(workload, {})[name] = measured[workload, name]


if __name__ == "__main__":
    main()
