"""Domain to the vector store's rows and back. A row has an id, a document and metadata of plain values."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from services.search.models import Character, CharacterEdit, Edits, Novel, Passage, Place, Relation, Sample
from services.search.ports import Contents, Reading, Tokens
from services.search.stores import halves
from services.search.stores.halves import LEVEL

Metadata = Mapping[str, Any]

LENGTH = 127
"""Of a token's state; the number of its numbers is even."""
_SPREAD = 2.1
"""Levels to a deviation of numbers that are spread evenly: what is cut off at 7 is next to nothing."""


def row_id(generation: int, item_id: str) -> str:
    """The id of a passage's or character's row: two generations of a novel may hold the same item."""
    return f"{generation}:{item_id}"


def index_of(novel_id: str, generation: int) -> str:
    """What all rows of a generation of a novel have in common."""
    return f"{novel_id}:{generation}"


def place_of(novel_id: str, generation: int, chapter: int) -> str:
    """What all rows of a chapter have in common."""
    return f"{novel_id}:{generation}:{chapter}"


def novel_row(novel: Novel) -> dict[str, Any]:
    """The metadata of a novel's record."""
    return {
        "owner_id": novel.owner_id,
        "public": novel.public,
        "generation": novel.generation,
        "language": novel.language,
        "embedder": novel.embedder,
        "dimension": novel.dimension,
        "words": novel.words,
        "chapters": novel.chapters,
        "passages": novel.passages,
        "characters": novel.characters,
    }


def novel_of(novel_id: str, row: Metadata) -> Novel:
    """A novel's record."""
    return Novel(id=novel_id, **row)


def passage_row(novel_id: str, generation: int, passage: Passage, tokens: Tokens | None) -> dict[str, Any]:
    """The metadata of a passage, and its tokens where a model tells of them."""
    row = {} if tokens is None else {"tokens": _packed(tokens)}
    return row | {
        "novel_id": novel_id,
        "generation": generation,
        "index": index_of(novel_id, generation),
        "place": place_of(novel_id, generation, passage.chapter),
        "passage_id": passage.id,
        "chapter": passage.chapter,
        "chapter_title": passage.chapter_title,
        "position": passage.position,
        "previous_id": passage.previous_id,
        "next_id": passage.next_id,
    }


def passage_of(document: str, row: Metadata) -> Passage:
    """A passage."""
    return Passage(
        id=row["passage_id"],
        content=document,
        chapter=row["chapter"],
        chapter_title=row["chapter_title"],
        position=row["position"],
        previous_id=row["previous_id"],
        next_id=row["next_id"],
    )


def place(row: Metadata) -> Place:
    """Where a passage stands."""
    return Place(row["passage_id"], row["chapter"], row["chapter_title"], row["position"])


def contents_of(documents: Sequence[str], metadatas: Sequence[Metadata], vectors: npt.NDArray[np.float32]) -> Contents:
    """A generation's passages in the order of the novel; without tokens unless all of them have some."""
    order = sorted(range(len(documents)), key=lambda at: metadatas[at]["position"])
    passages = [passage_of(documents[at], metadatas[at]) for at in order]
    packed = [metadatas[at].get("tokens") for at in order]
    tokens = [_unpacked(one) for one in packed if one is not None]
    return Contents(passages, Reading(vectors[order], tokens if tokens and len(tokens) == len(packed) else None))


def _packed(tokens: Tokens) -> str:
    """Tokens as text, which the store has a type for: how many numbers each has, the ids, 4 bits for each number.

    The store keeps an index of all text, so that each byte is there twice; 4 bits find as much as 8.
    """
    numbers = tokens.states.shape[1]
    levels = np.rint(tokens.states.astype(np.float32) * (_SPREAD * math.sqrt(numbers) / LENGTH))
    data = tokens.ids.astype("<u2").tobytes() + halves.packed(np.clip(levels, -LEVEL, LEVEL).astype(np.int8))
    return f"{numbers}:{halves.text_of(data)}"


def _unpacked(text: str) -> Tokens:
    count_of, _, packed = text.partition(":")
    numbers, data = int(count_of), halves.bytes_of(packed)
    count = len(data) // (2 + numbers // 2)
    ids = data[: 2 * count].view("<u2").astype(np.uint16)
    levels = halves.unpacked(data[2 * count :], numbers).astype(np.float32)
    levels *= LENGTH / np.maximum(np.linalg.norm(levels, axis=1, keepdims=True), 1)
    return Tokens(ids, np.rint(levels).astype(np.int8))


def character_row(novel_id: str, generation: int, rank: int, character: Character) -> dict[str, Any]:
    """The metadata of a character; lists are JSON, which the store has no type for."""
    return {
        "novel_id": novel_id,
        "generation": generation,
        "index": index_of(novel_id, generation),
        "character_id": character.id,
        "rank": rank,
        "name": character.name,
        "aliases": json.dumps(character.aliases, ensure_ascii=False),
        "mentions": character.mentions,
        "first_chapter": character.first_chapter,
        "passage_ids": json.dumps(character.passage_ids),
        "importance": character.importance,
        "alias_chapters": json.dumps(character.alias_chapters),
        "relations": json.dumps([asdict(relation) for relation in character.relations], ensure_ascii=False),
        "samples": json.dumps([asdict(sample) for sample in character.samples], ensure_ascii=False),
    }


def character_of(document: str, row: Metadata) -> Character:
    """A character; rows of earlier releases lack what was not found then."""
    return Character(
        id=row["character_id"],
        name=row["name"],
        aliases=tuple(json.loads(row["aliases"])),
        description=document,
        mentions=row["mentions"],
        first_chapter=row["first_chapter"],
        passage_ids=tuple(json.loads(row["passage_ids"])),
        importance=row.get("importance", 0.0),
        alias_chapters=tuple(json.loads(row.get("alias_chapters", "[]"))),
        relations=tuple(Relation(**relation) for relation in json.loads(row.get("relations", "[]"))),
        samples=tuple(Sample(**sample) for sample in json.loads(row.get("samples", "[]"))),
    )


def edits_document(edits: Edits) -> str:
    """What a novel's owner has changed, as a document."""
    return json.dumps([asdict(edit) for edit in edits.edits], ensure_ascii=False)


def edits_of(document: str, row: Metadata) -> Edits:
    """What a novel's owner has changed."""
    made = [
        CharacterEdit(**(edit | {"aliases": None if edit["aliases"] is None else tuple(edit["aliases"])}))
        for edit in json.loads(document)
    ]
    return Edits(row["revision"], tuple(made))
