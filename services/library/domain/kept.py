"""How much is kept of a novel, for conversations that must be begun and go on without search."""

from collections.abc import Sequence
from dataclasses import replace

from services.library.models import Character, StoredPassage

OF_SCENARIO, OF_NOVEL = 20, 16
"""How many are kept at most."""
CHARACTERS = 1_200
"""How long each is at most; search cuts them at some 700."""
PEOPLE, NAME, DESCRIPTION = 100, 200, 2_000
"""How many characters of a novel are kept at most, and how much of each; search finds no more, and shorter ones."""
SAMPLES, SAMPLE = 8, 300
"""How many lines of a character's own are kept at most, and how long each may be."""


def bounded(passages: Sequence[StoredPassage], most: int) -> list[StoredPassage]:
    """Passages as they are kept: not too many, none too long, none empty."""
    cut = [replace(passage, content=passage.content[:CHARACTERS].strip()) for passage in passages[:most]]
    return [passage for passage in cut if passage.content]


def people(characters: Sequence[Character]) -> list[Character]:
    """Characters of a novel as they are kept: not too many, none too long."""
    return [
        replace(
            character,
            name=character.name[:NAME],
            description=character.description[:DESCRIPTION],
            samples=[sample for sample in character.samples if len(sample.content) <= SAMPLE][:SAMPLES],
        )
        for character in characters[:PEOPLE]
    ]
