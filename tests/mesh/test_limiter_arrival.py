"""What callers wait before a handler, told from their stamps, and rounds of the loop."""

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.limiter import Arrivals, LoopLag, stamp


def sent(now: float) -> str:
    return stamp(now)[1]


@given(offset=st.floats(-1e6, 1e6), wait=st.floats(0, 1))
def test_a_wait_is_told_whatever_the_peers_clock_says(offset: float, wait: float) -> None:
    """Nobody knows how far two clocks are apart."""
    arrivals = Arrivals()
    assert arrivals.waited("peer", sent(offset), 0.0) == pytest.approx(0, abs=1e-4)
    assert arrivals.waited("peer", sent(offset + 0.01 - wait), 0.01) == pytest.approx(wait, abs=1e-3)


def test_after_a_pause_nobody_has_waited() -> None:
    """So a clock that was set puts itself right."""
    arrivals = Arrivals()
    arrivals.waited("peer", sent(100.0), 0.0)
    assert arrivals.waited("peer", sent(94.0), 0.01) == pytest.approx(6, abs=0.1)
    assert arrivals.waited("peer", sent(95.0), 1.0) == 0
    assert arrivals.waited("peer", sent(95.01), 1.01) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("first", [0.0, 1e9, 1.7e305])
@given(stamps=st.lists(st.floats(-1.7e305, 1.7e305), min_size=1, max_size=20))
def test_no_stamp_makes_a_call_wait_longer_than_calls_live(first: float, stamps: list[float]) -> None:
    """Or one stranger's clock would be what everybody's calls usually take."""
    arrivals = Arrivals()
    arrivals.waited("peer", sent(first), 0.0)
    for number, each in enumerate(stamps, 1):
        assert 0 <= arrivals.waited("peer", sent(each), number / 1000) <= 10
    assert 0 <= arrivals.waiting() < math.inf


def test_a_clock_that_was_set_far_back_is_learnt_anew() -> None:
    """Though calls never pause; a machine that was suspended counts on from where it stood."""
    arrivals = Arrivals()
    for number in range(1000):
        now = number / 100
        waited = arrivals.waited("peer", sent(now if now < 5 else now - 600), now)
    assert waited == pytest.approx(0, abs=1e-4)
    assert arrivals.waiting() == 0


def test_how_many_wait_is_littles_law() -> None:
    """A thousand a second, each of which has waited 50 ms: fifty."""
    arrivals = Arrivals()
    arrivals.waited("peer", sent(0.0), 0.0)
    for number in range(1, 1000):
        now = number / 1000
        arrivals.waited("peer", sent(now - 0.05), now)
    assert arrivals.waiting() == pytest.approx(50, rel=0.1)


def test_a_burst_is_no_queue() -> None:
    """Fifty at once every 100 ms, each of which waits for those before it: the queue is empty in between."""
    arrivals = Arrivals()
    arrivals.waited("peer", sent(0.0), 0.0)
    for burst in range(20):
        for place in range(50):
            came = burst / 10
            arrivals.waited("peer", sent(came), came + place / 1000)
        assert arrivals.waiting() < 5


@pytest.mark.parametrize("text", [None, "", "yesterday", "1e999", "nan"])
def test_a_call_without_a_stamp_has_waited_as_the_last_one(text: str | None) -> None:
    """Or has not waited, as long as nobody has."""
    arrivals = Arrivals()
    assert arrivals.waited("peer", text, 0.0) == 0
    arrivals.waited("peer", sent(0.0), 0.01)
    arrivals.waited("peer", sent(-0.48), 0.02)
    assert arrivals.waited("other", text, 0.021) == pytest.approx(0.49, abs=1e-3)


def test_peers_are_forgotten() -> None:
    """However many there are, memory is bounded."""
    arrivals = Arrivals()
    for number in range(5000):
        arrivals.waited(f"peer {number}", sent(0.0), number / 1000)
    assert len(arrivals._peers) <= 1024


async def test_a_busy_loop_has_long_rounds() -> None:
    """Callbacks that take their time, and then none."""
    loop, lag, work = asyncio.get_running_loop(), LoopLag(time.perf_counter), True

    def busy() -> None:
        end = time.perf_counter() + 0.01
        while time.perf_counter() < end:
            pass
        if work:
            loop.call_soon(busy)

    loop.call_soon(busy)
    async with asyncio.timeout(30):
        while lag.seconds < 0.008:
            lag.arrived(time.perf_counter(), loop)
            await asyncio.sleep(0)
        work = False
        while lag.seconds > 0.004:
            lag.arrived(time.perf_counter(), loop)
            await asyncio.sleep(0.001)
