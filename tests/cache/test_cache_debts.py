"""What is owed to a store that could not take it."""

from services.cache.domain import debts
from services.cache.domain.debts import Debts
from services.cache.ports import GroupPrefix

PREFIX = GroupPrefix("passages:1:", "passages:1")


def test_each_is_owed_once_and_the_latest_counts() -> None:
    owed = Debts()
    owed.owe(["a", "b"], [PREFIX])
    owed.owe(["a"], [])
    assert len(owed) == 3
    assert owed.take(2) == (["b"], [PREFIX])
    assert owed.take(2) == (["a"], [])
    assert not owed


def test_what_could_not_be_paid_is_owed_anew() -> None:
    owed = Debts()
    owed.owe(["a", "b"], [])
    owed.owe(*owed.take(1))
    assert owed.take(2) == (["b", "a"], [])


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    owed = Debts()
    assert owed.owe([str(n) for n in range(debts.MAX_DEBTS)], []) == 0
    assert owed.owe(["one", "two"], [PREFIX]) == 3
    assert len(owed) == debts.MAX_DEBTS
    assert owed.take(1) == (["3"], [])
