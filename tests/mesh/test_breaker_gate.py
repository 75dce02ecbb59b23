"""The gate before a peer: groups, what is not watched, what all gates of a process share; threads and tasks."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.mesh.v1 import breaker_service_pb2 as mesh_pb
from gaji.search.v1 import search_service_pb2 as search_pb

from mesh.breaker import Breaker, Breakers, BreakerSettings, Event, State
from mesh.call_report import CallReport
from mesh.config import MeshSettings
from mesh.errors import NotFound, Unavailable
from mesh.gate import Gate, Permit
from tests.mesh.breaker_clock import Clock

OK, DOWN = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
SEARCH = search_pb.DESCRIPTOR.services_by_name["SearchService"]
CACHE = cache_pb.DESCRIPTOR.services_by_name["CacheService"]
FIND = "/gaji.search.v1.SearchService/SearchPassages"
INGEST = "/gaji.search.v1.SearchService/IngestNovel"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(BreakerSettings(), clock)


def names(breakers: Breakers) -> list[tuple[str, str]]:
    return [(breaker.peer, breaker.group) for breaker in breakers.matching()]


def test_it_is_what_channels_ask_for(breakers: Breakers) -> None:
    gate: Gate = breakers.gate("search", [SEARCH])
    permit: Permit = gate.acquire(FIND)
    permit.end(OK, 0.1)


def test_unary_calls_and_streams_of_a_service_have_breakers_of_their_own(breakers: Breakers) -> None:
    gate = breakers.gate("search", [SEARCH])
    assert names(breakers) == [("search", "SearchService/stream"), ("search", "SearchService/unary")]
    for _ in range(10):
        gate.acquire(INGEST).end(DOWN, 1)
    with pytest.raises(Unavailable) as caught:
        gate.acquire(INGEST)
    assert (caught.value.reason, caught.value.retry_after) == ("CIRCUIT_OPEN", 30)
    assert caught.value.metadata == {"peer": "search", "group": "SearchService/stream", "state": "OPEN"}
    gate.acquire(FIND).end(OK, 0.1)


@pytest.mark.parametrize(
    ("method", "group"),
    [
        ("/gaji.cache.v1.CacheService/Lookup", "CacheService/unary"),
        ("/gaji.cache.v1.CacheService/WatchInvalidations", "CacheService/stream"),
        ("/gaji.cache.v1.CacheService/Later", "CacheService/unary"),
        ("/elsewhere.v1.OtherService/Do", "OtherService/unary"),
    ],
    ids=["unary", "stream", "a method to come", "a service to come"],
)
def test_services_that_were_not_named_have_groups_too(breakers: Breakers, method: str, group: str) -> None:
    gate = breakers.gate("cache")
    assert names(breakers) == []
    gate.observe(method, DOWN, 1)
    gate.acquire(method).end(OK, 0.1)
    assert names(breakers) == [("cache", group)]
    assert breakers.breaker("cache", group).snapshot().calls == 2


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/gaji.mesh.v1.BreakerService/ListBreakers",
        "/gaji.mesh.v1.RelayService/Relay",
    ],
    ids=["health", "reflection", "breakers", "relay"],
)
def test_what_must_get_through_has_no_breaker(breakers: Breakers, method: str) -> None:
    gate = breakers.gate("search", list(mesh_pb.DESCRIPTOR.services_by_name.values()))
    for _ in range(50):
        gate.acquire(method).end(DOWN, 99)
        gate.observe(method, DOWN, 99)
    assert names(breakers) == []


def test_all_gates_to_a_peer_share_their_breakers_and_peers_do_not(breakers: Breakers) -> None:
    one, other, elsewhere = (breakers.gate(peer, [SEARCH]) for peer in ("search", "search", "search-2"))
    for _ in range(10):
        one.acquire(FIND).end(DOWN, 1)
    with pytest.raises(Unavailable):
        other.acquire(FIND)
    elsewhere.acquire(FIND).end(OK, 0.1)


def test_listeners_hear_of_breakers_made_before_and_after(breakers: Breakers) -> None:
    heard: list[Event] = []
    breakers.gate("search", [SEARCH])
    breakers.listen(heard.append)
    breakers.gate("cache", [CACHE])
    breakers.force(State.FORCED_OPEN)
    assert {(event.peer, event.after) for event in heard} == {
        ("search", State.FORCED_OPEN),
        ("cache", State.FORCED_OPEN),
    }


def test_forcing_takes_those_that_match(breakers: Breakers) -> None:
    breakers.gate("search", [SEARCH])
    breakers.gate("cache", [CACHE])
    assert len(breakers.force(State.DISABLED, "search")) == 2
    [one] = breakers.force(State.FORCED_OPEN, "", "CacheService/stream")
    assert (one.peer, one.state) == ("cache", State.FORCED_OPEN)
    with pytest.raises(NotFound, match="cache CacheService/stream, cache CacheService/unary, search"):
        breakers.force(State.CLOSED, "nobody")


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BreakerSettings.of(MeshSettings()) == BreakerSettings()
    variables = {
        "MODE": "metrics_only",
        "WINDOW": "20",
        "WINDOW_SECONDS": "60",
        "MINIMUM_CALLS": "5",
        "FAILURE_RATE": "25.5",
        "SLOW_RATE": "80",
        "SLOW_SECONDS": "2",
        "OPEN_SECONDS": "10",
        "OPEN_MULTIPLIER": "1.5",
        "OPEN_MAX_SECONDS": "90",
        "HALF_OPEN_CALLS": "3",
        "PROBE_SECONDS": "7",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"GAJI_BREAKER_{name}", value)
    read = BreakerSettings.of(MeshSettings())
    assert read == BreakerSettings(State.METRICS_ONLY, 20, 60, 5, 25.5, 80, 2, 10, 1.5, 90, 3, 7)


def test_one_stream_that_stands_still_again_and_again_opens_nothing(breakers: Breakers) -> None:
    """One whose messages are minutes apart by nature is one slow call, however long it lives."""
    gate = breakers.gate("search", [SEARCH])
    report = CallReport(gate, INGEST)
    report.begin()
    for _ in range(50):
        report.stands_still(21)
    breaker = breakers.breaker("search", "SearchService/stream")
    assert (breaker.state, breaker.snapshot().slow) == (State.CLOSED, 1)
    report.done(DOWN, 0.0)
    assert breaker.snapshot().failed == 1


def test_many_streams_that_stand_still_open_it(breakers: Breakers) -> None:
    gate = breakers.gate("search", [SEARCH])
    reports = [CallReport(gate, INGEST) for _ in range(10)]
    for report in reports:
        report.begin()
    for report in reports:
        report.stands_still(21)
    assert breakers.breaker("search", "SearchService/stream").state is State.OPEN


@pytest.fixture
def hasty() -> Iterator[None]:
    """Has threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


class Gauge:
    """How many are inside, and the most that were."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def enter(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self.lock:
            self.now -= 1


@pytest.mark.usefixtures("hasty")
def test_threads_never_exceed_the_probes(clock: Clock) -> None:
    breaker = Breaker("search", "S/unary", BreakerSettings(), clock)
    inside, let_in = Gauge(), []
    start = threading.Barrier(8, timeout=30)

    def caller() -> None:
        start.wait()
        for _ in range(300):
            try:
                permit = breaker.acquire()
            except Unavailable:
                continue
            inside.enter()
            let_in.append(1)
            inside.leave()  # before its place is free for others
            permit.end(None, 0.1)

    for _ in range(5):
        breaker.force(State.OPEN)
        clock.now += 30
        threads = [threading.Thread(target=caller) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert breaker.state is State.HALF_OPEN
        assert breaker.snapshot().probes == 0
    assert let_in
    assert inside.most <= 5


@pytest.mark.usefixtures("hasty")
def test_threads_that_rush_in_at_the_same_moment_share_the_probes(clock: Clock) -> None:
    breaker = Breaker("search", "S/unary", BreakerSettings(), clock)
    for _ in range(30):
        breaker.force(State.OPEN)
        clock.now += 30
        start = threading.Barrier(8, timeout=30)
        permits: list[Permit] = []

        def caller(start: threading.Barrier = start, permits: list[Permit] = permits) -> None:
            start.wait()
            for _ in range(3):
                with suppress(Unavailable):
                    permits.append(breaker.acquire())

        threads = [threading.Thread(target=caller) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(permits) == 5


@pytest.mark.usefixtures("hasty")
def test_no_result_is_lost_between_threads(clock: Clock) -> None:
    breaker = Breaker("search", "S/unary", BreakerSettings(mode=State.METRICS_ONLY, window=100_000), clock)

    def caller(code: grpc.StatusCode) -> None:
        for _ in range(2000):
            breaker.acquire().end(code, 0.1)

    threads = [threading.Thread(target=caller, args=(code,)) for code in (OK, DOWN) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failed) == (12_000, 6_000)


async def test_tasks_that_are_cancelled_give_their_probes_back(clock: Clock) -> None:
    breaker = Breaker("search", "S/unary", BreakerSettings(), clock)
    breaker.force(State.HALF_OPEN)
    inside = Gauge()

    async def call(*, careful: bool) -> None:
        permit = breaker.acquire()
        inside.enter()
        try:
            await asyncio.Event().wait()
        finally:
            inside.leave()
            if careful:
                permit.end(None, 1)

    for round_ in range(20):
        tasks = [asyncio.create_task(call(careful=bool((index + round_) % 3))) for index in range(20)]
        await asyncio.sleep(0)
        assert inside.now == 5
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, Unavailable) for result in results) == 15
        del tasks, results, task
        await asyncio.sleep(0)  # the loop itself holds on to the last task while it wakes us
        gc.collect()
    assert breaker.snapshot().probes == 0
    for _ in range(5):
        breaker.acquire().end(OK, 0.1)
    assert breaker.state is State.CLOSED
