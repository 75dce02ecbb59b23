"""Stretch around a passage over gRPC: its neighbours, the spoiler limit, who sees what, and every wrong request."""

import uuid
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.around import within_limit
from services.search.models import Passage
from tests.search.conftest import Stub, as_user, ingested
from tests.search.test_search_service import failure, find


async def around(stub: Stub, novel_id: str, passage_id: str, **fields: Any) -> pb.ReadAroundResponse:
    read: pb.ReadAroundResponse = await stub.ReadAround(
        pb.ReadAroundRequest(novel_id=novel_id, passage_id=passage_id, **fields)
    )
    return read


@pytest.fixture
async def book(search: Stub, story_id: str) -> list[pb.Passage]:
    """All of the story's passages in its order."""
    return sorted(await find(search, story_id, top_k=50), key=lambda passage: passage.position)


async def test_a_passage_is_read_with_those_around_it(search: Stub, story_id: str, book: list[pb.Passage]) -> None:
    middle = len(book) // 2
    read = await around(search, story_id, book[middle].id, before=1, after=1, until_chapter=9)
    assert [p.content for p in read.passages] == [p.content for p in book[middle - 1 : middle + 2]]
    assert (read.index, read.more_before, read.more_after, read.until_chapter) == (1, True, True, 9)
    assert [(p.previous_id, p.next_id) for p in read.passages] == [
        (p.previous_id, p.next_id) for p in book[middle - 1 : middle + 2]
    ]
    assert all(p.novel_id == story_id and p.chapter_title for p in read.passages)

    whole = await around(search, story_id, book[0].id, before=10, after=10, until_chapter=9)
    assert [p.id for p in whole.passages] == [p.id for p in book[:11]]
    assert (whole.index, whole.more_before, whole.more_after) == (0, False, len(book) > 11)
    alone = await around(search, story_id, book[-1].id, before=0, after=0)
    assert ([p.id for p in alone.passages], alone.more_before, alone.more_after) == ([book[-1].id], True, False)


async def test_nobody_reads_ahead_by_accident(search: Stub, story_id: str, book: list[pb.Passage]) -> None:
    for passage in book:
        read = await around(search, story_id, passage.id, before=10, after=10)
        shown = [p.id for p in book if p.position >= passage.position - 10 and p.chapter <= passage.chapter]
        assert [p.id for p in read.passages] == shown
        assert read.until_chapter == passage.chapter
        assert not read.more_after
        assert read.passages[-1].next_id == "", "nobody is led to the next chapter"


async def test_a_passage_beyond_the_limit_is_not_found(search: Stub, story_id: str, book: list[pb.Passage]) -> None:
    for passage in (book[-1].id, str(uuid.uuid4())):
        error = await failure(around(search, story_id, passage, until_chapter=2))
        assert (error.code.name, error.reason, list(error.fields)) == ("NOT_FOUND", "PASSAGE_NOT_FOUND", ["passage_id"])
    read = await around(search, story_id, book[0].id, after=10, until_chapter=2)
    assert {p.chapter for p in read.passages} == {1, 2}
    again = await around(search, story_id, book[0].id, after=10, until_chapter=2)
    assert again == read


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"novel_id": "17"}, "novel_id"),
        ({"passage_id": ""}, "passage_id"),
        ({"before": 11}, "before"),
        ({"after": -1}, "after"),
        ({"until_chapter": -1}, "until_chapter"),
    ],
)
async def test_what_is_wrong_is_named(search: Stub, story_id: str, fields: dict[str, Any], named: str) -> None:
    request = pb.ReadAroundRequest(**{"novel_id": story_id, "passage_id": str(uuid.uuid4()), **fields})
    error = await failure(search.ReadAround(request))
    assert (error.code.name, list(error.fields)) == ("INVALID_ARGUMENT", [named])


async def test_a_private_novel_is_read_by_its_owner_alone(search: Stub, bearer: Any) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner, public=False)
    query = pb.SearchPassagesRequest(novel_id=novel_id, query="lamp", top_k=1)
    (passage,) = (await search.SearchPassages(query, metadata=as_user(bearer(owner)))).passages
    request = pb.ReadAroundRequest(novel_id=novel_id, passage_id=passage.id)
    read = await search.ReadAround(request, metadata=as_user(bearer(owner)))
    assert passage.id in [p.id for p in read.passages]
    error = await failure(search.ReadAround(request, metadata=as_user(bearer(str(uuid.uuid4())))))
    assert error.reason == "NOVEL_NOT_FOUND"


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40).map(sorted),
    st.data(),
    st.integers(0, 10),
    st.integers(0, 10),
    st.integers(0, 5),
)
def test_what_is_shown_is_a_stretch_within_the_limit(
    chapters: list[int], data: st.DataObject, before: int, after: int, limit: int
) -> None:
    book = [
        Passage(f"p{n}", "", chapter, "", n, f"p{n - 1}" if n else "", f"p{n + 1}" if n + 1 < len(chapters) else "")
        for n, chapter in enumerate(chapters)
    ]
    at = data.draw(st.integers(0, len(book) - 1))
    stretch = book[max(0, at - before) : at + after + 2]
    reading = within_limit(stretch, book[at], before, after, limit)
    if book[at].chapter > limit:
        assert reading is None
        return
    assert reading is not None
    first, last = reading.passages[0].position, reading.passages[-1].position
    assert [p.position for p in reading.passages] == list(range(first, last + 1))
    assert reading.passages[reading.index].id == book[at].id
    assert first == max(0, at - before)
    assert reading.more_before == (first > 0)
    allowed = [p.position for p in book if p.chapter <= limit]
    assert last == min(at + after, allowed[-1])
    assert reading.more_after == (last < allowed[-1])
    assert bool(reading.passages[-1].next_id) == reading.more_after
