"""Retries: what is made again, after how long, and how much of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.generation.v1 import generation_service_pb2 as pb
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mesh import errors, retries
from mesh.blocking import blocking_channel
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from mesh.deadlines import scope
from mesh.retries import ATTEMPTS, LONGEST, SHORTEST, RetryBudget, backoff, retried_methods
from mesh.telemetry import metrics, trace
from tests.mesh.conftest import Serve
from tests.mesh.raw_server import open_raw, refuse

GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"]
LIST = "/gaji.generation.v1.GenerationService/ListOrphans"  # NO_SIDE_EFFECTS
WATCH = "/gaji.generation.v1.GenerationService/WatchReply"  # NO_SIDE_EFFECTS, a stream
REPLY = "/gaji.generation.v1.GenerationService/StreamReply"  # has effects
UNAVAILABLE = errors.Unavailable("not now")


class Flaky:
    """Fails so many times before it answers."""

    def __init__(self, failures: int, error: errors.MeshError = UNAVAILABLE, *trailing: tuple[str, str]) -> None:
        self.failures, self.error, self.trailing = failures, error, trailing
        self.calls = 0
        self.previous: list[str | None] = []
        self.left: list[float] = []

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        self.previous.append(dict(context.invocation_metadata()).get(retries.PREVIOUS_ATTEMPTS))
        self.left.append(context.time_remaining())
        if self.calls <= self.failures:
            await refuse(context, self.error, *self.trailing)
        return b"done"

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await self.unary(request, context)


@asynccontextmanager
async def serving(flaky: Flaky, **changes: Any) -> AsyncIterator[MeshChannel]:
    used = MeshSettings().model_copy(update=changes)
    async with (
        open_raw(unary={LIST: flaky.unary, REPLY: flaky.unary}, streams={WATCH: flaky.stream}) as address,
        open_channel(address, used, [GENERATION]) as channel,
    ):
        yield channel


def count_of(method: str, name: str = "gaji_client_retries_total") -> float:
    return metrics.REGISTRY.get_sample_value(name, {"grpc_method": method[1:]}) or 0.0


def of_retries(name: str) -> tuple[float, float]:
    """How many calls are in a histogram of gRFC A96, and the sum of it, whatever their target."""
    found = [sample for family in metrics.REGISTRY.collect() for sample in family.samples if family.name == name]
    ours = [sample for sample in found if sample.labels["grpc_method"] == LIST[1:]]
    count, total = (sum(s.value for s in ours if s.name == name + suffix) for suffix in ("_count", "_sum"))
    return count, total


async def test_metrics_tell_calls_from_attempts() -> None:
    calls, retries_ = "grpc_client_call_duration_seconds", "grpc_client_call_retries"
    attempts, delay = "grpc_client_attempt_duration_seconds", "grpc_client_call_retry_delay_seconds"
    before = {name: of_retries(name) for name in (calls, retries_, attempts, delay)}
    async with serving(Flaky(2)) as channel:
        assert await channel.unary_unary(LIST)(b"") == b"done"
        assert await channel.unary_unary(LIST)(b"") == b"done"
    async with serving(Flaky(100)) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(LIST)(b"")
    added = {name: tuple(b - a for a, b in zip(before[name], of_retries(name), strict=True)) for name in before}
    assert added[calls][0] == 3
    assert added[attempts][0] == 3 + 1 + ATTEMPTS
    assert added[retries_] == (2, 2 + ATTEMPTS - 1)
    assert added[delay][0] == 2
    assert added[delay][1] <= added[calls][1]


async def test_a_call_without_effects_is_made_again_and_says_so() -> None:
    flaky, before = Flaky(2), count_of(LIST)
    async with serving(flaky) as channel:
        trace.enter()
        assert await channel.unary_unary(LIST)(b"") == b"done"
        assert trace.attributes() == {"rpc.retries": 2}
    assert flaky.calls == 3
    assert flaky.previous == [None, "1", "2"]
    assert count_of(LIST) - before == 2


async def test_there_are_four_attempts_at_most() -> None:
    flaky = Flaky(100)
    async with serving(flaky) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(LIST)(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert flaky.calls == ATTEMPTS


@pytest.mark.parametrize(
    ("method", "changes", "error"),
    [
        pytest.param(REPLY, {}, UNAVAILABLE, id="has-effects"),
        pytest.param(LIST, {"retries": False}, UNAVAILABLE, id="switched-off"),
        pytest.param(LIST, {}, errors.ResourceExhausted("full", retry_after=0.01), id="sheds-load"),
        pytest.param(LIST, {}, errors.Aborted("lost a race", retry_after=0.01), id="lost-a-race"),
        pytest.param(LIST, {}, errors.Internal("a mistake"), id="a-mistake"),
        pytest.param(LIST, {}, errors.Unavailable("library is away", metadata={"peer": "library"}), id="of-a-third"),
        pytest.param(LIST, {"default_timeout": 1.0}, errors.Unavailable("later", retry_after=5), id="beyond-deadline"),
    ],
)
async def test_what_is_not_made_again(method: str, changes: dict[str, Any], error: errors.MeshError) -> None:
    flaky = Flaky(1, error)
    async with serving(flaky, **changes) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method)(b"")
    assert errors.from_rpc_error(caught.value).message == error.message
    assert flaky.calls == 1


async def test_log_lines_say_how_often_it_was_tried(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    failures = 2

    async def stats(request: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise UNAVAILABLE
        return cache_pb.GetStatsResponse()

    caplog.set_level("INFO", logger="mesh.access")
    async with serve(stats=stats) as (_, inner):

        async def lookup(request: Any) -> Any:
            await inner.GetStats(cache_pb.GetStatsRequest())
            return cache_pb.LookupResponse()

        async with serve(lookup=lookup) as (_, stub):
            await stub.Lookup(cache_pb.LookupRequest())
    lines = [vars(record) for record in caplog.records if record.name == "mesh.access"]
    assert [line.get("rpc.retries") for line in lines if line["method"].endswith("Lookup")] == [2]
    told = [line.get("rpc.previous_attempts") for line in lines if line["method"].endswith("GetStats")]
    assert told == [None, "1", "2"]


async def test_all_attempts_share_one_deadline() -> None:
    flaky = Flaky(2, errors.Unavailable("later", retry_after=0.3))
    async with serving(flaky) as channel:
        await channel.unary_unary(LIST)(b"", timeout=5)
    assert [left <= 5 - pauses * 0.3 for pauses, left in enumerate(flaky.left)] == [True] * 3


@pytest.mark.parametrize(("said", "calls"), [("10", 2), ("-1", 1), ("soon", 1), ("60000", 1)])
async def test_push_back_is_honoured(said: str, calls: int) -> None:
    flaky = Flaky(1, UNAVAILABLE, ("grpc-retry-pushback-ms", said))
    async with serving(flaky) as channel:
        answers = await asyncio.gather(channel.unary_unary(LIST)(b""), return_exceptions=True)
    assert (list(answers) == [b"done"]) is (calls == 2)
    assert flaky.calls == calls


def rpc_error(error: errors.MeshError, *more: tuple[str, str]) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(*error.trailing_metadata(), *more)
    return grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), trailing, error.message)


def test_the_servers_own_word_sets_the_pause() -> None:
    assert retries.pause_after(rpc_error(UNAVAILABLE, ("grpc-retry-pushback-ms", "700")), 0) == 0.7
    told = retries.pause_after(rpc_error(errors.Unavailable("later", retry_after=2)), 0)
    assert told is not None
    assert 2 <= told <= 2 + SHORTEST
    for retry in range(ATTEMPTS - 1):
        pause = retries.pause_after(rpc_error(UNAVAILABLE), retry)
        assert pause is not None
        assert 0 <= pause <= SHORTEST * 2**retry
    assert retries.pause_after(rpc_error(UNAVAILABLE), ATTEMPTS - 1) is None


def test_a_stream_that_was_reset_is_a_lost_one() -> None:
    """C-core calls it CANCELLED; a peer that says so itself has its reason."""
    nothing = grpc.aio.Metadata()
    reset = grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "CANCELLED")
    assert retries.pause_after(reset, 0) is not None
    assert retries.pause_after(rpc_error(errors.Cancelled("the reader left")), 0) is None


@given(st.integers(0, 2000), st.integers(0, 2**32))
def test_back_off_has_full_jitter(retry: int, seed: int) -> None:
    assert backoff(retry, lambda: 0.0) == 0.0
    assert backoff(retry, lambda: 1.0) == min(LONGEST, SHORTEST * 2 ** min(retry, 20))
    assert 0 <= backoff(retry, random.Random(seed).random) <= LONGEST


async def test_a_stream_is_made_again_before_its_first_message() -> None:
    flaky = Flaky(2)
    async with serving(flaky) as channel:
        call = channel.unary_stream(WATCH)(b"")
        assert [message async for message in call] == [b"done"]
        assert await call.code() is grpc.StatusCode.OK
    assert flaky.previous == [None, "1", "2"]


async def test_a_stream_is_never_made_again_after_its_first_message() -> None:
    calls = 0

    async def breaks(request: bytes, context: Any) -> AsyncIterator[bytes]:
        nonlocal calls
        calls += 1
        yield b"one"
        await refuse(context, UNAVAILABLE)

    seen = []
    async with (
        open_raw(streams={WATCH: breaks}) as address,
        open_channel(address, MeshSettings(), [GENERATION]) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            async for message in channel.unary_stream(WATCH)(b""):
                seen.append(message)
    assert seen == [b"one"]
    assert calls == 1


@pytest.mark.parametrize("method", [LIST, WATCH])
async def test_a_pause_can_be_left(method: str) -> None:
    flaky = Flaky(1, errors.Unavailable("later", retry_after=8))
    async with serving(flaky) as channel:
        call = channel.unary_unary(LIST)(b"") if method is LIST else channel.unary_stream(WATCH)(b"")
        waiting = asyncio.ensure_future(call if method is LIST else call.read())
        async with asyncio.timeout(5):
            while not flaky.calls or not await is_over(call):
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    assert flaky.calls == 1


async def is_over(call: Any) -> bool:
    """Whether the attempt has ended and the pause after it has begun."""
    await asyncio.sleep(0)
    return bool(call.done())


async def test_a_channel_without_retries_of_its_own() -> None:
    flaky = Flaky(1)
    async with serving(flaky) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.without_retries().unary_unary(LIST)(b"")
    assert flaky.calls == 1


async def test_the_budget_is_the_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "SHORTEST", 0.0)
    flaky, before = Flaky(10_000), count_of(LIST, "gaji_client_retries_refused_total")
    async with serving(flaky) as channel:
        for _ in range(20):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(LIST)(b"")
    assert flaky.calls - 20 <= 4
    assert count_of(LIST, "gaji_client_retries_refused_total") - before >= 16


async def test_a_blocking_channel_does_the_same() -> None:
    flaky = Flaky(2)
    async with open_raw(unary={LIST: flaky.unary}) as address:
        channel: Any = blocking_channel(address, MeshSettings(), [GENERATION])
        try:
            assert await asyncio.to_thread(channel.unary_unary(LIST), b"") == b"done"
        finally:
            channel.close()
    assert flaky.previous == [None, "1", "2"]


async def test_retries_stay_within_the_callers_deadline() -> None:
    flaky = Flaky(100)
    async with serving(flaky) as channel:
        with scope(0.5), pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(LIST)(b"", timeout=100)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert all(left <= 0.5 for left in flaky.left)


def test_what_may_be_repeated_stands_in_the_contract() -> None:
    found = {path.rpartition("/")[2] for path in retried_methods([GENERATION])}
    assert found == {"WatchReply", "StopReply", "FinishReply", "ListOrphans"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


steps = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 12)), st.integers(0, 30), st.integers(0, 15)),
    max_size=60,
)


@examples(max_examples=200, deadline=None)
@given(steps, st.sampled_from([0, 1, 3, 10]))
def test_the_budget_holds_in_the_ten_seconds_up_to_any_retry(plan: list[tuple[float, int, int]], minimum: int) -> None:
    """Compared with a list of everything that happened."""
    clock = Clock()
    budget = RetryBudget(minimum=minimum, clock=clock)
    calls: list[float] = []
    granted: list[float] = []
    for pause, made, wanted in plan:
        clock.now += pause
        for _ in range(made):
            budget.called()
            calls.append(clock.now)
        for _ in range(wanted):
            if budget.take():
                granted.append(clock.now)

    def within(times: list[float], end: float, seconds: float) -> int:
        return sum(end - seconds < at <= end for at in times)

    for at in granted:
        assert within(granted, at, 10) <= max(minimum, 0.2 * within(calls, at, 10))
    for end in (at + shift for at in granted for shift in (0.0, 1.3, 5.0, 9.9)):
        assert within(granted, end, 10) <= max(minimum, 0.2 * within(calls, end, 20))


def test_steady_traffic_may_retry_a_fifth() -> None:
    clock = Clock()
    budget = RetryBudget(minimum=0, clock=clock)
    granted = 0
    for _ in range(10_000):  # 100 calls a second, all of which fail
        clock.now += 0.01
        budget.called()
        granted += budget.take()
    assert 0.18 * 10_000 <= granted <= 0.2 * 10_000


def test_low_traffic_may_retry_at_all() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    budget.called()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 10.5
    assert budget.take()
