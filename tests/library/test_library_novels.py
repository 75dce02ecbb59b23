"""Novels: what is stored, what is refused, who may do what."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from gaji.library.v1 import novel_service_pb2 as pb

from mesh.errors import InvalidArgument, MeshError, NotFound, PermissionDenied, Unauthenticated, Unavailable
from mesh.pages import encode_token
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader, eventually

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


async def get(library: LibraryClient, reader: Reader, novel_id: str) -> pb.Novel:
    return (await reader.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=novel_id))).novel


async def delete(library: LibraryClient, reader: Reader, novel_id: str) -> None:
    await reader.call(library.novels.DeleteNovel, pb.DeleteNovelRequest(novel_id=novel_id))


async def titles(library: LibraryClient, reader: Reader) -> list[str]:
    response = await reader.call(library.novels.ListNovels, pb.ListNovelsRequest())
    return [novel.title for novel in response.novels]


async def test_a_novel_is_stored_and_ingested(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.gate.clear()
    request = pb.CreateNovelRequest(title=" The Tower ", author="A. N.", text="Chapter 1. Ada climbs.\n")
    created = await ada.call(library.novels.CreateNovel, request)
    assert created.status == pb.INGESTION_STATUS_PENDING
    search.gate.set()
    await library.watch(ada, created.novel_id)
    novel = await get(library, ada, created.novel_id)
    assert (novel.title, novel.author, novel.language, novel.owner_id) == ("The Tower", "A. N.", "en", ada.user_id)
    assert novel.status == pb.INGESTION_STATUS_COMPLETE
    assert (novel.words, novel.chapters, novel.passages, novel.characters) == (7, 3, 2, 1)
    assert search.texts[created.novel_id] == "Chapter 1. Ada climbs.\n"


async def test_the_longest_text_is_stored_whole(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    text = "é" * (4 * 1024 * 1024)
    novel_id = await library.novel(ada, text=text)
    await library.watch(ada, novel_id)
    assert search.texts[novel_id] == text


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n\t"}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "x" * (8 * 1024 * 1024 + 1)}, "text"),
        ({"title": ""}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"author": "x" * 201}, "author"),
        ({"language": "not a language"}, "language"),
        ({"language": "1234"}, "language"),
        ({"request_id": "has spaces"}, "request_id"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"visibility": 9}, "visibility"),
    ],
)
async def test_create_names_what_is_wrong(library: LibraryClient, fields: dict[str, Any], named: str) -> None:
    ada = await library.guest()
    with pytest.raises(InvalidArgument) as caught:
        await library.novel(ada, **fields)
    assert list(caught.value.fields) == [named]


async def test_the_same_request_makes_one_novel(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    ids = await asyncio.gather(*(library.novel(ada, request_id="once") for _ in range(8)))
    assert len(set(ids)) == 1
    assert await library.novel(bo, request_id="once") != ids[0]
    assert await library.novel(ada) != await library.novel(ada)
    with pytest.raises(InvalidArgument) as caught:
        await library.novel(ada, request_id="once", text="Another text.")
    assert (caught.value.reason, list(caught.value.fields)) == ("REQUEST_ID_REUSED", ["request_id"])


async def test_public_ones_are_shared_and_their_owners_alone_change_them(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    assert (await get(library, bo, novel_id)).visibility == pb.VISIBILITY_PUBLIC
    assert await titles(library, bo) == ["The Tower"]
    for act in (
        bo.call(library.novels.UpdateNovel, pb.UpdateNovelRequest(novel_id=novel_id, title="Mine")),
        delete(library, bo, novel_id),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await act
        assert list(caught.value.fields) == ["novel_id"]
    changed = await ada.call(library.novels.UpdateNovel, pb.UpdateNovelRequest(novel_id=novel_id, title="The Well"))
    assert (changed.novel.title, changed.novel.author) == ("The Well", "")
    assert (await get(library, bo, novel_id)).title == "The Well"


async def test_private_ones_are_not_found_by_others(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada, visibility=pb.VISIBILITY_PRIVATE)
    assert await titles(library, ada) == ["The Tower"]
    assert await titles(library, bo) == []
    for act in (
        get(library, bo, novel_id),
        bo.call(library.novels.UpdateNovel, pb.UpdateNovelRequest(novel_id=novel_id, title="Mine")),
        delete(library, bo, novel_id),
        library.watch(bo, novel_id),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == ["novel_id"]


async def test_the_shelf_may_be_private_by_setting(open_client: OpenLibrary) -> None:
    async with open_client(novel_visibility="private") as library:
        ada, bo = await library.guest(), await library.guest()
        await library.novel(ada)
        await library.novel(ada, title="Shared", visibility=pb.VISIBILITY_PUBLIC)
        assert await titles(library, bo) == ["Shared"]


async def test_every_call_needs_a_reader(library: LibraryClient) -> None:
    nobody, novel_id = library.nobody, str(uuid4())
    for act in (
        library.novel(nobody),
        get(library, nobody, novel_id),
        titles(library, nobody),
        nobody.call(library.novels.UpdateNovel, pb.UpdateNovelRequest(novel_id=novel_id)),
        delete(library, nobody, novel_id),
        library.watch(nobody, novel_id),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await act
        assert caught.value.reason == "TOKEN_MISSING"


@pytest.mark.parametrize(("novel_id", "error"), [("", InvalidArgument), ("17", InvalidArgument), (UNKNOWN, NotFound)])
async def test_malformed_and_unknown_ids(library: LibraryClient, novel_id: str, error: type[MeshError]) -> None:
    ada = await library.guest()
    for act in (
        get(library, ada, novel_id),
        ada.call(library.novels.UpdateNovel, pb.UpdateNovelRequest(novel_id=novel_id)),
        delete(library, ada, novel_id),
        library.watch(ada, novel_id),
    ):
        with pytest.raises(error) as caught:
            await act
        assert list(caught.value.fields) == ["novel_id"]


async def test_pages_follow_each_other(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    for number in range(7):
        await library.novel(ada if number % 2 else bo, title=f"Novel {number}")
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListNovelsRequest(page_size=3, page_token=token)
        response = await ada.call(library.novels.ListNovels, request)
        found += [novel.title for novel in response.novels]
        token = response.next_page_token
        if not token:
            break
        assert len(response.novels) == 3
    assert found == [f"Novel {number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"page_size": 101}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"page_token": encode_token("0001-01-01T00:00:00+14:00", UNKNOWN)}, "page_token"),  # in UTC, before the year 1
        ({"page_token": encode_token("9999-12-31T23:59:59-14:00", UNKNOWN)}, "page_token"),
        ({"page_token": encode_token("2026-01-01T00:00:00", UNKNOWN)}, "page_token"),
    ],
)
async def test_wrong_pages_are_named(library: LibraryClient, fields: dict[str, Any], named: str) -> None:
    ada = await library.guest()
    with pytest.raises(InvalidArgument) as caught:
        await ada.call(library.novels.ListNovels, pb.ListNovelsRequest(**fields))
    assert list(caught.value.fields) == [named]


async def test_deletion_reaches_search(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    assert novel_id in search.stored
    await delete(library, ada, novel_id)
    assert novel_id not in search.stored
    with pytest.raises(NotFound):
        await get(library, ada, novel_id)


async def test_deletion_with_search_down_is_made_up_for(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    search.trouble = Unavailable("down")
    await delete(library, ada, novel_id)
    with pytest.raises(NotFound):
        await get(library, ada, novel_id)
    assert novel_id in search.stored
    search.trouble = None
    await eventually(lambda: novel_id not in search.stored)
