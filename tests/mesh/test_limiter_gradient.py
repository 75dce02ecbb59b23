"""The limit against simulated servers, on a clock of the tests' own."""

import heapq
import math
import random

import pytest

from mesh.limiter import Gradient


class Server:
    """Serves so many calls at once and lets the others wait, in order; clients are Poisson.

    Args:
        gradient: what is tested.
        workers: calls served at once.
        seconds: mean of a service, by kind.
    """

    def __init__(self, gradient: Gradient, workers: int, seconds: dict[str, float], seed: int = 1) -> None:
        self.gradient = gradient
        self.workers = workers
        self.seconds = seconds
        self.now = 0.0
        self.chance = random.Random(seed)
        self.in_flight = 0

    def run(self, rate: float, seconds: float, mix: dict[str, float]) -> tuple[float, float, float]:
        """So many calls a second for so long: the goodput, the mean time in seconds, and the share that was shed."""
        free = [self.now] * self.workers
        ends: list[tuple[float, float, str, int]] = []
        until, times, offered, shed = self.now + seconds, [], 0, 0
        arrival = self.now
        while arrival < until:
            arrival += self.chance.expovariate(rate)
            while ends and ends[0][0] <= arrival:
                end, began, kind, seen = heapq.heappop(ends)
                self.in_flight -= 1
                times.append(end - began)
                self.gradient.sample(kind, end - began, seen, end)
            offered += 1
            if self.in_flight >= self.gradient.limit:
                shed += 1
                continue
            self.in_flight += 1
            kind = self.chance.choices(list(mix), list(mix.values()))[0]
            start = max(arrival, heapq.heappop(free))
            end = start + self.seconds[kind] * self.chance.uniform(0.8, 1.2)
            heapq.heappush(free, end)
            heapq.heappush(ends, (end, arrival, kind, self.in_flight))
        self.in_flight, self.now = 0, max(until, *free)
        return len(times) / seconds, math.fsum(times) / len(times), shed / offered


def server(workers: int = 10, kinds: dict[str, float] | None = None, **options: int) -> Server:
    """A server of some workers and 100 ms a call."""
    options = {"initial": 100, "minimum": 4, "maximum": 1000, **options}
    return Server(Gradient(**options), workers, kinds or {"get": 0.1})


def test_an_overloaded_server_keeps_its_goodput_and_its_pace() -> None:
    """Twice the capacity: nearly all of it is good, and calls wait for little more than the limit's queue."""
    tested = server()
    _, usual, _ = tested.run(50, 60, {"get": 1})
    tested.run(200, 10, {"get": 1})
    goodput, seconds, shed = tested.run(200, 60, {"get": 1})
    assert goodput > 95
    assert seconds < 2 * usual
    assert 0.4 < shed < 0.6
    assert 10 <= tested.gradient.limit <= 20


def test_without_a_limit_the_same_load_would_make_it_slow() -> None:
    """What the limit is for: the simulated server does collapse."""
    tested = server(minimum=10_000, initial=10_000, maximum=10_000)
    _, usual, _ = tested.run(50, 60, {"get": 1})
    _, seconds, shed = tested.run(200, 10, {"get": 1})
    assert shed == 0
    assert seconds > 10 * usual


def test_it_recovers() -> None:
    """After an overload, a load that the server can bear is served whole."""
    tested = server()
    tested.run(50, 30, {"get": 1})
    tested.run(300, 60, {"get": 1})
    tested.run(80, 20, {"get": 1})
    _, _, shed = tested.run(80, 30, {"get": 1})
    assert shed < 0.02


def test_it_does_not_grow_when_nobody_uses_it() -> None:
    """A limit that is not half used stays."""
    tested = server()
    tested.run(30, 60, {"get": 1})
    assert tested.gradient.limit == 100


def test_it_grows_when_a_server_can_do_more() -> None:
    """From a low beginning to what many workers can do."""
    tested = server(workers=200, initial=8)
    tested.run(1500, 60, {"get": 1})
    assert tested.gradient.limit > 150


def test_it_finds_a_server_that_has_become_smaller() -> None:
    """Half of the workers are gone."""
    tested = server(workers=40)
    tested.run(200, 30, {"get": 1})
    tested.workers = 10
    tested.run(200, 10, {"get": 1})
    assert tested.gradient.limit <= 25


def test_another_mix_of_calls_is_no_overload() -> None:
    """Slow calls instead of quick ones, at a load that can be borne: nothing is shed."""
    kinds = {"get": 0.002, "search": 0.05}
    tested = server(workers=40, kinds=kinds, initial=60)
    tested.run(1000, 60, {"get": 0.9, "search": 0.1})
    before = tested.gradient.limit
    _, _, shed = tested.run(50, 60, {"get": 0.1, "search": 0.9})
    assert shed == 0
    assert tested.gradient.limit >= before * 0.8


def test_a_long_overload_does_not_become_usual() -> None:
    """Ten minutes at twice the capacity: calls take no longer at their end than at their beginning."""
    tested = server()
    tested.run(50, 60, {"get": 1})
    _, early, _ = tested.run(200, 60, {"get": 1})
    tested.run(200, 480, {"get": 1})
    goodput, late, _ = tested.run(200, 60, {"get": 1})
    assert late < early * 1.2
    assert goodput > 94


def test_a_server_that_has_become_slower_for_good_is_learnt() -> None:
    """Each call takes five times as long, beside no others as well; there is room for all of them."""
    tested = server(workers=200)
    tested.run(200, 60, {"get": 1})
    tested.seconds = {"get": 0.5}
    _, _, first = tested.run(200, 10, {"get": 1})
    assert first > 0.3
    tested.run(200, 180, {"get": 1})
    _, _, later = tested.run(200, 60, {"get": 1})
    assert later < 0.05


def test_a_cold_start_is_forgotten() -> None:
    """First calls that take a hundred times as long."""
    gradient = Gradient(initial=20, minimum=4, maximum=100)
    now = 0.0
    for seconds in [1.0] * 20 + [0.01] * 6000:
        now += 0.02
        gradient.sample("get", seconds, 1, now)
    usual = gradient.usual("get")
    assert usual is not None
    assert usual < 0.02


def test_kinds_are_bounded() -> None:
    """What comes in more kinds than a server can have is no sample."""
    gradient = Gradient()
    for number in range(3 * Gradient.KINDS):
        gradient.sample(f"kind {number}", 0.01, 1, number / 1000)
    assert sum(gradient.usual(f"kind {number}") is not None for number in range(3 * Gradient.KINDS)) <= Gradient.KINDS


@pytest.mark.parametrize(("low", "initial", "high"), [(0, 1, 2), (5, 4, 10), (1, 11, 10)])
def test_bounds_that_make_no_sense_are_refused(low: int, initial: int, high: int) -> None:
    """The message names them."""
    with pytest.raises(ValueError, match="initial"):
        Gradient(minimum=low, initial=initial, maximum=high)
