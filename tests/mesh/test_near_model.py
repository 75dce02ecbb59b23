"""Random lives of a near cache: values and news take any time on their way, clocks differ, watches are lost.

What is asked of it is written down from its purpose, not from its code: nothing older than the bound, nothing while no
watch is in place, nothing from before a lost watch.
"""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.near import Beat, Coverage, Gone, InPlace, NearCache, News, Ticket
from tests.mesh.breaker_clock import Clock

BOUND = 1.0
ROUNDING = 1e-3
KEYS = ("novel:1", "passages:1:a:5")
PREFIX = "passages:1:"
keys = st.sampled_from([*KEYS, KEYS[1]])


@dataclass
class Answer:
    """A value that was asked for: the cache reads it at one moment, and it comes at another."""

    key: str
    watch: int
    ticket: Ticket
    value: bytes | None


@dataclass
class Watch:
    """A watch on the cache's side, and what it has told that has not come yet."""

    number: int
    coverage: Coverage
    telling: bool = False
    coming: deque[News] = field(default_factory=deque)


class NearLife(RuleBasedStateMachine):
    """One near cache, the cache behind it, and who writes."""

    @initialize(offset=st.floats(-1e6, 1e6))
    def begin(self, offset: float) -> None:
        self.clock = Clock()
        self.offset = offset  # of the cache's clock
        self.near = NearCache(100_000, staleness=BOUND, clock=self.clock)
        self.version = dict.fromkeys(KEYS, 0)
        self.superseded: dict[bytes, float] = {}
        self.answers: list[Answer] = []
        self.watches = 0
        self.watch: Watch | None = None
        self.in_place = 0  # the number of the watch that is known here to be in place
        self.watch_anew()

    def current(self, key: str) -> bytes:
        return f"{key} {self.version[key]}".encode()

    @rule(key=keys, answered=st.sampled_from(["at once", "at once", "later", "and read later"]))
    def ask(self, key: str, answered: str) -> None:
        value = None if answered == "and read later" else self.current(key)
        self.answers.append(Answer(key, self.in_place, self.near.begin(key), value))
        if answered == "at once":
            self.an_answer_comes(last=True, fresh=60.0)

    @precondition(lambda self: self.answers)
    @rule(last=st.booleans(), fresh=st.sampled_from([60.0, 60.0, 0.5]))
    def an_answer_comes(self, last: bool, fresh: float) -> None:
        answer = self.answers.pop(-1 if last else 0)
        value = answer.value or self.current(answer.key)
        self.near.keep(answer.ticket, value + f" {answer.watch}".encode(), fresh)
        self.near.end(answer.ticket)

    @rule(key=keys, unwatched=st.booleans(), lost=st.booleans(), name=st.sampled_from([*KEYS, PREFIX]))
    def an_answer_takes_long(self, key: str, unwatched: bool, lost: bool, name: str) -> None:
        if unwatched:
            self.lose_the_watch()
        self.ask(key, "later")
        self.write(name, heard_at_once=not lost)
        if unwatched or lost:
            self.watch_anew()
        self.an_answer_comes(last=True, fresh=60.0)
        self.time_passes(1.1, well=True)

    @rule(key=keys, name=st.sampled_from([*KEYS, PREFIX, PREFIX]))
    def a_value_is_written_anew(self, key: str, name: str) -> None:
        self.ask(key, "at once")
        self.write(name, heard_at_once=True)
        self.time_passes(1.1, well=True)

    @rule(name=st.sampled_from([*KEYS, PREFIX, PREFIX]), heard_at_once=st.booleans())
    def write(self, name: str, heard_at_once: bool) -> None:
        for key in KEYS:
            if key.startswith(name):
                self.superseded[self.current(key)] = self.clock.now
                self.version[key] += 1
        if self.watch and self.watch.telling:
            self.watch.coming.append(Gone([], [name]) if name == PREFIX else Gone([name], []))
        if heard_at_once:
            self.all_news_comes()

    @rule(seconds=st.sampled_from([0.2, 0.6, 1.1]), well=st.booleans())
    def time_passes(self, seconds: float, well: bool) -> None:
        self.clock.now += seconds
        if well:
            self.the_cache_says_that_this_is_all()
            self.all_news_comes()

    @rule(key=keys)
    def news_is_held_up(self, key: str) -> None:
        self.all_news_comes()
        self.the_cache_says_that_this_is_all()
        self.write(key, heard_at_once=False)
        self.clock.now += 1.1
        self.some_news_comes()  # not that of the write

    @rule()
    def the_cache_says_that_this_is_all(self) -> None:
        if self.watch and self.watch.telling:
            self.watch.coming.append(Beat(self.clock.now + self.offset))

    @rule()
    def some_news_comes(self) -> None:
        if self.watch and self.watch.coming:
            news = self.watch.coming.popleft()
            self.watch.coverage.hear(news)
            if isinstance(news, InPlace):
                self.in_place = self.watch.number

    def all_news_comes(self) -> None:
        while self.watch and self.watch.coming:
            self.some_news_comes()

    # Mostly nothing happens to it, or there would be no values that could be wrong.
    @rule(step=st.sampled_from([*["goes on"] * 5, "falls silent", "is lost", "is asked for", "is in place", "anew"]))
    def the_watch(self, step: str) -> None:
        if step == "anew":
            self.watch_anew()
        elif step == "is lost":
            self.lose_the_watch()
        elif step == "is asked for" and not self.watch:
            self.ask_for_a_watch()
        elif step == "is in place" and self.watch and not self.watch.telling:
            self.the_watch_is_in_place()
        elif step == "falls silent" and self.watch:
            self.watch.telling = False

    def watch_anew(self) -> None:
        self.lose_the_watch()
        self.ask_for_a_watch()
        self.the_watch_is_in_place()
        self.all_news_comes()

    def lose_the_watch(self) -> None:
        self.watch = None
        self.in_place = 0
        self.near.lost()

    def ask_for_a_watch(self) -> None:
        self.watches += 1
        self.watch = Watch(self.watches, Coverage(self.near, self.clock.now))

    def the_watch_is_in_place(self) -> None:
        # One that has fallen silent never speaks again.
        if self.watch and self.watch.number > self.in_place and not self.watch.coming:
            self.watch.telling = True
            self.watch.coming.append(InPlace(self.clock.now + self.offset))

    @invariant()
    def nothing_wrong_is_given_out(self) -> None:
        for key in KEYS:
            found = self.near.get(key)
            if found is None:
                continue
            value, _, watch = found.rpartition(b" ")
            assert int(watch) == self.in_place != 0, "from before a lost watch, or without one"
            until = self.superseded.get(value)
            assert until is None or self.clock.now - until <= BOUND + ROUNDING, "older than the bound"


TestNearLife = NearLife.TestCase
TestNearLife.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    # How long drawing takes says more of the machine than of what is drawn.
    suppress_health_check=[HealthCheck.too_slow],
)
