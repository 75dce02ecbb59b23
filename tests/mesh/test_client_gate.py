"""What a gate hears of the calls of a channel: each attempt once, and of streams what comes later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.mesh.v1 import relay_service_pb2 as mesh_pb

from mesh import errors
from mesh.blocking import _Calls, blocking_channel
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from mesh.relay import RelayClient
from mesh.retries import Retries, RetryBudget
from mesh.streams import opened
from tests.mesh.raw_server import FakeGate, open_raw, refuse

GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"]
LIST = "/gaji.generation.v1.GenerationService/ListOrphans"
WATCH = "/gaji.generation.v1.GenerationService/WatchReply"
RELAY = "/gaji.mesh.v1.RelayService/Relay"
HEALTH = "/grpc.health.v1.Health/Check"
OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


class Room:
    """What the server does is what the request says."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        if request == b"wait":
            await self.go.wait()
        if request == b"leave":
            await refuse(context, errors.Cancelled("the server gave up"))
        if request == b"stop":
            await refuse(context, errors.Unavailable("stopping", reason="REPLICA_STOPS"))
        if request == b"fail" or (request == b"flaky" and self.calls < 3):
            await refuse(context, errors.Unavailable("not now"))
        return b"done"

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.calls += 1
        if request == b"flaky" and self.calls < 3:
            await refuse(context, errors.Unavailable("not now"))
        if request == b"silent":
            await self.go.wait()
        if request != b"empty":
            yield b"one"
        if request == b"wait":
            await self.go.wait()
        if request == b"break":
            await refuse(context, errors.Unavailable("broke"))


@asynccontextmanager
async def serving(gate: FakeGate, **changes: Any) -> AsyncIterator[tuple[Room, MeshChannel]]:
    room = Room()
    used = MeshSettings().model_copy(update=changes)
    async with (
        open_raw(unary={LIST: room.unary, HEALTH: room.unary}, streams={WATCH: room.stream}) as address,
        open_channel(address, used, [GENERATION], gate=gate) as channel,
    ):
        yield room, channel
    assert gate.held == 0


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_call_that_is_answered_ends_its_permit() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        assert await channel.unary_unary(LIST)(b"") == b"done"
    assert (gate.methods, gate.ends, gate.observed) == ([LIST], [OK], [])


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_each_attempt_is_asked_for_and_told(kind: str) -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        if kind == "unary":
            await channel.unary_unary(LIST)(b"flaky")
        else:
            assert [m async for m in channel.unary_stream(WATCH)(b"flaky")] == [b"one"]
    assert gate.ends == [UNAVAILABLE, UNAVAILABLE, OK]


async def test_what_a_shut_gate_raises_the_call_raises() -> None:
    gate = FakeGate()
    gate.shut = errors.Unavailable("leave it alone", reason="CIRCUIT_OPEN", retry_after=7)
    async with serving(gate) as (room, channel):
        for make in (channel.unary_unary(LIST), channel.unary_stream(WATCH)):
            with pytest.raises(errors.Unavailable) as caught:
                with errors.translated("generation"):
                    await make(b"").read()
            assert caught.value is gate.shut
    assert room.calls == 0


@pytest.mark.parametrize("way", ["unary", "stream", "blocking"])
async def test_calls_that_are_not_made_earn_no_retries(way: str) -> None:
    """Or a circuit that was open would leave behind more retries than its peer has calls."""
    gate, budget = FakeGate(), RetryBudget()
    gate.shut = errors.Unavailable("leave it alone", reason="CIRCUIT_OPEN")
    repeated = Retries(frozenset({LIST, WATCH}), budget)
    if way == "blocking":
        calls, details = _Calls(MeshSettings(), repeated, gate), SimpleNamespace(method=LIST, timeout=5, metadata=None)
        make: Any = partial(calls.intercept_unary_unary, lambda *_: None, details)
    else:
        inner: Any = grpc.aio.insecure_channel("127.0.0.1:1")
        channel = MeshChannel(inner, MeshSettings(), gate=gate, retries=repeated)
        make = channel.unary_unary(LIST) if way == "unary" else channel.unary_stream(WATCH)
    for _ in range(100):
        with pytest.raises(errors.Unavailable):
            make(b"")
    if way != "blocking":
        await channel.close()
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]


async def test_a_gate_that_shuts_between_attempts_ends_them() -> None:
    gate = FakeGate()
    async with serving(gate) as (room, channel):

        def end(code: Any, seconds: float) -> None:
            gate.shut = errors.Unavailable("leave it alone", reason="CIRCUIT_OPEN")

        call = channel.unary_unary(LIST)(b"fail")
        gate.permits[0].end = end  # type: ignore[method-assign]  # it shuts at the first failure
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        gate.permits.clear()
    assert caught.value.details() == "not now"  # what the peer said, not that nobody asked it again
    assert room.calls == 1


async def test_health_passes_a_shut_gate() -> None:
    gate = FakeGate()
    gate.shut = errors.Unavailable("leave it alone")
    async with serving(gate) as (_, channel):
        assert await channel.unary_unary(HEALTH)(b"") == b"done"
    assert gate.methods == []


@pytest.mark.parametrize("how", ["cancel", "task", "timeout"])
async def test_a_caller_who_leaves_gives_the_permit_back(how: str) -> None:
    gate = FakeGate()
    async with serving(gate) as (room, channel):
        call = channel.unary_unary(LIST)(b"wait")
        task = asyncio.ensure_future(call)
        await until(lambda: room.calls)
        if how == "cancel":
            call.cancel()
        elif how == "task":
            task.cancel()
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await task
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: gate.ends)
    assert gate.ends == [None]


async def test_a_call_that_nobody_waits_for_gives_its_permit_back() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        channel.unary_unary(LIST)(b"")
        await until(lambda: gate.ends)
        channel.unary_unary(LIST)(b"wait")
    await until(lambda: len(gate.ends) == 2)


async def test_a_late_answer_is_a_missed_deadline() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(LIST)(b"wait", timeout=0.1)
    assert gate.ends == [grpc.StatusCode.DEADLINE_EXCEEDED]


async def test_what_a_server_cancels_counts_and_a_planned_stop_does_not() -> None:
    gate = FakeGate()
    async with serving(gate, retries=False) as (_, channel):
        for request in (b"leave", b"stop"):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(LIST)(request)
    assert gate.ends == [grpc.StatusCode.CANCELLED, None]


async def test_a_stream_ends_its_permit_at_its_first_message() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        async with opened(channel.unary_stream(WATCH)(b"wait")) as messages:
            assert gate.held == 1
            await anext(messages)
            assert gate.ends == [OK]
    assert (gate.ends, gate.observed) == ([OK], [])  # leaving it says nothing


async def test_an_empty_stream_is_answered_as_well() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        assert [m async for m in channel.unary_stream(WATCH)(b"empty")] == []
    assert (gate.ends, gate.observed) == ([OK], [])


async def test_a_stream_that_breaks_later_is_observed() -> None:
    gate = FakeGate()
    async with serving(gate) as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in channel.unary_stream(WATCH)(b"break"):
                pass
    assert gate.ends == [OK]
    assert [(method, code) for method, code, _ in gate.observed] == [(WATCH, UNAVAILABLE)]


async def test_a_stream_left_before_its_first_message_gives_its_permit_back() -> None:
    gate = FakeGate()
    async with serving(gate) as (room, channel):
        call = channel.unary_stream(WATCH)(b"silent")
        await until(lambda: room.calls)
        call.cancel()
        await until(lambda: gate.ends)
    assert gate.ends == [None]


async def test_a_stream_that_stands_still_is_observed_once_for_each_wait() -> None:
    gate = FakeGate()
    async with serving(gate, still_seconds=0.1) as (room, channel):
        async with opened(channel.unary_stream(WATCH)(b"wait")) as messages:
            await anext(messages)
            await asyncio.sleep(0.3)  # nobody waits for a message: its reader is busy
            assert gate.observed == []
            waiting = asyncio.ensure_future(anext(messages, None))
            await until(lambda: gate.observed)
            await asyncio.sleep(0.3)
            assert [(method, code) for method, code, _ in gate.observed] == [(WATCH, OK)]
            assert gate.observed[0][2] >= 0.1
            room.go.set()
            assert await waiting is None


async def test_a_stream_that_stands_still_at_its_beginning_is_a_slow_call() -> None:
    gate = FakeGate()
    async with serving(gate, still_seconds=0.1) as (room, channel):
        async with opened(channel.unary_stream(WATCH)(b"silent")) as messages:
            waiting = asyncio.ensure_future(anext(messages))
            await until(lambda: gate.ends)  # its permit is free for others
            assert (gate.ends, gate.observed) == ([OK], [])
            assert gate.seconds[0] >= 0.1
            room.go.set()
            assert await waiting == b"one"
    assert gate.ends == [OK]


async def test_a_channel_that_closes_leaves_no_permit() -> None:
    gate = FakeGate()
    async with serving(gate) as (room, channel):
        call = channel.unary_stream(WATCH)(b"wait")
        assert await call.read() == b"one"
        silent = channel.unary_stream(WATCH)(b"silent")
        await until(lambda: room.calls == 2)
    assert silent.done()
    assert call.done()


async def test_a_blocking_channel_asks_as_well() -> None:
    gate, room = FakeGate(), Room()
    async with open_raw(unary={LIST: room.unary}) as address:
        channel: Any = blocking_channel(address, MeshSettings(), [GENERATION], gate=gate)
        try:
            assert await asyncio.to_thread(channel.unary_unary(LIST), b"flaky") == b"done"
            gate.shut = errors.Unavailable("leave it alone", reason="CIRCUIT_OPEN")
            with pytest.raises(errors.Unavailable, match="leave it alone"):
                await asyncio.to_thread(channel.unary_unary(LIST), b"")
        finally:
            channel.close()
    assert gate.ends == [UNAVAILABLE, UNAVAILABLE, OK]


class LimitError(Exception):
    """What a job's time limit raises in the middle of a call."""


async def test_a_time_limit_in_a_blocking_call_says_nothing_of_the_peer() -> None:
    gate = FakeGate()
    calls = _Calls(MeshSettings(), None, gate)

    class Interrupted:
        def exception(self) -> Exception:
            return LimitError()

        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.INTERNAL  # as gRPC says of what an interceptor's call has raised

    details = SimpleNamespace(method=LIST, timeout=5, metadata=None)
    answer = calls.intercept_unary_unary(lambda _details, _request: Interrupted(), details, b"")
    assert isinstance(answer.exception(), LimitError)
    assert gate.ends == [None]


SHORT = errors.DeadlineExceeded("too little", reason="DEADLINE_TOO_SHORT", metadata={"peer": "generation"})
SEARCH = errors.Unavailable("search does not answer", reason="SEARCH_UNAVAILABLE", metadata={"peer": "search"})
OWN = errors.DeadlineExceeded("too slow", reason="GENERATION_TOO_SLOW", metadata={"peer": "generation"})


@pytest.mark.parametrize(
    ("error", "word"),
    [
        pytest.param(SEARCH, None, id="of a peer's peer"),
        pytest.param(errors.Internal("broken", metadata={"peer": "search"}), None, id="broken further on"),
        pytest.param(SHORT, None, id="a caller in haste"),
        pytest.param(OWN, grpc.StatusCode.DEADLINE_EXCEEDED, id="its own slowness"),
        pytest.param(errors.Unavailable("no store", reason="STORE_DOWN"), UNAVAILABLE, id="its own trouble"),
    ],
)
@pytest.mark.parametrize("way", ["unary", "stream", "blocking", "relay"])
async def test_what_a_peer_says_of_others_is_no_word_of_the_peer(
    way: str, error: errors.MeshError, word: grpc.StatusCode | None
) -> None:
    gate = FakeGate()

    async def unary(request: bytes, context: Any) -> bytes:
        await refuse(context, error)
        return b""

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        await refuse(context, error)
        yield b""

    async def relay(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[bytes]:
        status = mesh_pb.CallStatus(code=error.code.value[0], details=error.to_status().SerializeToString())
        yield mesh_pb.RelayResponse(frames=[mesh_pb.Frame(call_id=1, status=status)]).SerializeToString()

    settings = MeshSettings().model_copy(update={"retries": False})
    async with open_raw(unary={LIST: unary}, streams={WATCH: stream}, both={RELAY: relay}) as address:
        if way == "blocking":
            blocking: Any = blocking_channel(address, settings, [GENERATION], gate=gate)
            with pytest.raises(grpc.RpcError):
                await asyncio.to_thread(blocking.unary_unary(LIST), b"")
            blocking.close()
        else:
            async with open_channel(address, settings, [GENERATION], gate=gate) as channel:
                if way == "relay":
                    client = RelayClient(channel, gate=gate)
                    with pytest.raises(type(error)):
                        await anext(aiter(client.open(WATCH, b"", metadata={}, timeout=5)))
                    await client.close()
                else:
                    call = channel.unary_unary(LIST) if way == "unary" else channel.unary_stream(WATCH)
                    with pytest.raises(grpc.aio.AioRpcError):
                        await (call(b"") if way == "unary" else call(b"").read())
    assert (gate.ends, gate.observed) == ([word], [])


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.DeadlineExceeded, errors.Internal])
async def test_an_error_that_is_passed_on_says_whose_it_is(kind: type[errors.MeshError]) -> None:
    """Though the peer gave it a reason of its own; who hears of it at the next hop must know."""

    async def unary(request: bytes, context: Any) -> bytes:
        await refuse(context, kind("the embedder is away", reason="EMBEDDER_DOWN"))
        return b""

    async with (
        open_raw(unary={LIST: unary}) as address,
        open_channel(address, MeshSettings().model_copy(update={"retries": False}), [GENERATION]) as channel,
    ):
        with pytest.raises(kind) as caught, errors.translated("search"):
            await channel.unary_unary(LIST)(b"")
    assert (caught.value.reason, caught.value.metadata) == ("EMBEDDER_DOWN", {"peer": "search"})
