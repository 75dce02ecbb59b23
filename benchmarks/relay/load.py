"""The readers: many SSE connections on a bare asyncio protocol, so that the client costs little beside the gateway."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc

from benchmarks.cpu import cpu_seconds
from benchmarks.relay.running import Gateway

CONVERSATION = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Load:
    """How many streams, how many tokens on each, and the pause between tokens in milliseconds.

    Attributes:
        stamped: whether the tokens are the times at which they are made.
    """

    name: str
    streams: int
    tokens: int
    interval_ms: float
    stamped: bool = False

    @property
    def content(self) -> str:
        """The request that asks the upstream for it."""
        return f"{self.tokens} {self.interval_ms}" + (" stamped" if self.stamped else "")


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a load on one gateway gave; times in milliseconds, CPU in microseconds."""

    events: int
    cpu_per_event_us: float
    upstream_cpu_per_event_us: float
    events_per_second: float
    first_token_p50_ms: float
    first_token_p99_ms: float


class Reader(asyncio.Protocol):
    """One connection: counts events and notes when the first came."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = b""
        self.events = 0
        self.first: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Sends the request."""
        self._transport = transport
        self._sent = time.perf_counter()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Counts; the end is HTTP's last chunk."""
        count = data.count(b"data:")
        if self.first is None and count:
            self.first = time.perf_counter() - self._sent
        self.events += count
        self._tail = (self._tail + data)[-5:]
        if self._tail == b"0\r\n\r\n":
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the run."""
        if not self.ended.done():
            self.ended.set_result(None)


async def run(load: Load, gateway: Gateway, token: str) -> Result:
    """Puts the load on a gateway and reads what its process, and the one behind it, spend on it.

    Raises:
        RuntimeError: events are missing.
        TimeoutError: it did not end within a minute.
    """
    request = request_for(load, token)
    pids = gateway.pid, gateway.upstream_pid
    before, began = [cpu_seconds(pid) for pid in pids], time.perf_counter()
    async with asyncio.timeout(60):
        readers = [await _connect(request, gateway.port) for _ in range(load.streams)]
        await asyncio.gather(*(reader.ended for reader in readers))
    spent, behind = (cpu_seconds(pid) - cpu for pid, cpu in zip(pids, before, strict=True))
    lasted = time.perf_counter() - began
    events = sum(reader.events for reader in readers)
    if events != load.streams * (load.tokens + 1):
        raise RuntimeError(f"{events} events came, not {load.streams * (load.tokens + 1)}")
    firsts = [reader.first * 1000 for reader in readers if reader.first is not None]
    return Result(events, spent / events * 1e6, behind / events * 1e6, events / lasted, *_p50_p99(firsts))


async def one_by_one(count: int, port: int, token: str) -> tuple[float, float]:
    """The first token's p50 and p99 in milliseconds when one reader comes after the other."""
    request = request_for(Load("single", 1, 1, 0), token)
    firsts = []
    async with asyncio.timeout(60):
        for _ in range(count):
            reader = await _connect(request, port)
            await reader.ended
            assert reader.first is not None
            firsts.append(reader.first * 1000)
    return _p50_p99(firsts)


async def direct_one_by_one(count: int, upstream: str) -> tuple[float, float]:
    """The same without any gateway."""
    async with grpc.aio.insecure_channel(upstream) as channel:
        stub: rpc.GenerationServiceAsyncStub = rpc.GenerationServiceStub(channel)
        return _p50_p99([await _first_token(stub, Load("single", 1, 1, 0)) for _ in range(count)])


def request_for(load: Load, token: str) -> bytes:
    """What a reader sends for a load."""
    path = f"/api/conversations/{CONVERSATION}/messages-stream?content={quote(load.content)}"
    headers = f"Host: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n"
    return f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()


async def _connect(request: bytes, port: int) -> Reader:
    _, reader = await asyncio.get_running_loop().create_connection(lambda: Reader(request), "127.0.0.1", port)
    return reader


async def direct_first_token(load: Load, upstream: str) -> tuple[float, float]:
    """The first token's p50 and p99 in milliseconds without any gateway."""
    async with grpc.aio.insecure_channel(upstream) as channel:
        stub: rpc.GenerationServiceAsyncStub = rpc.GenerationServiceStub(channel)
        return _p50_p99(await asyncio.gather(*(_first_token(stub, load) for _ in range(load.streams))))


async def _first_token(stub: "rpc.GenerationServiceAsyncStub", load: Load) -> float:
    started = time.perf_counter()
    seconds = None
    request = pb.StreamReplyRequest(conversation_id=CONVERSATION, content=load.content)
    async for _ in stub.StreamReply(request, timeout=60):
        seconds = seconds or time.perf_counter() - started
    assert seconds is not None
    return seconds * 1000


def _p50_p99(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
