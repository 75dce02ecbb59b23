"""What is left of an ingestion is said by the pace that was measured, and not where nobody knows it."""

from services.search.domain.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nobody_knows_before_anything_was_measured() -> None:
    clock = Clock()
    rest = Pace(clock).of("minilm", "storing", passages=100)
    assert rest.seconds() is None
    clock.now += 0.5
    rest.done(10)
    assert rest.seconds() is None, "half a second says nothing"


def test_the_pace_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    rest = Pace(clock).of("minilm", "storing", passages=1000)
    for done in (100, 200):
        clock.now += 10
        rest.done(done)
    assert rest.seconds() == 80
    for done in (202, 204, 206):  # somebody else uses the machine as well
        clock.now += 10
        rest.done(done)
    assert rest.seconds() == 5 * (1000 - 206)
    clock.now += 7
    assert rest.seconds() == 5 * (1000 - 206) - 7, "time passes between two words, too"


def test_it_never_says_less_than_nothing() -> None:
    clock = Clock()
    rest = Pace(clock).of("minilm", passages=10)
    clock.now += 2
    rest.done(9)
    clock.now += 60
    assert rest.seconds() == 0
    rest.next()
    assert rest.seconds() == 0


def test_a_later_novel_knows_from_the_start() -> None:
    clock = Clock()
    pace = Pace(clock)
    first = pace.of("minilm", "storing", passages=100)
    clock.now += 50
    first.next()
    assert first.seconds() is None, "nothing was stored yet, ever"
    clock.now += 10
    first.next()
    later = pace.of("minilm", "storing", passages=200)
    assert later.seconds() == 120
    assert pace.of("e5", "storing", passages=200).seconds() is None
    assert pace.of("e5", passages=0).seconds() is None


def test_works_that_follow_count() -> None:
    clock = Clock()
    pace = Pace(clock)
    first = pace.of("minilm", "storing", passages=100)
    clock.now += 50
    first.next()
    clock.now += 10
    first.next()
    later = pace.of("minilm", "storing", passages=200)
    clock.now += 10
    later.done(100)
    assert later.seconds() == 10 + 20
    clock.now += 10
    later.next()
    assert later.seconds() == 20
