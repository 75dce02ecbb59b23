"""Lets ever more readers watch one reply and prints what each more costs; the model is asked once, however many read.

Usage: python -m benchmarks.fanout [--readers 1,100,1000] [--rounds N] [--json FILE]. Linux only (it reads /proc);
loopback only; ends by itself in about two minutes. CPU of the processes, user and system, over the whole reply.
"""

import asyncio
import resource
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import httpx
import uvloop

from benchmarks.cpu import cpu_seconds
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.world import Client, World
from benchmarks.relay.load import Reader
from benchmarks.results import Results, Spread, machine, options

TOKENS = 200
RATE = 50.0
SERVICES = ("generation", "gateway")
_SECONDS = 120.0
_AT_ONCE = 32
"""Readers that come at once: a thousand are more than the service takes on, and would be told to come again."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one reply with so many readers took.

    Attributes:
        readers: how many.
        events: that they were sent together.
        seconds: CPU of generation and of the gateway.
        models: how often the model was asked.
    """

    readers: int
    events: int
    seconds: dict[str, float]
    models: float


def main() -> None:
    """Measures and prints."""
    parser = options(__doc__ or "", rounds=3)
    parser.add_argument("--readers", default="1,100,300,1000")
    arguments = parser.parse_args()
    rounds, readers = (1, "1,100") if arguments.quick else (arguments.rounds, arguments.readers)
    counts = [int(part) for part in readers.split(",")]
    figures = Results("fanout", machine("uvicorn", "redis"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    report(uvloop.run(measure(counts, rounds)), rounds, figures)
    figures.finish(arguments.json)


async def measure(counts: Sequence[int], rounds: int) -> list[Result]:
    """One reply for each number of readers, several rounds."""
    results = []
    async with (
        running_stack("gateway=1", tokens=TOKENS, rate=RATE) as stack,
        Client(stack.gateways) as client,
    ):
        world = await World(client).make()
        for _ in range(rounds):
            for count in counts:
                results.append(await one_reply(stack, world, count))  # noqa: PERF401 - they must not run together
    return results


async def one_reply(stack: Stack, world: World, count: int) -> Result:
    """Begins a reply and lets so many readers watch it to its end.

    Raises:
        RuntimeError: readers were not sent the same.
    """
    gateway = stack.gateways[0]
    conversation_id = await world.conversation()
    pids = {service: stack.replicas(service)[0].pid for service in SERVICES}
    models = await model_calls(stack)
    before = {service: cpu_seconds(pid) for service, pid in pids.items()}
    port = urlsplit(gateway).port or 80
    path = f"/api/conversations/{conversation_id}/messages-stream?content=Hello&request_id={uuid.uuid4().hex}"
    async with asyncio.timeout(_SECONDS):
        first = await connect(port, path, world.client.token)
        message_id = await reply_of(world, conversation_id)
        watch = f"/api/conversations/{conversation_id}/messages/{message_id}/events"
        others: list[Reader] = []
        while left := min(_AT_ONCE, count - 1 - len(others)):
            some = [await connect(port, watch, world.client.token) for _ in range(left)]
            others += some
            while not all(reader.first or reader.ended.done() for reader in some):  # noqa: ASYNC110 - they wake nobody
                await asyncio.sleep(0.005)
        await asyncio.gather(*(reader.ended for reader in (first, *others)))
    spent = {service: cpu_seconds(pid) - before[service] for service, pid in pids.items()}
    events = {reader.events for reader in (first, *others)}
    if len(events) != 1:
        raise RuntimeError(f"readers of one reply were sent {sorted(events)} events")
    return Result(count, count * events.pop(), spent, await model_calls(stack) - models)


async def connect(port: int, path: str, token: str) -> Reader:
    """A reader on a bare connection."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(lambda: Reader(request), "127.0.0.1", port)
    return reader


async def reply_of(world: World, conversation_id: str) -> str:
    """The id of the reply that is being written."""
    while True:
        messages = await world.client.messages(conversation_id)
        if messages[-1]["status"] == "MESSAGE_STATUS_PENDING":
            return str(messages[-1]["message_id"])
        await asyncio.sleep(0.02)


async def model_calls(stack: Stack) -> float:
    """How many replies the model has written."""
    admin = stack.replicas("generation")[0].facts["admin"]
    async with httpx.AsyncClient(trust_env=False) as http:
        lines = (await http.get(f"http://{admin}/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("gaji_generations_total{"))


def report(results: Sequence[Result], rounds: int, figures: Results) -> None:
    """Makes the table."""
    by_count: dict[int, list[Result]] = {}
    for result in results:
        by_count.setdefault(result.readers, []).append(result)
    least = min(by_count)
    base = [sum(row.seconds.values()) for row in by_count[least]]
    rows = []
    for count, each in by_count.items():
        spent = [Spread.of([row.seconds[service] for row in each]).text(2, "s") for service in SERVICES]
        more = [(sum(row.seconds.values()) - least_of) for row, least_of in zip(each, base, strict=True)]
        extra, events = count - least, each[0].events / count
        reader = Spread.of([one / extra * 1e3 for one in more]).text(1, "ms") if extra else ""
        event = Spread.of([one / extra / events * 1e6 for one in more]).text(1, "us") if extra else ""
        rows.append((f"{count:,}", f"{max(row.models for row in each):g}", *spent, reader, event))
    figures.table(
        f"readers of one reply of {TOKENS} tokens, {RATE:g} a second; medians of {rounds} rounds (min-max)",
        ("readers", "model calls", "generation", "gateway", "each more reader", "each more reader's event"),
        rows,
    )
    figures.raw["replies"] = [asdict(one) for one in results]


if __name__ == "__main__":
    main()
