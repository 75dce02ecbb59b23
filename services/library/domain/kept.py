"""How much is kept of passages, for replies that must be written without search."""

from collections.abc import Sequence
from dataclasses import replace

from services.library.models import StoredPassage

OF_SCENARIO, OF_NOVEL = 20, 16
"""How many are kept at most."""
CHARACTERS = 1_200
"""How long each is at most; search cuts them at some 700."""


def bounded(passages: Sequence[StoredPassage], most: int) -> list[StoredPassage]:
    """Passages as they are kept: not too many, none too long, none empty."""
    cut = [replace(passage, content=passage.content[:CHARACTERS].strip()) for passage in passages[:most]]
    return [passage for passage in cut if passage.content]
