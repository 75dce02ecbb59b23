"""Tables of contents over gRPC: from the index and from the store, up to a limit, and who sees which."""

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.search.config import SearchSettings
from services.search.domain.contents import listed
from services.search.models import Place
from tests.search.conftest import Stub, as_user, ingested, opened
from tests.search.stories import STORY
from tests.search.test_search_service import UNKNOWN, failure, find


async def chapters(stub: Stub, novel_id: str, **fields: Any) -> list[pb.Chapter]:
    return list((await stub.ListChapters(pb.ListChaptersRequest(novel_id=novel_id, **fields))).chapters)


async def test_a_table_names_each_chapter_and_its_first_passage(search: Stub, story_id: str) -> None:
    found = await chapters(search, story_id)
    assert [(one.chapter, one.title) for one in found] == [
        (1, "CHAPTER I. The Keeper"),
        (2, "CHAPTER II. The Storm"),
        (3, "CHAPTER III. The Ring"),
    ]
    book = sorted(await find(search, story_id, top_k=50), key=lambda passage: passage.position)
    counted = Counter(passage.chapter for passage in book)
    for one in found:
        assert one.first_passage_id == next(passage.id for passage in book if passage.chapter == one.chapter)
        assert one.passages == counted[one.chapter]


async def test_the_store_tells_the_same_as_the_index(search_settings: Callable[..., SearchSettings]) -> None:
    novel_id = str(uuid.uuid4())
    # Without values near, so that each answer is made anew.
    async with opened(search_settings(near_cache_bytes=0)) as stub:
        await ingested(stub, novel_id, "PREFACE\n\n" + "I thank the printers for their care. " * 12 + STORY)
        stored = await chapters(stub, novel_id)
        assert await find(stub, novel_id)  # brings the index into memory
        assert await chapters(stub, novel_id) == stored
    assert [one.chapter for one in stored] == [0, 1, 2, 3]


@pytest.mark.parametrize(("limit", "numbers"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (2_000_000, [1, 2, 3])])
async def test_nothing_beyond_the_limit_is_told(search: Stub, story_id: str, limit: int, numbers: list[int]) -> None:
    found = await chapters(search, story_id, until_chapter=limit)
    assert [one.chapter for one in found] == numbers
    assert found == (await chapters(search, story_id))[: len(numbers)]


async def test_a_novel_that_is_taken_in_again_has_a_new_table(search: Stub) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner)
    assert len(await chapters(search, novel_id)) == 3
    await ingested(search, novel_id, STORY[: STORY.index("CHAPTER III")], owner_id=owner)
    assert [one.chapter for one in await chapters(search, novel_id)] == [1, 2]


async def test_a_private_novels_table_is_its_owners(search: Stub, bearer: Any) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner, public=False)
    request = pb.ListChaptersRequest(novel_id=novel_id)
    assert (await search.ListChapters(request, metadata=as_user(bearer(owner)))).chapters
    for metadata in (as_user(bearer()), ()):
        error = await failure(search.ListChapters(request, metadata=metadata))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOVEL_NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "code", "wrong"),
    [
        ({"novel_id": UNKNOWN}, "NOT_FOUND", "novel_id"),
        ({"novel_id": "Emma"}, "INVALID_ARGUMENT", "novel_id"),
        ({"novel_id": UNKNOWN, "until_chapter": -1}, "INVALID_ARGUMENT", "until_chapter"),
    ],
)
async def test_wrong_requests(search: Stub, fields: dict[str, Any], code: str, wrong: str) -> None:
    error = await failure(search.ListChapters(pb.ListChaptersRequest(**fields)))
    assert (error.code.name, list(error.fields)) == (code, [wrong])


@given(st.lists(st.integers(0, 9), max_size=60), st.none() | st.integers(0, 12))
def test_any_novel(numbers: list[int], limit: int | None) -> None:
    places = [Place(f"p{at}", chapter, f"Chapter {chapter}", at) for at, chapter in enumerate(sorted(numbers))]
    allowed = [place for place in places if limit is None or place.chapter <= limit]
    found = listed(places, limit)
    assert sum(one.passages for one in found) == len(allowed)
    assert [one.chapter for one in found] == sorted({place.chapter for place in allowed})
    assert [one.first_passage_id for one in found] == [
        place.id for at, place in enumerate(allowed) if not at or allowed[at - 1].chapter != place.chapter
    ]
    assert all(one.title == f"Chapter {one.chapter}" for one in found)
