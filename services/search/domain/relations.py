"""Who has to do with whom: people who are named together, and kin."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import sqrt

from services.search.domain.kinship import Kinds
from services.search.models import Name, Passage, Relation

MAX_RELATIONS = 8
MIN_TOGETHER = 2
"""Passages that must name both, unless they are kin."""


def relations(
    names: Sequence[Name], ids: Sequence[str], passages: Sequence[Passage], kinds: Kinds
) -> list[tuple[Relation, ...]]:
    """The relations of each person, strongest first, at most `MAX_RELATIONS`.

    Args:
        names: the people.
        ids: their characters' ids.
        passages: the novel's; each is a window of about 120 words.
        kinds: who is whose kin.
    """
    present: dict[int, list[int]] = {}
    for person, name in enumerate(names):
        for position in name.places:
            present.setdefault(position, []).append(person)
    together: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], int] = {}
    for position in sorted(present):
        for pair in combinations(present[position], 2):
            together[pair] += 1
            first.setdefault(pair, position)
    found: list[list[Relation]] = [[] for _ in names]
    for pair in together.keys() | {(min(pair), max(pair)) for pair in kinds}:
        if together[pair] < MIN_TOGETHER and pair not in kinds and pair[::-1] not in kinds:
            continue
        strength = together[pair] / sqrt(len(names[pair[0]].places) * len(names[pair[1]].places))
        for whose, who in (pair, pair[::-1]):
            kin, said = kinds.get((whose, who), ("", None))
            seen = min(place for place in (first.get(pair), said) if place is not None)
            found[whose].append(
                Relation(
                    ids[who],
                    names[who].name,
                    kin,
                    round(strength, 4),
                    together[pair],
                    passages[seen].chapter,
                    passages[said].chapter if said is not None else 0,
                )
            )
    for each in found:
        each.sort(key=lambda one: (not one.kind, -one.strength, one.character_id))
    return [tuple(sorted(each[:MAX_RELATIONS], key=lambda one: -one.strength)) for each in found]
