"""The shares of a limit, under whatever comes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.limiter import Partitions
from mesh.priority import BATCH, INTERACTIVE

NAMES = (INTERACTIVE, BATCH)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=300)


@given(limit=st.integers(1, 60), steps=STEPS)
def test_shares_hold_whatever_comes(limit: int, steps: list[tuple[str, bool]]) -> None:
    """A model: below the limit anybody may, from there on each up to its share; nothing else is refused or granted."""
    partitions, model = Partitions(), dict.fromkeys(NAMES, 0)
    for name, comes in steps:
        if comes:
            share = max(1, math.ceil(round(limit * (0.9 if name == INTERACTIVE else 0.1), 6)))
            expected = sum(model.values()) < limit or model[name] < share
            assert partitions.acquire(name, limit) is expected
            model[name] += expected
        elif model[name]:
            partitions.release(name)
            model[name] -= 1
        assert partitions.in_flight == model
        assert partitions.total <= limit + max(partitions.share(other, limit) for other in NAMES)


@given(limit=st.integers(1, 200), greedy=st.sampled_from(NAMES))
def test_what_others_took_does_not_take_a_share(limit: int, greedy: str) -> None:
    """One partition takes all that it can get; the other still has its share."""
    partitions = Partitions()
    taken = sum(partitions.acquire(greedy, limit) for _ in range(2 * limit))
    assert taken == limit
    (modest,) = set(NAMES) - {greedy}
    granted = sum(partitions.acquire(modest, limit) for _ in range(2 * limit))
    assert granted == partitions.share(modest, limit)


@given(limit=st.integers(10, 100))
def test_calls_that_wait_before_the_door_count(limit: int) -> None:
    """Nobody is in flight, and still there is no room."""
    partitions = Partitions()
    assert not partitions.acquire(INTERACTIVE, limit, waiting=2.0 * limit)
    assert partitions.acquire(INTERACTIVE, limit, waiting=0.0)


@pytest.mark.parametrize("shares", [{}, {"a": -0.1}, {"a": 0.6, "b": 0.6}], ids=["none", "negative", "too much"])
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float]) -> None:
    """The message shows them."""
    with pytest.raises(ValueError, match="shares"):
        Partitions(shares)
