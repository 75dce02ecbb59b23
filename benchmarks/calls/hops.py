"""One call over each hop of a real stack: what a request takes through the gateway, and what the room's call alone."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson
from gaji.generation.v1 import generation_service_pb2 as generation
from gaji.generation.v1 import generation_service_pb2_grpc as generation_rpc
from gaji.library.v1 import novel_service_pb2 as library
from gaji.library.v1 import novel_service_pb2_grpc as library_rpc
from gaji.search.v1 import search_service_pb2 as search
from gaji.search.v1 import search_service_pb2_grpc as search_rpc

from benchmarks.cpu import cpu_seconds
from benchmarks.faults.running import Stack, running_stack
from benchmarks.faults.world import Client, World
from benchmarks.results import Results, Spread, percentile, turns
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from services.peers.cache import CacheClient

ROOMS = ("gateway", "library", "search", "generation", "cache")
_QUERY = "the light that burned"

Way = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Hop:
    """A way to a room.

    Attributes:
        way: goes it once.
        rooms: whose CPU it takes; without stores.
    """

    way: Way
    rooms: tuple[str, ...]


class Browser:
    """One connection to a gateway, on which one request follows the other.

    Args:
        url: of the gateway.
        token: of the reader.
    """

    def __init__(self, url: str, token: str) -> None:
        self._where = urlsplit(url)
        self._token = token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "Browser":
        self._reader, self._writer = await asyncio.open_connection(self._where.hostname, self._where.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of an answer that says yes.

        Raises:
            RuntimeError: it says no.
        """
        assert self._reader is not None
        assert self._writer is not None
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        async with asyncio.timeout(10):
            answer = await self._reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            content = await self._reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{method} {path}: {answer.decode()}{content.decode()}")
        return content


@asynccontextmanager
async def _hops(stack: Stack, world: World) -> AsyncIterator[Mapping[str, Hop]]:
    async with AsyncExitStack() as opened:
        browser = await opened.enter_async_context(Browser(stack.gateways[0], world.client.token))
        settings, metadata = MeshSettings(), (("authorization", f"Bearer {world.client.token}"),)

        async def channel(room: str) -> MeshChannel:
            target = stack.replicas(room)[0].facts["grpc"]
            return await opened.enter_async_context(open_channel(target, settings))

        novels = library_rpc.NovelServiceStub(await channel("library"))
        passages = search_rpc.SearchServiceStub(await channel("search"))
        replies = generation_rpc.GenerationServiceStub(await channel("generation"))
        cache = CacheClient(await channel("cache"))
        opened.push_async_callback(cache.close)
        key = f"character:{uuid.uuid4()}"
        leased = await cache.lookup(key, 0, 5)
        await cache.store(key, getattr(leased, "lease_id", ""), b"x" * 1500, 5)
        novel = library.GetNovelRequest(novel_id=world.novel_id)
        query = search.SearchPassagesRequest(novel_id=world.novel_id, query=_QUERY)
        asked = orjson.dumps({"novel_id": world.novel_id, "query": _QUERY})
        messages = f"/api/conversations/{world.conversation_id}/messages"
        stop = generation.StopReplyRequest(conversation_id=world.conversation_id, message_id=world.opening_id)
        yield {
            "library: a novel, through the gateway": Hop(
                lambda: browser.ask("GET", f"/api/novels/{world.novel_id}"), ("gateway", "library")
            ),
            "library: a novel, by gRPC": Hop(lambda: novels.GetNovel(novel, metadata=metadata), ("library",)),
            "search: cached passages, through the gateway": Hop(
                lambda: browser.ask("POST", "/api/search/passages", asked), ("gateway", "search")
            ),
            "search: cached passages, by gRPC": Hop(
                lambda: passages.SearchPassages(query, metadata=metadata), ("search",)
            ),
            "generation: stop of an ended reply, through the gateway": Hop(
                lambda: browser.ask("POST", f"{messages}/{world.opening_id}:stop", b"{}"),
                ("gateway", "generation", "library"),
            ),
            "generation: stop of an ended reply, by gRPC": Hop(
                lambda: replies.StopReply(stop, metadata=metadata), ("generation", "library")
            ),
            "cache: a hit, over the stream": Hop(lambda: cache.lookup(key, 0, 5), ("cache",)),
            "cache: a hit, by a call": Hop(lambda: cache.lookup(key, 1, 5), ("cache",)),
        }


async def measure(results: Results, calls: int, rounds: int) -> None:
    """Measures one call after the other."""
    clock = time.perf_counter_ns
    variables = {"GAJI_EDGE_CACHE_BYTES": "0"}  # the gateway itself would answer
    async with running_stack("gateway=1", tokens=5, variables=variables) as stack, Client(stack.gateways) as client:
        world = await World(client).make()
        pids = {room: stack.replicas(room)[0].pid for room in ROOMS}
        took: dict[str, list[list[int]]] = {}
        spent: dict[str, dict[str, list[float]]] = {}
        async with _hops(stack, world) as hops:
            for turn, name in turns(hops, rounds):
                hop, times = hops[name], list[int]()
                before = {room: cpu_seconds(pids[room]) for room in hop.rooms}
                for _ in range(calls):
                    began = clock()
                    await hop.way()
                    times.append(clock() - began)
                if turn >= 0:
                    took.setdefault(name, []).append(times)
                    for room, seconds in before.items():
                        cpu = (cpu_seconds(pids[room]) - seconds) / calls * 1e6
                        spent.setdefault(name, {}).setdefault(room, []).append(cpu)
    rows = []
    for name, rounds_of in took.items():
        every = [one / 1000 for times in rounds_of for one in times]
        cpu_of = ", ".join(f"{room} {Spread.of(values).median:,.0f}" for room, values in spent[name].items())
        middle = Spread.of([percentile(times, 50) / 1000 for times in rounds_of])
        rows.append((name, middle.text(0), f"{percentile(every, 99):,.0f}", cpu_of))
    results.table(
        f"one call over each hop: microseconds, {rounds} rounds of {calls:,}, one after the other",
        ("", "p50", "p99", "CPU of the processes"),
        rows,
    )
    p50 = {name: [percentile(times, 50) / 1000 for times in rounds_of] for name, rounds_of in took.items()}
    results.raw["hops"] = {"p50_us": p50, "cpu_us": spent}
