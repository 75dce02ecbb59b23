"""The windows of the circuit breaker against lists of all calls that there were."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.breaker.outcomes import FAILED, SLOW
from mesh.breaker.windows import CountWindow, TimeWindow, Window

KINDS = st.sampled_from([0, FAILED, SLOW, FAILED | SLOW])
SIZES = st.integers(1, 6)
LEAST = 1


@given(size=SIZES, kinds=st.lists(KINDS, max_size=30))
def test_a_count_window_holds_the_last_calls(size: int, kinds: list[int]) -> None:
    window = CountWindow(size, LEAST)
    for count, kind in enumerate(kinds, 1):
        window.record(kind)
        _assert_holds(window, kinds[max(0, count - size) : count])


@given(
    size=SIZES,
    start=st.floats(0, 10),
    # Pauses around whole seconds, and some that outlast the window.
    steps=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.75, 3.0, 5.0, 6.0, 40.0]), KINDS), max_size=30),
)
def test_a_time_window_holds_this_second_and_the_ones_before_it(
    size: int, start: float, steps: list[tuple[float, int]]
) -> None:
    now = start
    window = TimeWindow(size, LEAST, lambda: now)
    calls: list[tuple[int, int]] = []
    for pause, kind in steps:
        now += pause
        window.slide()
        _assert_holds(window, _within(calls, size, now))
        window.record(kind)
        calls.append((int(now), kind))
        _assert_holds(window, _within(calls, size, now))


@given(start=st.floats(0, 10), pauses=st.lists(st.floats(0, 9), max_size=20))
def test_recording_alone_lets_old_seconds_go(start: float, pauses: list[float]) -> None:
    now = start
    window = TimeWindow(3, LEAST, lambda: now)
    calls: list[tuple[int, int]] = []
    for pause in pauses:
        now += pause
        window.record(FAILED)
        calls.append((int(now), FAILED))
        _assert_holds(window, _within(calls, 3, now))


def _within(calls: list[tuple[int, int]], size: int, now: float) -> list[int]:
    return [kind for second, kind in calls if second > int(now) - size]


def _assert_holds(window: Window, kinds: list[int]) -> None:
    assert window.calls == len(kinds)
    assert window.failed == sum(bool(kind & FAILED) for kind in kinds)
    assert window.slow == sum(bool(kind & SLOW) for kind in kinds)
