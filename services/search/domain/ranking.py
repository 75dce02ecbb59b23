"""Puts what was found into the order that is shown. A better ranking than distance alone goes here."""

from collections.abc import Sequence

from services.search.models import Found


def ranked(found: Sequence[Found], top_k: int) -> list[Found]:
    """The best passages, nearest first; equally near ones in the order of the novel."""
    return sorted(found, key=lambda one: (one.distance, one.passage.position))[:top_k]


def score(distance: float) -> float:
    """How well a passage fits, at most 1, higher is better: the cosine similarity."""
    return 1.0 - distance
