"""Over whole novels and the real service: under a limit nothing that stands later is ever returned.

Every novel goes through ingestion, store and RPCs as always; only the vectors are made of hashes, since what may be
shown must not depend on what is near to what.
"""

import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.search.config import SearchSettings
from services.search.models import Passage
from services.search.ports import Vectors
from services.search.providers import PROVIDERS
from services.search.stores.chroma import ChromaStore
from tests.fixtures.servers import JwtKeys
from tests.search.conftest import Stub, _settings, ingested, opened
from tests.search.stories import KOREAN_STORY, NOVELS, STORY
from tests.search.test_search_service import failure

WORDS = [
    "love",
    "death",
    "letter",
    "marriage",
    "house",
    "night",
    "sea",
    "blood",
    "fire",
    "아내",
    "돈",
    "비",
    "who",
    "was",
    "it",
    "that",
    "in",
    "the",
    "end",
    "and",
    "then",
    "what",
]


class Hashes:
    """An embedding provider of no meaning at all."""

    name, dimension, batch_size, parallel = "minilm", 8, 256, 1

    def __init__(self, _: SearchSettings) -> None:
        pass

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        vector = np.random.default_rng(crc32(text.encode())).standard_normal(self.dimension).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def close(self) -> None:
        pass


@dataclass
class Book:
    """A novel as it went into the store."""

    novel_id: str
    passages: list[Passage]
    people: list[pb.Character]

    def __post_init__(self) -> None:
        self.chapter_of = {passage.id: passage.chapter for passage in self.passages}
        self.chapters = max(passage.chapter for passage in self.passages)

    def text(self, until_chapter: int) -> str:
        """All that may be shown, in one line."""
        return " ".join(" ".join(p.content.split()) for p in self.passages if p.chapter <= until_chapter)


@pytest.fixture(scope="module")
async def shelf(tmp_path_factory: pytest.TempPathFactory, jwt_keys: JwtKeys) -> AsyncIterator[tuple[Stub, list[Book]]]:
    """The service with every novel that is at hand, or with the stories that are written for these tests."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(NOVELS.glob("*.txt"))] or [STORY, KOREAN_STORY]
    stored: dict[str, list[Passage]] = defaultdict(list)
    add_passages = ChromaStore.add_passages

    async def watched(self: Any, novel_id: str, generation: int, passages: Sequence[Passage], *rest: Any) -> None:
        stored[novel_id] += passages
        await add_passages(self, novel_id, generation, passages, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROVIDERS, "minilm", Hashes)
        patch.setattr(ChromaStore, "add_passages", watched)
        settings = _settings(tmp_path_factory.mktemp("shelf"), jwt_keys.public, embedder="minilm")
        async with opened(settings) as stub:
            books = []
            for text in texts:
                novel_id = str(uuid.uuid4())
                await ingested(stub, novel_id, text)
                people = await stub.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id, page_size=100))
                books.append(Book(novel_id, stored[novel_id], list(people.characters)))
            yield stub, books


async def passages_that_are_told(stub: Stub, book: Book, limit: int, draw: random.Random) -> None:
    """Asks in every way there is, and looks at every answer."""
    allowed = {passage_id for passage_id, chapter in book.chapter_of.items() if chapter <= limit}
    query = " ".join(draw.sample(WORDS, 4))
    found = await stub.SearchPassages(
        pb.SearchPassagesRequest(
            novel_id=book.novel_id, query=query, top_k=draw.choice([1, 10, 50]), until_chapter=limit
        )
    )
    assert {one.id for one in found.passages} <= allowed
    assert all(one.chapter <= limit for one in found.passages)
    assert found.passages or not allowed, "there is something to find"

    ids = draw.sample(list(book.chapter_of), min(60, len(book.chapter_of)))
    got = await stub.GetPassages(pb.GetPassagesRequest(novel_id=book.novel_id, passage_ids=ids, until_chapter=limit))
    assert [one.id for one in got.passages] == [one for one in ids if one in allowed]

    table = (await stub.ListChapters(pb.ListChaptersRequest(novel_id=book.novel_id, until_chapter=limit))).chapters
    assert {one.first_passage_id for one in table} <= allowed
    assert sum(one.passages for one in table) == len(allowed)

    for passage_id in ids[:2]:
        request = pb.ReadAroundRequest(
            novel_id=book.novel_id,
            passage_id=passage_id,
            before=draw.randint(0, 10),
            after=draw.randint(0, 10),
            until_chapter=limit,
        )
        if passage_id in allowed:
            read = (await stub.ReadAround(request)).passages
            assert {one.id for one in read} <= allowed
            assert {one.next_id for one in read} <= allowed | {""}
        else:
            assert (await failure(stub.ReadAround(request))).reason == "PASSAGE_NOT_FOUND"
        request.ClearField("until_chapter")
        read = (await stub.ReadAround(request)).passages
        assert max(one.chapter for one in read) == book.chapter_of[passage_id]


async def people_that_are_told_of(stub: Stub, book: Book, limit: int, draw: random.Random) -> None:
    text = book.text(limit)
    spelled = text.replace(". ", " ")  # "Mr. Grey" may be written "Mr Grey"
    request = pb.ListCharactersRequest(novel_id=book.novel_id, page_size=100, until_chapter=limit)
    people = (await stub.ListCharacters(request)).characters
    later = {one.character_id for one in book.people if one.first_chapter > limit}
    assert not later & {one.character_id for one in people}
    for one in people:
        # Up to the end they are those of the whole novel, as they were found.
        whole = limit >= book.chapters
        assert whole or all(name.replace(". ", " ") in spelled for name in (one.name, *one.aliases))
        assert {book.chapter_of[passage_id] <= limit for passage_id in one.passage_ids} <= {True}
        assert one.first_chapter <= limit
        assert whole or not one.relations, "of which nobody says where they stand"
        assert all(chapter <= limit for chapter in one.alias_chapters)
        for sample in one.speech_samples:
            assert sample.chapter == book.chapter_of[sample.passage_id] <= limit
        for part in one.description.split("\n\n"):
            assert " ".join(part.removesuffix("…").split()) in text
    for one in draw.sample(book.people, min(3, len(book.people))):
        single = pb.GetCharacterRequest(character_id=one.character_id, until_chapter=limit)
        known = {each.character_id: each for each in people}
        if one.character_id in known:
            assert (await stub.GetCharacter(single)).character == known[one.character_id]
        else:
            assert (await failure(stub.GetCharacter(single))).reason == "CHARACTER_BEYOND_LIMIT"


@settings(max_examples=4, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 2**32))
@example(share=0.0, seed=0)
@example(share=0.5, seed=1)
async def test_nothing_later_is_ever_returned(shelf: tuple[Stub, list[Book]], share: float, seed: int) -> None:
    stub, books = shelf
    draw = random.Random(seed)
    for book in books:
        await passages_that_are_told(stub, book, round(share * (book.chapters + 1)), draw)
    for book in draw.sample(books, min(3, len(books))):  # which costs more
        await people_that_are_told_of(stub, book, round(share * (book.chapters + 1)), draw)
