"""Random lives of a breaker beside a naive model, which keeps every call and computes everything anew each time.

The model is written from Resilience4j's documentation and the four rules that differ here, not from the code: it has no
rings, no totals, no eras and no short cuts.
"""

import gc
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.breaker import Breaker, BreakerSettings, State
from mesh.errors import Unavailable
from tests.mesh.breaker_clock import Clock

Code = grpc.StatusCode
BAD = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}
NO_MATTER = {None, Code.CANCELLED, Code.RESOURCE_EXHAUSTED}
CODES: st.SearchStrategy[Code | None] = st.sampled_from([Code.OK, Code.UNAVAILABLE]) | st.sampled_from([None, *Code])
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 1.01, 30.0])
PAUSES = st.sampled_from([0.0, 0.3, 1.0, 2.5, 7.0, 10.0, 1e6]) | st.floats(0, 30)


@dataclass
class Call:
    """A call as the model knows it."""

    period: int
    began: float
    probing: bool
    open: bool = True


@dataclass
class Result:
    """How a call went that counts."""

    at: float
    failed: bool
    slow: bool


@dataclass
class Model:
    """What a breaker should be, by the book."""

    rules: BreakerSettings
    state: State
    now: float = 1000.0
    period: int = 0
    since: float = 1000.0
    openings: int = 0
    results: list[Result] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refused: int = 0
    changes: list[tuple[State, State]] = field(default_factory=list)

    def enter(self, state: State, openings: int) -> None:
        if state is not self.state:
            self.changes.append((self.state, state))
        self.state, self.openings, self.since = state, openings, self.now
        self.period += 1
        self.results = []

    def wait(self) -> float:
        grown = self.rules.open_seconds * self.rules.open_multiplier ** (self.openings - 1)
        return min(grown, self.rules.open_max_seconds)

    def counted(self) -> list[Result]:
        if self.state is State.HALF_OPEN:
            return self.results
        if self.rules.window_seconds:
            return [r for r in self.results if int(r.at) > int(self.now) - self.rules.window_seconds]
        return self.results[-self.rules.window :]

    def minimum(self) -> int:
        if self.state is State.HALF_OPEN:
            return min(self.rules.minimum_calls, self.rules.half_open_calls)
        if self.rules.window_seconds:
            return self.rules.minimum_calls
        return min(self.rules.minimum_calls, self.rules.window)

    def probing(self) -> list[Call]:
        return [call for call in self.calls if call.open and call.probing and call.period == self.period]

    def begin(self) -> Call | None:
        if self.state is State.OPEN and self.now >= self.since + self.wait():
            self.enter(State.HALF_OPEN, self.openings)
        if self.state is State.HALF_OPEN:
            places = self.rules.half_open_calls - len(self.results)
            if len(self.probing()) >= places:
                for call in self.probing():
                    if self.now - call.began >= self.rules.probe_seconds:
                        call.open = False
            if len(self.probing()) >= places:
                self.refused += 1
                return None
        elif self.state in {State.OPEN, State.FORCED_OPEN}:
            self.refused += 1
            return None
        call = Call(self.period, self.now, self.state is State.HALF_OPEN)
        self.calls.append(call)
        return call

    def end(self, call: Call, code: Code | None, seconds: float) -> None:
        was_open, call.open = call.open, False
        if was_open and call.period == self.period and code not in NO_MATTER:
            self.result(Result(self.now, code in BAD, seconds > self.rules.slow_seconds))

    def observe(self, code: Code, seconds: float) -> None:
        if self.state in {State.CLOSED, State.METRICS_ONLY}:
            if code in BAD:
                self.result(Result(self.now, failed=True, slow=False))
            elif code is Code.OK and seconds > self.rules.slow_seconds:
                self.result(Result(self.now, failed=False, slow=True))

    def result(self, result: Result) -> None:
        if self.state is State.DISABLED:
            return
        self.results.append(result)
        rates = self.rates()
        if rates is None or self.state is State.METRICS_ONLY:
            return
        if rates[0] >= self.rules.failure_rate or rates[1] >= self.rules.slow_rate:
            self.enter(State.OPEN, self.openings + 1)
        elif self.state is State.HALF_OPEN:
            self.enter(State.CLOSED, 0)

    def rates(self) -> tuple[Fraction, Fraction] | None:
        counted = self.counted()
        if not counted or len(counted) < self.minimum():
            return None
        failed, slow = sum(r.failed for r in counted), sum(r.slow for r in counted)
        return Fraction(100 * failed, len(counted)), Fraction(100 * slow, len(counted))


class Lives(RuleBasedStateMachine):
    """Drives both."""

    @initialize(
        window=st.integers(1, 6),
        seconds=st.sampled_from([0, 0, 1, 3]),
        minimum=st.integers(1, 6),
        rates=st.tuples(st.sampled_from([1, 34, 50, 100]), st.sampled_from([1, 50, 100])),
        multiplier=st.sampled_from([1, 2, 3]),
        probes=st.integers(1, 4),
        mode=st.sampled_from([State.CLOSED, State.CLOSED, State.CLOSED, State.METRICS_ONLY, State.DISABLED]),
    )
    def begin_life(self, **drawn: Any) -> None:
        rules = BreakerSettings(
            mode=drawn["mode"],
            window=drawn["window"],
            window_seconds=drawn["seconds"],
            minimum_calls=drawn["minimum"],
            failure_rate=drawn["rates"][0],
            slow_rate=drawn["rates"][1],
            slow_seconds=1,
            open_seconds=7,
            open_multiplier=drawn["multiplier"],
            open_max_seconds=40,
            half_open_calls=drawn["probes"],
            probe_seconds=10,
        )
        self.clock = Clock()
        self.breaker = Breaker("peer", "S/unary", rules, self.clock, [])
        self.model = Model(rules, drawn["mode"])
        self.running: list[tuple[Any, Call]] = []
        self.ended: list[Any] = []

    @rule(times=st.integers(1, 5))
    def calls_begin(self, times: int) -> None:
        for _ in range(times):
            self.one_begins()

    def one_begins(self) -> None:
        expected = self.model.begin()
        if expected is None:
            with pytest.raises(Unavailable) as caught:
                self.breaker.acquire()
            assert caught.value.reason == "CIRCUIT_OPEN"
            if self.model.state is State.OPEN:
                left = self.model.since + self.model.wait() - self.model.now
                assert caught.value.retry_after == pytest.approx(left)
        else:
            self.running.append((self.breaker.acquire(), expected))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), code=CODES, seconds=SECONDS)
    def a_call_ends(self, data: st.DataObject, code: Code | None, seconds: float) -> None:
        index = data.draw(st.integers(0, len(self.running) - 1))
        permit, call = self.running.pop(index)
        permit.end(code, seconds)
        self.model.end(call, code, seconds)
        self.ended.append(permit)

    @precondition(lambda self: self.running)
    @rule(code=st.sampled_from([Code.OK, Code.UNAVAILABLE]), times=st.integers(1, 6))
    def calls_end_alike(self, code: Code, times: int) -> None:
        for _ in range(min(times, len(self.running))):
            permit, call = self.running.pop()
            permit.end(code, 0.1)
            self.model.end(call, code, 0.1)

    @rule(
        code=st.sampled_from([Code.OK, Code.OK, Code.UNAVAILABLE]),
        times=st.integers(1, 8),
        seconds=SECONDS,
        pause=st.sampled_from([0, 0, 0.3, 1.0]),
    )
    def calls_pass(self, code: Code, times: int, seconds: float, pause: float) -> None:
        for _ in range(times):
            self.time_passes(pause)  # with nobody looking in between
            before = len(self.running)
            self.one_begins()
            if len(self.running) > before:
                permit, call = self.running.pop()
                permit.end(code, seconds)
                self.model.end(call, code, seconds)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), code=CODES, seconds=SECONDS)
    def a_call_ends_again(self, data: st.DataObject, code: Code | None, seconds: float) -> None:
        data.draw(st.sampled_from(range(len(self.ended))).map(self.ended.__getitem__)).end(code, seconds)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_permit_is_dropped(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.running) - 1))
        self.running.pop(index)[1].open = False
        gc.collect(0)

    @rule(code=st.sampled_from(list(Code)), seconds=SECONDS)
    def a_stream_is_observed(self, code: Code, seconds: float) -> None:
        self.breaker.observe(code, seconds)
        self.model.observe(code, seconds)

    @rule(seconds=PAUSES)
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.model.now = self.clock.now

    @precondition(lambda self: self.model.state is State.OPEN)
    @rule()
    def the_wait_ends(self) -> None:
        self.time_passes(40)
        self.one_begins()

    @precondition(lambda self: self.model.state is State.HALF_OPEN)
    @rule(ends=st.integers(0, 4), seconds=st.sampled_from([9.9, 10]), code=st.sampled_from([Code.OK, Code.UNAVAILABLE]))
    def probes_hang(self, ends: int, seconds: float, code: Code) -> None:
        self.calls_begin(5)
        hanging = list(self.running)
        self.time_passes(seconds)
        self.calls_begin(3)
        for permit, call in hanging[:ends]:
            self.running.remove((permit, call))
            permit.end(code, 0.1)
            self.model.end(call, code, 0.1)
            self.they_agree()

    @rule(state=st.sampled_from([None, *State]))
    def an_operator_acts(self, state: State | None) -> None:
        self.breaker.force(state)
        chosen = self.model.rules.mode if state is None else state
        self.model.enter(chosen, 1 if chosen is State.OPEN else 0)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        now, model = self.breaker.snapshot(), self.model
        if now.probes != len(model.probing()):
            gc.collect()  # what was dropped may hang in a cycle that is older than the permit
            now = self.breaker.snapshot()
        assert now.state is model.state
        assert now.rejected == model.refused
        assert now.openings == model.openings
        assert sum(now.transitions.values()) == len(model.changes)
        assert now.probes == len(model.probing())
        if model.state is State.HALF_OPEN:
            assert now.probes + now.calls <= model.rules.half_open_calls
        if model.state is State.OPEN:
            assert now.seconds_left == pytest.approx(max(0.0, model.since + model.wait() - model.now), abs=1e-6)
        else:
            counted, rates = model.counted(), model.rates()
            assert now.calls == len(counted)
            assert now.failed == sum(r.failed for r in counted)
            assert now.slow == sum(r.slow for r in counted)
            assert (now.failure_rate is None) is (rates is None)

    def teardown(self) -> None:
        """Nothing leaks: whatever is still running, a half-open breaker comes to a decision."""
        if not hasattr(self, "model"):
            return
        self.breaker.force(State.OPEN)
        self.clock.now += 10
        held = [self.breaker.acquire() for _ in range(self.model.rules.half_open_calls)]
        with pytest.raises(Unavailable):
            self.breaker.acquire()
        held[:] = []
        for _ in range(self.model.rules.half_open_calls):
            if self.breaker.state is State.HALF_OPEN:
                self.breaker.acquire().end(Code.OK, 0)
        assert self.breaker.state is State.CLOSED


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    # How long drawing takes says more of the machine than of what is drawn.
    suppress_health_check=[HealthCheck.too_slow],
)
