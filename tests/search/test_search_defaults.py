"""The passages that stand for a novel."""

from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.defaults import DEFAULTS, default_passages
from services.search.models import Character, Passage


def book(length: int) -> list[Passage]:
    return [Passage(f"p{n}", f"Text {n}.", n // 10 + 1, "", n) for n in range(length)]


def somebody(name: str, *places: int) -> Character:
    return Character(name, name, (), "", 1, 1, tuple(f"p{n}" for n in places))


@given(st.integers(0, 3000), st.lists(st.lists(st.integers(0, 2999), max_size=3), max_size=30))
def test_they_are_few_different_and_in_the_novels_order(length: int, shown: list[list[int]]) -> None:
    passages = book(length)
    people = [somebody(str(n), *(p for p in places if p < length)) for n, places in enumerate(shown)]
    found = default_passages(passages, people)
    assert len(found) == min(length, DEFAULTS)
    positions = [passage.position for passage in found]
    assert positions == sorted(set(positions))
    if length:
        assert positions[0] == 0
        assert positions[-1] == length - 1, "they reach from the beginning to the end"


def test_the_main_characters_are_shown_and_a_reader_of_the_beginning_gets_some() -> None:
    people = [somebody(str(n), 1000 + n, 1100 + n) for n in range(40)]
    found = default_passages(book(1200), people)
    positions = {passage.position for passage in found}
    assert {1000 + n for n in range(8)} <= positions
    assert sum(passage.chapter <= 12 for passage in found) >= 3


def test_a_novel_without_characters_has_some_from_everywhere() -> None:
    found = default_passages(book(1200), [])
    assert len(found) == DEFAULTS
