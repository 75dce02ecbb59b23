"""Over whole novels and the real service: under a limit nothing that stands later is ever returned.

Every novel goes through ingestion, store and RPCs as always; only the vectors are made of hashes, since what may be
shown must not depend on what is near to what.
"""

import random
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.search.config import SearchSettings
from services.search.ports import Vectors
from services.search.providers import PROVIDERS
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
    """A novel as its passages tell, read through the service from the first to the last."""

    novel_id: str
    passages: list[pb.Passage]
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROVIDERS, "minilm", Hashes)
        folder, public = tmp_path_factory.mktemp("shelf"), jwt_keys.public
        async with opened(_settings(folder, public, embedder="minilm")) as stub:
            books = []
            for text in texts:
                novel_id = str(uuid.uuid4())
                await ingested(stub, novel_id, text)
                books.append(await read_whole(stub, novel_id))
            yield stub, books


async def read_whole(stub: Stub, novel_id: str) -> Book:
    found = await stub.SearchPassages(pb.SearchPassagesRequest(novel_id=novel_id, query="any", top_k=1))
    passage_id = found.passages[0].id
    passages: dict[int, pb.Passage] = {}
    for end in ("previous_id", "next_id"):
        at = passage_id
        while at:
            request = pb.ReadAroundRequest(
                novel_id=novel_id, passage_id=at, before=10, after=10, until_chapter=2_000_000_000
            )
            read = (await stub.ReadAround(request)).passages
            passages.update({one.position: one for one in read})
            at = getattr(read[0 if end == "previous_id" else -1], end)
    assert sorted(passages) == list(range(len(passages))), "one leads to the next, through the whole novel"
    people = await stub.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id, page_size=100))
    return Book(novel_id, [passages[n] for n in sorted(passages)], list(people.characters))


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

    for passage_id in ids[:3]:
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
    request = pb.ListCharactersRequest(novel_id=book.novel_id, page_size=100, until_chapter=limit)
    people = (await stub.ListCharacters(request)).characters
    later = {one.character_id for one in book.people if one.first_chapter > limit}
    assert not later & {one.character_id for one in people}
    for one in people:
        assert all(name in text for name in (one.name, *one.aliases))
        assert {book.chapter_of[passage_id] <= limit for passage_id in one.passage_ids} <= {True}
        assert one.first_chapter <= limit
        for part in one.description.split("\n\n"):
            assert " ".join(part.removesuffix("…").split()) in text
    for one in draw.sample(book.people, min(3, len(book.people))):
        single = pb.GetCharacterRequest(character_id=one.character_id, until_chapter=limit)
        known = {each.character_id: each for each in people}
        if one.character_id in known:
            assert (await stub.GetCharacter(single)).character == known[one.character_id]
        else:
            assert (await failure(stub.GetCharacter(single))).reason == "CHARACTER_BEYOND_LIMIT"


@settings(max_examples=16, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 2**32))
@example(share=0.0, seed=0)
@example(share=1.0, seed=1)
async def test_nothing_later_is_ever_returned(shelf: tuple[Stub, list[Book]], share: float, seed: int) -> None:
    stub, books = shelf
    draw = random.Random(seed)
    for book in books:
        limit = round(share * (book.chapters + 1))
        await passages_that_are_told(stub, book, limit, draw)
        await people_that_are_told_of(stub, book, limit, draw)
