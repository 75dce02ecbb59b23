"""One breaker, by table: what opens it, what it lets through, what comes back."""

import gc
import logging
from typing import Any

import grpc
import pytest

from mesh.breaker import OUTCOMES, Breaker, BreakerSettings, Event, Outcome, State
from mesh.errors import Unavailable
from tests.mesh.breaker_clock import Clock

OK, DOWN, GONE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED
FAST, SLOW = 0.01, 9.01


class Made:
    """A breaker, its clock and what it told."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.breaker = Breaker("search", "SearchService/unary", BreakerSettings(**changes), self.clock, [self.hear])

    def hear(self, event: Event) -> None:
        """Notes an event."""
        self.events.append(event)

    def call(self, code: grpc.StatusCode | None = OK, seconds: float = FAST, times: int = 1) -> None:
        """Calls that end at once."""
        for _ in range(times):
            self.breaker.acquire().end(code, seconds)

    def state(self) -> State:
        """Its state; a method, since it changes between two looks."""
        return self.breaker.state

    def refused(self) -> Unavailable:
        """The refusal of a call."""
        with pytest.raises(Unavailable) as caught:
            self.breaker.acquire()
        return caught.value

    def half_open(self) -> None:
        """Opens it and waits."""
        self.call(DOWN, times=self.breaker.settings.window)
        assert self.breaker.state is State.OPEN
        self.clock.now += self.breaker.snapshot().seconds_left or 0

    def transitions(self) -> list[tuple[State, State]]:
        """What it went through."""
        return [(event.before, event.after) for event in self.events if event.kind == "transition"]


def test_defaults_are_those_that_were_agreed() -> None:
    settings = BreakerSettings()
    assert (settings.window, settings.minimum_calls, settings.failure_rate) == (10, 10, 50)
    assert (settings.open_seconds, settings.half_open_calls, settings.slow_rate) == (30, 5, 100)


def test_every_status_has_its_place_in_the_table() -> None:
    assert set(OUTCOMES) == set(grpc.StatusCode)


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_what_ten_calls_of_a_status_do(code: grpc.StatusCode) -> None:
    made = Made()
    made.call(code, times=10)
    outcome = OUTCOMES[code]
    assert made.state() is (State.OPEN if outcome is Outcome.FAILURE else State.CLOSED)
    assert made.breaker.snapshot().calls == (0 if outcome is Outcome.IGNORED else 10)


def test_below_the_minimum_nothing_opens_it() -> None:
    made = Made()
    made.call(DOWN, times=9)
    snapshot = made.breaker.snapshot()
    assert (snapshot.state, snapshot.calls, snapshot.failed, snapshot.failure_rate) == (State.CLOSED, 9, 9, None)
    made.call(DOWN)
    assert made.state() is State.OPEN


@pytest.mark.parametrize(("failed", "state"), [(4, State.CLOSED), (5, State.OPEN)], ids=["below", "at"])
def test_the_failure_rate_opens_it_from_the_threshold_on(failed: int, state: State) -> None:
    made = Made()
    made.call(DOWN, times=failed)
    made.call(OK, times=10 - failed)
    assert made.state() is state


def test_old_calls_leave_a_window_of_calls() -> None:
    made = Made()
    made.call(DOWN, times=4)
    made.call(OK, times=10)  # the failures are gone
    assert made.breaker.snapshot().failed == 0
    made.call(DOWN, times=4)
    assert made.state() is State.CLOSED
    made.call(DOWN)
    assert made.state() is State.OPEN


def test_old_calls_leave_a_window_of_seconds() -> None:
    made = Made(window_seconds=3)
    made.call(DOWN, times=9)
    made.clock.now += 2
    assert made.breaker.snapshot().calls == 9
    made.clock.now += 1
    assert made.breaker.snapshot().calls == 0
    made.call(DOWN, times=9)
    assert made.state() is State.CLOSED
    made.clock.now += 1_000_000
    made.call(DOWN, times=9)
    made.clock.now += 2
    made.call(DOWN)
    assert made.state() is State.OPEN


@pytest.mark.parametrize(
    ("seconds", "state"), [(9.0, State.CLOSED), (SLOW, State.OPEN)], ids=["at the limit", "above it"]
)
def test_only_slow_calls_open_it(seconds: float, state: State) -> None:
    made = Made()
    made.call(OK, seconds, times=10)
    assert made.state() is state


def test_one_fast_call_of_ten_keeps_it_closed() -> None:
    made = Made()
    made.call(OK, SLOW, times=9)
    made.call(OK, FAST)
    snapshot = made.breaker.snapshot()
    assert (snapshot.state, snapshot.slow, snapshot.slow_rate) == (State.CLOSED, 9, 90.0)


def test_an_open_one_refuses_and_says_for_how_long() -> None:
    made = Made()
    made.call(DOWN, times=10)
    made.clock.now += 12.5
    error = made.refused()
    assert (error.reason, error.retry_after, error.metadata["peer"]) == ("CIRCUIT_OPEN", 17.5, "search")
    assert "search" in error.message
    assert "18 s" in error.message
    assert made.breaker.snapshot().rejected == 1


def test_after_the_wait_the_next_call_probes() -> None:
    made = Made()
    made.call(DOWN, times=10)
    made.clock.now += 30
    snapshot = made.breaker.snapshot()
    assert (snapshot.state, snapshot.seconds_left) == (State.OPEN, 0)  # nobody has called yet
    made.breaker.acquire()
    assert made.state() is State.HALF_OPEN


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ([OK] * 5, State.CLOSED),
        ([DOWN, DOWN, OK, OK, OK], State.CLOSED),
        ([DOWN, DOWN, DOWN, OK, OK], State.OPEN),
        ([OK] * 4, State.HALF_OPEN),
        ([DOWN] * 4, State.HALF_OPEN),
        ([OK, None, OK, GONE, OK, None, OK, grpc.StatusCode.RESOURCE_EXHAUSTED, OK], State.CLOSED),
    ],
    ids=["well", "mostly", "badly", "not yet", "not yet either", "with some that left"],
)
def test_the_probes_decide(codes: list[grpc.StatusCode | None], state: State) -> None:
    made = Made()
    made.half_open()
    for code in codes:
        made.call(code)
    assert made.state() is state


def test_slow_probes_open_it_again() -> None:
    made = Made()
    made.half_open()
    made.call(OK, SLOW, times=5)
    assert made.state() is State.OPEN


def test_no_more_probes_than_permitted() -> None:
    made = Made()
    made.half_open()
    permits = [made.breaker.acquire() for _ in range(5)]
    assert made.refused().retry_after == 1
    permits[0].end(OK, FAST)
    made.refused()  # it is used up, not given back
    permits[1].end(None, FAST)
    permits.append(made.breaker.acquire())
    made.refused()


def test_a_permit_is_heard_once() -> None:
    made = Made()
    permit = made.breaker.acquire()
    for _ in range(10):
        permit.end(DOWN, FAST)
    assert made.breaker.snapshot().calls == 1
    made.breaker.force(State.HALF_OPEN)
    probe = made.breaker.acquire()
    for code in (None, DOWN, None, OK):
        probe.end(code, FAST)
    assert (made.breaker.snapshot().calls, made.breaker.snapshot().probes) == (0, 0)
    permits = [made.breaker.acquire() for _ in range(5)]
    made.refused()
    assert len(permits) == 5


def test_a_probe_that_is_dropped_makes_room() -> None:
    made = Made()
    made.half_open()
    permits = [made.breaker.acquire() for _ in range(5)]
    made.refused()
    del permits[2:]
    gc.collect()
    permits += [made.breaker.acquire() for _ in range(3)]
    made.refused()


def test_probes_dropped_in_a_cycle_make_room() -> None:
    made = Made()
    made.half_open()
    for _ in range(3):
        cycle: list[Any] = [made.breaker.acquire() for _ in range(5)]
        cycle.append(cycle)
        del cycle
        gc.collect()
    assert made.breaker.snapshot().probes == 0


def test_a_probe_that_hangs_makes_room_in_time_and_is_not_heard_later() -> None:
    made = Made()
    made.half_open()
    hanging = [made.breaker.acquire() for _ in range(5)]
    made.clock.now += 29.9
    made.refused()
    made.clock.now += 0.1
    fresh = [made.breaker.acquire() for _ in range(5)]
    made.refused()
    for permit in hanging:
        permit.end(DOWN, 40)
    assert made.breaker.snapshot().calls == 0
    for permit in fresh:
        permit.end(OK, FAST)
    assert made.state() is State.CLOSED


def test_permits_of_an_earlier_time_do_not_count() -> None:
    made = Made()
    early = [made.breaker.acquire() for _ in range(40)]
    made.half_open()
    probes = [made.breaker.acquire() for _ in range(5)]
    for permit in early[:20]:
        permit.end(OK, FAST)
    for permit in early[20:]:
        permit.end(DOWN, FAST)
    assert (made.breaker.state, made.breaker.snapshot().calls) == (State.HALF_OPEN, 0)
    for permit in probes[:3]:
        permit.end(DOWN, FAST)
    made.breaker.force(State.HALF_OPEN)
    probes[3].end(OK, FAST)
    probes[4].end(None, FAST)
    assert (made.breaker.snapshot().calls, made.breaker.snapshot().probes) == (0, 0)


def test_the_wait_grows_up_to_its_limit_and_forgets() -> None:
    made = Made(open_multiplier=2, open_max_seconds=100)
    waits = []
    made.half_open()
    for _ in range(4):
        made.call(DOWN, times=5)
        waits.append(made.breaker.snapshot().seconds_left)
        made.clock.now += waits[-1] or 0
    assert waits == [60, 100, 100, 100]
    made.call(OK, times=5)
    made.call(DOWN, times=10)
    assert made.breaker.snapshot().seconds_left == 30


def test_growth_beyond_all_numbers_is_the_limit() -> None:
    assert BreakerSettings(open_multiplier=1e300, open_max_seconds=77).wait(1000) == 77


def test_what_breaks_after_the_first_message_counts_as_a_failure() -> None:
    made = Made()
    for _ in range(5):
        made.call(OK)
        made.breaker.observe(DOWN, 200)
    snapshot = made.breaker.snapshot()
    assert (snapshot.state, snapshot.failed, snapshot.slow) == (State.OPEN, 5, 0)


def test_a_stall_counts_as_a_slow_call_and_good_news_as_nothing() -> None:
    made = Made(slow_rate=50)
    for code, seconds in ((OK, 9.0), (GONE, 99.0), (grpc.StatusCode.NOT_FOUND, 1.0), (OK, 0.1)):
        made.breaker.observe(code, seconds)
    assert made.breaker.snapshot().calls == 0
    made.call(OK, times=5)
    for _ in range(5):
        made.breaker.observe(OK, SLOW)
    assert (made.breaker.state, made.breaker.snapshot().slow) == (State.OPEN, 5)


@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN, State.DISABLED, State.FORCED_OPEN])
def test_streams_that_break_are_not_heard_where_nothing_or_only_probes_count(state: State) -> None:
    made = Made()
    made.breaker.force(state)
    for _ in range(20):
        made.breaker.observe(DOWN, 1)
    assert (made.breaker.state, made.breaker.snapshot().calls) == (state, 0)


def test_disabled_lets_all_pass_and_counts_nothing() -> None:
    made = Made(mode=State.DISABLED)
    made.call(DOWN, times=50)
    assert (made.breaker.state, made.breaker.snapshot().calls) == (State.DISABLED, 0)


def test_forced_open_refuses_for_as_long_as_it_is_told() -> None:
    made = Made()
    made.breaker.force(State.FORCED_OPEN)
    made.clock.now += 1_000_000
    assert "operator" in made.refused().message
    made.breaker.force(State.CLOSED)
    made.call()


def test_metrics_only_counts_and_says_once_that_it_would_open() -> None:
    made = Made(mode=State.METRICS_ONLY)
    made.call(DOWN, times=50)
    assert made.state() is State.METRICS_ONLY
    assert made.breaker.snapshot().failure_rate == 100
    assert [event.kind for event in made.events] == ["exceeded"]


def test_a_call_that_is_collected_while_the_lock_is_held_locks_nothing_up() -> None:
    collected: list[Any] = []

    class Collecting(Clock):
        """The clock is read inside the lock: there, as garbage collection might, it ends a call."""

        def __call__(self) -> float:
            if collected:
                collected.pop().end(DOWN, FAST)
            return super().__call__()

    breaker = Breaker("search", "S/unary", BreakerSettings(window_seconds=10), Collecting())
    collected += [breaker.acquire() for _ in range(9)]
    breaker.acquire().end(DOWN, FAST)
    assert not collected
    assert (breaker.state, breaker.snapshot().failed) == (State.OPEN, 10)


def test_reset_is_what_the_settings_say() -> None:
    made = Made(mode=State.METRICS_ONLY)
    made.breaker.force(State.OPEN)
    made.breaker.force(None)
    assert (made.breaker.state, made.breaker.snapshot().openings) == (State.METRICS_ONLY, 0)


def test_events_tell_the_whole_story(caplog: pytest.LogCaptureFixture) -> None:
    made = Made()
    with caplog.at_level(logging.INFO, logger="mesh.breaker"):
        made.half_open()
        made.call(DOWN, times=5)
        made.refused()
        made.clock.now += 30
        made.call(OK, times=5)
    closed, opened, half = State.CLOSED, State.OPEN, State.HALF_OPEN
    story = [(closed, opened), (opened, half), (half, opened), (opened, half), (half, closed)]
    assert made.transitions() == story
    assert [event.kind for event in made.events].count("rejected") == 1
    assert made.breaker.snapshot().transitions == {
        (closed, opened): 1,
        (opened, half): 2,
        (half, opened): 1,
        (half, closed): 1,
    }
    lines = [record for record in caplog.records if record.message == "circuit breaker"]
    assert [(line.__dict__["from"], line.__dict__["to"]) for line in lines] == [(a.value, b.value) for a, b in story]
    assert lines[0].__dict__["why"] == "10 of 10 calls failed"
    assert lines[0].levelno == logging.WARNING


def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def bad(_event: Event) -> None:
        raise RuntimeError("no")

    breaker = Breaker("search", "S/unary", BreakerSettings(), Clock(), [bad, heard.append])
    with caplog.at_level(logging.ERROR, logger="mesh.breaker"):
        for _ in range(10):
            breaker.acquire().end(DOWN, FAST)
    assert (breaker.state, len(heard)) == (State.OPEN, 1)
    assert "a listener of circuit breakers failed" in caplog.text


def test_a_listener_may_set_the_breaker() -> None:
    made = Made()

    def keep_closed(event: Event) -> None:
        if event.after is State.OPEN:
            made.breaker.force(State.CLOSED)

    breaker = made.breaker = Breaker("search", "S/unary", BreakerSettings(), made.clock, [keep_closed])
    made.call(DOWN, times=10)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window": 0}, "GAJI_BREAKER_WINDOW=0: must be from 1"),
        ({"window_seconds": -1}, "GAJI_BREAKER_WINDOW_SECONDS=-1"),
        ({"minimum_calls": 0}, "GAJI_BREAKER_MINIMUM_CALLS=0"),
        ({"failure_rate": 0}, "GAJI_BREAKER_FAILURE_RATE=0"),
        ({"failure_rate": 100.5}, "GAJI_BREAKER_FAILURE_RATE=100.5"),
        ({"slow_rate": 0}, "GAJI_BREAKER_SLOW_RATE=0"),
        ({"slow_seconds": 0}, "GAJI_BREAKER_SLOW_SECONDS=0"),
        ({"open_seconds": 0}, "GAJI_BREAKER_OPEN_SECONDS=0"),
        ({"open_multiplier": 0.5}, "GAJI_BREAKER_OPEN_MULTIPLIER=0.5"),
        ({"open_max_seconds": 29}, "GAJI_BREAKER_OPEN_MAX_SECONDS=29: must not be below GAJI_BREAKER_OPEN_SECONDS=30"),
        ({"half_open_calls": 0}, "GAJI_BREAKER_HALF_OPEN_CALLS=0"),
        ({"probe_seconds": 0}, "GAJI_BREAKER_PROBE_SECONDS=0"),
        ({"mode": State.OPEN}, "GAJI_BREAKER_MODE=open: must be closed, disabled or metrics_only"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_sense_name_their_variable(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.partition(":")[0]) as caught:
        BreakerSettings(**changes)
    assert words in str(caught.value)
