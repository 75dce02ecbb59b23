"""Conversations: made once, seen by nobody else."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb

from mesh.errors import InvalidArgument, MeshError, NotFound, Unauthenticated, Unavailable
from tests.library.conftest import FakeSearch, LibraryClient, Reader

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


@dataclass
class Scene:
    reader: Reader
    novel_id: str
    scenario_id: str
    character_id: str


@pytest.fixture
async def scene(library: LibraryClient, search: FakeSearch) -> Scene:
    reader = await library.guest()
    novel_id = await library.novel(reader)
    scenario = await library.scenario(reader, novel_id)
    return Scene(reader, novel_id, scenario.scenario_id, search.add_character(novel_id))


async def create(library: LibraryClient, scene: Scene, request_id: str = "", **fields: str) -> str:
    request = pb.CreateConversationRequest(
        **{
            "scenario_id": scene.scenario_id,
            "character_id": scene.character_id,
            "request_id": request_id,
            **fields,
        }
    )
    created = await scene.reader.call(library.conversations.CreateConversation, request)
    assert created.status == pb.CONVERSATION_STATUS_PENDING
    return created.conversation_id


async def get(library: LibraryClient, reader: Reader, conversation_id: str) -> pb.Conversation:
    request = pb.GetConversationRequest(conversation_id=conversation_id)
    return (await reader.call(library.conversations.GetConversation, request)).conversation


async def say(library: LibraryClient, reader: Reader, conversation_id: str, content: str) -> pb.BeginReplyResponse:
    target = pb.ReplyTarget(conversation_id=conversation_id, content=content)
    return await reader.call(library.conversations.BeginReply, pb.BeginReplyRequest(reply=target))


async def test_a_conversation_keeps_its_character(library: LibraryClient, scene: Scene, search: FakeSearch) -> None:
    conversation_id = await create(library, scene)
    search.characters.clear()
    found = await get(library, scene.reader, conversation_id)
    assert (found.scenario_id, found.novel_id) == (scene.scenario_id, scene.novel_id)
    assert (found.character_id, found.character_name) == (scene.character_id, "Ada")
    assert (found.title, found.status, found.message_count) == ("What if?", pb.CONVERSATION_STATUS_PENDING, 1)


async def test_the_same_request_makes_one(library: LibraryClient, scene: Scene, search: FakeSearch) -> None:
    ids = await asyncio.gather(*(create(library, scene, "once") for _ in range(8)))
    assert len(set(ids)) == 1
    assert await create(library, scene) != await create(library, scene)
    other = search.add_character(scene.novel_id, "Bo")
    with pytest.raises(InvalidArgument) as caught:
        await create(library, scene, "once", character_id=other)
    assert list(caught.value.fields) == ["request_id"]


async def test_the_character_must_be_of_the_novel(library: LibraryClient, scene: Scene, search: FakeSearch) -> None:
    stranger = search.add_character(await library.novel(scene.reader))
    with pytest.raises(InvalidArgument) as wrong:
        await create(library, scene, character_id=stranger)
    assert list(wrong.value.fields) == ["character_id"]
    with pytest.raises(NotFound) as unknown:
        await create(library, scene, character_id=UNKNOWN)
    assert list(unknown.value.fields) == ["character_id"]
    search.trouble = Unavailable("down")
    with pytest.raises(Unavailable):
        await create(library, scene)


async def test_the_scenario_must_be_seen(library: LibraryClient, scene: Scene) -> None:
    mine = scene.reader
    scene.reader = await library.guest()
    with pytest.raises(NotFound) as caught:
        await create(library, scene)
    assert list(caught.value.fields) == ["scenario_id"]
    public = await library.scenario(mine, scene.novel_id, visibility=novels_pb.VISIBILITY_PUBLIC)
    assert await create(library, scene, scenario_id=public.scenario_id)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scenario_id": "17"}, "scenario_id"),
        ({"character_id": ""}, "character_id"),
        ({"request_id": "has spaces"}, "request_id"),
    ],
)
async def test_create_names_what_is_wrong(
    library: LibraryClient, scene: Scene, fields: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await create(library, scene, **fields)
    assert list(caught.value.fields) == [named]


def calls(library: LibraryClient, reader: Reader, conversation_id: str) -> list[Any]:
    client = library.conversations
    return [
        get(library, reader, conversation_id),
        reader.call(client.ListMessages, pb.ListMessagesRequest(conversation_id=conversation_id)),
        say(library, reader, conversation_id, "Hello"),
        reader.call(client.DeleteConversation, pb.DeleteConversationRequest(conversation_id=conversation_id)),
    ]


async def test_nobody_else_finds_it(library: LibraryClient, scene: Scene) -> None:
    conversation_id = await create(library, scene)
    other = await library.guest()
    for act in calls(library, other, conversation_id):
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == ["conversation_id"]
    listed = await other.call(library.conversations.ListConversations, pb.ListConversationsRequest())
    assert list(listed.conversations) == []


async def test_every_call_needs_a_reader(library: LibraryClient, scene: Scene) -> None:
    nobody = library.nobody
    listing = nobody.call(library.conversations.ListConversations, pb.ListConversationsRequest())
    for act in [*calls(library, nobody, UNKNOWN), listing]:
        with pytest.raises(Unauthenticated):
            await act
    scene.reader = nobody
    with pytest.raises(Unauthenticated):
        await create(library, scene)


@pytest.mark.parametrize(
    ("conversation_id", "error"), [("", InvalidArgument), ("1", InvalidArgument), (UNKNOWN, NotFound)]
)
async def test_malformed_and_unknown_ids(library: LibraryClient, conversation_id: str, error: type[MeshError]) -> None:
    for act in calls(library, await library.guest(), conversation_id):
        with pytest.raises(error) as caught:
            await act
        assert list(caught.value.fields) == ["conversation_id"]


async def test_lists_are_by_last_use_and_in_pages(library: LibraryClient, scene: Scene) -> None:
    ids = [await create(library, scene) for _ in range(5)]
    await say(library, scene.reader, ids[1], "Are you there? " * 20)
    expected = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    found: list[pb.Conversation] = []
    token = ""
    while True:
        request = pb.ListConversationsRequest(page_size=2, page_token=token)
        response = await scene.reader.call(library.conversations.ListConversations, request)
        found += response.conversations
        token = response.next_page_token
        if not token:
            break
    assert [conversation.conversation_id for conversation in found] == expected
    used = found[0]
    assert (used.status, used.message_count) == (pb.CONVERSATION_STATUS_OPEN, 3)
    assert used.last_message == ("Are you there? " * 20)[:200]


async def test_messages_come_oldest_first_in_pages(library: LibraryClient, scene: Scene) -> None:
    conversation_id = await create(library, scene)
    for number in range(3):
        await say(library, scene.reader, conversation_id, f"Line {number}")
    found: list[tuple[int, str]] = []
    token = ""
    while True:
        request = pb.ListMessagesRequest(conversation_id=conversation_id, page_size=4, page_token=token)
        response = await scene.reader.call(library.conversations.ListMessages, request)
        found += [(message.role, message.content) for message in response.messages]
        token = response.next_page_token
        if not token:
            break
    reader, character = pb.MESSAGE_ROLE_READER, pb.MESSAGE_ROLE_CHARACTER
    assert found == [
        (character, ""),  # the opening
        (reader, "Line 0"),
        (character, ""),
        (reader, "Line 1"),
        (character, ""),
        (reader, "Line 2"),
        (character, ""),
    ]
    for fields in ({"page_token": "nonsense"}, {"page_size": 101}):
        wrong = pb.ListMessagesRequest(conversation_id=conversation_id, **fields)
        with pytest.raises(InvalidArgument) as caught:
            await scene.reader.call(library.conversations.ListMessages, wrong)
        assert list(caught.value.fields) == list(fields)


async def test_it_goes_with_its_scenario(library: LibraryClient, scene: Scene) -> None:
    conversation_id = await create(library, scene)
    await say(library, scene.reader, conversation_id, "Hello")
    request = scenarios_pb.DeleteScenarioRequest(scenario_id=scene.scenario_id)
    await scene.reader.call(library.scenarios.DeleteScenario, request)
    with pytest.raises(NotFound):
        await get(library, scene.reader, conversation_id)


async def test_delete(library: LibraryClient, scene: Scene) -> None:
    conversation_id = await create(library, scene)
    request = pb.DeleteConversationRequest(conversation_id=conversation_id)
    await scene.reader.call(library.conversations.DeleteConversation, request)
    with pytest.raises(NotFound):
        await get(library, scene.reader, conversation_id)
