"""Passages that stand for a novel where nobody can search it: some from everywhere, and those that show its people."""

from collections.abc import Sequence

from services.search.models import Character, Passage

DEFAULTS = 16
_SPREAD = 8


def default_passages(passages: Sequence[Passage], characters: Sequence[Character]) -> list[Passage]:
    """At most `DEFAULTS` passages of a novel, in its order.

    Half of them are spread over the book, in squares and so denser at its beginning: a reader who has read three
    chapters of sixty still gets some. The others show the main characters, a passage each in the order of their
    importance; where there are too few of those, more are spread.

    Args:
        passages: all of the novel's, in its order.
        characters: most important first.
    """
    chosen = dict.fromkeys(_spread(len(passages), _SPREAD))
    at = {passage.id: position for position, passage in enumerate(passages)}
    for rank in range(max((len(character.passage_ids) for character in characters), default=0)):
        for character in characters[:DEFAULTS]:
            if len(chosen) < DEFAULTS and rank < len(character.passage_ids):
                chosen[at[character.passage_ids[rank]]] = None
    for position in _spread(len(passages), 2 * DEFAULTS):
        if len(chosen) < DEFAULTS:
            chosen[position] = None
    return [passages[position] for position in sorted(chosen)]


def _spread(length: int, count: int) -> list[int]:
    """Places from 0 to the last, at squares of even steps."""
    if length <= count:
        return list(range(length))
    return [round((length - 1) * (step / (count - 1)) ** 2) for step in range(count)]
