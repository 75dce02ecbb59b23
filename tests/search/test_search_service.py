"""Searching over gRPC: answers, limits, the spoiler filter, who sees what, and every wrong request."""

import uuid
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb

from mesh.errors import MeshError, from_rpc_error
from tests.search.conftest import Stub, as_user, ingested
from tests.search.stories import KOREAN_STORY, STORY

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def failure(call: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def find(stub: Stub, novel_id: str, query: str = "Who put out the lamp?", **fields: Any) -> list[pb.Passage]:
    answer = await stub.SearchPassages(pb.SearchPassagesRequest(novel_id=novel_id, query=query, **fields))
    return list(answer.passages)


async def test_the_best_passage_comes_first(search: Stub, story_id: str) -> None:
    passages = await find(search, story_id, "the tide brought in a ring with a black stone and her uncle threw it away")
    assert "threw it as far as he could" in passages[0].content
    assert passages[0].chapter == 3
    assert passages[0].chapter_title == "CHAPTER III. The Ring"
    assert passages[0].novel_id == story_id
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)
    assert all(0 < p.score < 1 and 0 <= p.distance <= 2 for p in passages)
    assert len({p.id for p in passages}) == len(passages)


async def test_top_k(search: Stub, story_id: str) -> None:
    everything = await find(search, story_id, top_k=50)
    assert 5 <= len(everything) < 50
    assert [p.position for p in sorted(everything, key=lambda p: p.position)] == list(range(len(everything)))
    assert [p.id for p in await find(search, story_id, top_k=2)] == [p.id for p in everything[:2]]
    assert len(await find(search, story_id)) == min(10, len(everything))


async def test_spoilers_are_filtered(search: Stub, story_id: str) -> None:
    query = "the ring is thrown into the sea"
    assert {p.chapter for p in await find(search, story_id, query, until_chapter=3)} == {1, 2, 3}
    assert {p.chapter for p in await find(search, story_id, query, until_chapter=2)} == {1, 2}
    assert {p.chapter for p in await find(search, story_id, query, until_chapter=1)} == {1}
    assert await find(search, story_id, query, until_chapter=0) == []
    assert {p.chapter for p in await find(search, story_id, query, until_chapter=2_000_000_000)} == {1, 2, 3}


async def test_chapter_zero_may_be_read(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(search, novel_id, "PREFACE\n\n" + "I thank the printers for their care. " * 12 + STORY)
    assert {p.chapter for p in await find(search, novel_id, until_chapter=0)} == {0}


async def test_passages_by_id(search: Stub, story_id: str) -> None:
    everything = await find(search, story_id, top_k=50)
    wanted = [everything[3].id, everything[0].id, str(uuid.uuid4()), everything[3].id]
    answer = await search.GetPassages(pb.GetPassagesRequest(novel_id=story_id, passage_ids=wanted))
    assert [p.id for p in answer.passages] == [wanted[0], wanted[1], wanted[3]]
    assert answer.passages[0].content == everything[3].content
    assert answer.passages[0].score == 0
    last = max(everything, key=lambda p: p.position)
    first = min(everything, key=lambda p: p.position)
    limited = pb.GetPassagesRequest(novel_id=story_id, passage_ids=[last.id, first.id], until_chapter=2)
    assert [p.id for p in (await search.GetPassages(limited)).passages] == [first.id]


async def test_neighbours_lead_through_the_novel(search: Stub, story_id: str) -> None:
    by_id = {p.id: p for p in await find(search, story_id, top_k=50)}
    at = next(p for p in by_id.values() if not p.previous_id)
    seen = [at.position]
    while at.next_id:
        at = by_id[at.next_id]
        seen.append(at.position)
    assert seen == list(range(len(by_id)))


async def test_characters(search: Stub, story_id: str) -> None:
    answer = await search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id))
    assert [c.name for c in answer.characters] == ["Marian", "Mr. Tolliver", "Captain Brandt"]
    assert answer.next_page_token == ""
    marian = answer.characters[0]
    got = await search.GetCharacter(pb.GetCharacterRequest(character_id=marian.character_id))
    assert got.character == marian
    assert got.character.novel_id == story_id
    shown = await search.GetPassages(pb.GetPassagesRequest(novel_id=story_id, passage_ids=marian.passage_ids))
    assert len(shown.passages) == len(marian.passage_ids) > 0


async def test_pages_of_characters(search: Stub, story_id: str) -> None:
    names, token = [], ""
    for _ in range(3):
        page = await search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, page_size=1, page_token=token))
        names += [c.name for c in page.characters]
        token = page.next_page_token
    assert names == ["Marian", "Mr. Tolliver", "Captain Brandt"]
    assert token == ""


async def test_private_novels_are_their_owners_alone(search: Stub, bearer: Any) -> None:
    novel_id, owner, other = (str(uuid.uuid4()) for _ in range(3))
    await ingested(search, novel_id, owner_id=owner, public=False)
    query = pb.SearchPassagesRequest(novel_id=novel_id, query="lamp")
    mine, theirs = as_user(bearer(owner)), as_user(bearer(other))
    assert (await search.SearchPassages(query, metadata=mine)).passages
    listed = await search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id), metadata=mine)
    character = pb.GetCharacterRequest(character_id=listed.characters[0].character_id)
    assert (await search.GetCharacter(character, metadata=mine)).character.name == "Marian"
    for metadata in (theirs, ()):
        error = await failure(search.SearchPassages(query, metadata=metadata))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOVEL_NOT_FOUND")
        assert list(error.fields) == ["novel_id"]
        error = await failure(search.GetCharacter(character, metadata=metadata))
        assert (error.code, list(error.fields)) == (grpc.StatusCode.NOT_FOUND, ["character_id"])
    error = await failure(search.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id), metadata=theirs))
    assert error.code == grpc.StatusCode.NOT_FOUND
    assert (await search.SearchPassages(query, metadata=mine)).passages


async def test_only_the_owner_changes_a_public_novel(search: Stub, bearer: Any) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner)
    request = pb.DeleteNovelRequest(novel_id=novel_id)
    error = await failure(search.DeleteNovel(request, metadata=as_user(bearer())))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_THE_OWNER")
    await search.DeleteNovel(request, metadata=as_user(bearer(owner)))
    assert (await failure(find(search, novel_id))).code == grpc.StatusCode.NOT_FOUND


async def test_a_korean_novel_is_searched_by_its_own_model(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    events = await ingested(search, novel_id, KOREAN_STORY)
    assert (events[-1].complete.language, events[-1].complete.chapters) == ("ko", 2)
    passages = await find(search, novel_id, "떠났던 아버지가 배를 타고 돌아왔다")
    assert passages[0].chapter == 2
    assert await find(search, novel_id, "father comes home", until_chapter=0) == []


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"query": ""}, "query"),
        ({"query": " \n\t "}, "query"),
        ({"query": "x" * 4001}, "query"),
        ({"query": "x" * 100_000}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 51}, "top_k"),
        ({"top_k": -1}, "top_k"),
        ({"until_chapter": -1}, "until_chapter"),
        ({"novel_id": ""}, "novel_id"),
        ({"novel_id": "1 OR 1=1"}, "novel_id"),
    ],
)
async def test_wrong_searches(search: Stub, story_id: str, fields: dict[str, Any], wrong: str) -> None:
    given = {"novel_id": story_id, "query": "lamp"} | fields
    error = await failure(search.SearchPassages(pb.SearchPassagesRequest(**given)))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert list(error.fields) == [wrong]


async def test_a_query_is_measured_without_its_margins(search: Stub, story_id: str) -> None:
    assert await find(search, story_id, " " * 50 + "lamp " * 799 + "lamp" + "\n" * 50)


async def test_other_wrong_requests(search: Stub, story_id: str) -> None:
    calls = [
        (search.GetPassages(pb.GetPassagesRequest(novel_id=story_id)), "passage_ids"),
        (search.GetPassages(pb.GetPassagesRequest(novel_id=story_id, passage_ids=["x"])), "passage_ids"),
        (search.GetPassages(pb.GetPassagesRequest(novel_id=story_id, passage_ids=[UNKNOWN] * 101)), "passage_ids"),
        (search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, page_size=101)), "page_size"),
        (search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, page_size=-1)), "page_size"),
        (search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, page_token="?")), "page_token"),
        (search.GetCharacter(pb.GetCharacterRequest(character_id="Marian")), "character_id"),
        (search.DeleteNovel(pb.DeleteNovelRequest(novel_id="")), "novel_id"),
    ]
    for call, wrong in calls:
        error = await failure(call)
        assert (error.code, list(error.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, [wrong])


async def test_a_page_token_of_another_novel(search: Stub, story_id: str) -> None:
    page = await search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, page_size=1))
    request = pb.ListCharactersRequest(novel_id=UNKNOWN, page_token=page.next_page_token)
    assert list((await failure(search.ListCharacters(request))).fields) == ["page_token"]


async def test_unknown_things(search: Stub, story_id: str) -> None:
    passages = pb.GetPassagesRequest(novel_id=UNKNOWN, passage_ids=[UNKNOWN])
    for call in (
        find(search, UNKNOWN),
        search.GetPassages(passages),
        search.ListCharacters(pb.ListCharactersRequest(novel_id=UNKNOWN)),
    ):
        error = await failure(call)
        assert (error.code, error.reason, list(error.fields)) == (
            grpc.StatusCode.NOT_FOUND,
            "NOVEL_NOT_FOUND",
            ["novel_id"],
        )
    error = await failure(search.GetCharacter(pb.GetCharacterRequest(character_id=UNKNOWN)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CHARACTER_NOT_FOUND")
    found = await search.GetPassages(pb.GetPassagesRequest(novel_id=story_id, passage_ids=[UNKNOWN]))
    assert not found.passages


async def test_an_expired_token_is_refused(search: Stub, story_id: str, bearer: Any) -> None:
    request = pb.SearchPassagesRequest(novel_id=story_id, query="lamp")
    error = await failure(search.SearchPassages(request, metadata=as_user(bearer(ttl=-60))))
    assert error.code == grpc.StatusCode.UNAUTHENTICATED
