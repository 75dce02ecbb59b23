"""The state machine of a reply: pending under a lease, then complete or failed; failed may begin anew."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import pytest
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import conversation_service_pb2 as pb

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound, Unauthenticated
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


@dataclass
class Talk:
    """A conversation, and what generation does with it."""

    library: LibraryClient
    reader: Reader
    scenario_id: str
    character_id: str
    conversation_id: str = ""

    async def say(self, content: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.ReplyTarget(conversation_id=self.conversation_id, content=content)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, reply=target))

    async def open(self, request_id: str = "", character_id: str = "") -> pb.BeginReplyResponse:
        target = pb.OpeningTarget(scenario_id=self.scenario_id, character_id=character_id or self.character_id)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, opening=target))

    async def begin(self, request: pb.BeginReplyRequest) -> pb.BeginReplyResponse:
        return await self.reader.call(self.library.conversations.BeginReply, request)

    async def complete(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        request = pb.CompleteReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=RECORD
        )
        # Generation may have outlived the reader's token: no identity is needed.
        return (await self.library.nobody.call(self.library.conversations.CompleteReply, request)).reply

    async def fail(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        record = pb.ReplyRecord()
        record.CopyFrom(RECORD)
        record.failure.CopyFrom(events_pb.Failure(code="UNAVAILABLE", reason="MODEL_DOWN", message="x", retryable=True))
        request = pb.FailReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=record
        )
        return (await self.library.nobody.call(self.library.conversations.FailReply, request)).reply

    async def messages(self) -> list[pb.Message]:
        request = pb.ListMessagesRequest(conversation_id=self.conversation_id)
        return list((await self.reader.call(self.library.conversations.ListMessages, request)).messages)

    async def conversation(self) -> pb.Conversation:
        request = pb.GetConversationRequest(conversation_id=self.conversation_id)
        return (await self.reader.call(self.library.conversations.GetConversation, request)).conversation


RECORD = pb.ReplyRecord(
    provider="scripted",
    model="words",
    prompt_tokens=11,
    completion_tokens=22,
    first_token_ms=33,
    total_ms=44,
    passage_ids=[UNKNOWN],
)


async def make_talk(library: LibraryClient, search: FakeSearch) -> Talk:
    reader = await library.guest()
    novel_id = await library.novel(reader)
    scenario = await library.scenario(reader, novel_id)
    talk = Talk(library, reader, scenario.scenario_id, search.add_character(novel_id))
    request = pb.CreateConversationRequest(
        scenario_id=talk.scenario_id, character_id=talk.character_id, request_id="made"
    )
    created = await reader.call(library.conversations.CreateConversation, request)
    talk.conversation_id = created.conversation_id
    return talk


@pytest.fixture
async def talk(library: LibraryClient, search: FakeSearch) -> Talk:
    return await make_talk(library, search)


async def test_a_reply_from_beginning_to_end(talk: Talk) -> None:
    begun = await talk.say("Why did you stay?", "r1")
    assert begun.lease_id
    assert (begun.reply.status, begun.reply.role) == (pb.MESSAGE_STATUS_PENDING, pb.MESSAGE_ROLE_CHARACTER)
    context = begun.context
    assert (context.novel.title, context.scenario.scenario_id) == ("The Tower", talk.scenario_id)
    assert (context.character_id, context.character_name) == (talk.character_id, "Ada")
    assert context.character_description == "Ada of the tower."
    assert [message.content for message in context.history] == ["Why did you stay?"]
    stored = await talk.complete(begun, "Because of the stairs.")
    assert (stored.status, stored.content, stored.record) == (
        pb.MESSAGE_STATUS_COMPLETE,
        "Because of the stairs.",
        RECORD,
    )
    said, replied = await talk.messages()
    assert (said.content, said.role, said.HasField("record")) == ("Why did you stay?", pb.MESSAGE_ROLE_READER, False)
    assert replied == stored
    conversation = await talk.conversation()
    assert (conversation.status, conversation.message_count) == (pb.CONVERSATION_STATUS_OPEN, 2)
    assert conversation.last_message == "Because of the stairs."


async def test_history_holds_whole_messages_up_to_the_new_one(talk: Talk) -> None:
    await talk.complete(await talk.say("One"), "First")
    await talk.fail(await talk.say("Two"), "Half")
    await talk.say("Three")
    begun = await talk.say("Four")
    assert [message.content for message in begun.context.history] == ["One", "First", "Two", "Three", "Four"]


async def test_history_is_the_last_fifty(talk: Talk) -> None:
    for number in range(30):
        await talk.complete(await talk.say(f"Q{number}"), f"A{number}")
    history = [message.content for message in (await talk.say("Last")).context.history]
    assert len(history) == 50
    assert history[-3:] == ["Q29", "A29", "Last"]


async def test_a_complete_reply_is_returned_whole(talk: Talk) -> None:
    stored = await talk.complete(await talk.say("Hello", "r1"), "Good day")
    again = await talk.say("Hello", "r1")
    assert again.reply == stored
    assert not again.lease_id
    assert not again.HasField("context")
    assert len(await talk.messages()) == 2


async def test_a_reply_that_is_being_written_is_not_begun_again(talk: Talk) -> None:
    await talk.say("Hello", "r1")
    with pytest.raises(Aborted) as caught:
        await talk.say("Hello", "r1")
    assert caught.value.reason == "REPLY_IN_PROGRESS"
    assert caught.value.retryable
    assert caught.value.retry_after


async def test_a_failed_reply_is_written_again(talk: Talk) -> None:
    begun = await talk.say("Hello", "r1")
    failed = await talk.fail(begun, "Good d")
    assert (failed.status, failed.content) == (pb.MESSAGE_STATUS_FAILED, "Good d")
    assert failed.record.failure.reason == "MODEL_DOWN"
    again = await talk.say("Hello", "r1")
    assert again.reply.message_id == begun.reply.message_id
    assert again.lease_id != begun.lease_id
    assert (again.reply.status, again.reply.content) == (pb.MESSAGE_STATUS_PENDING, "")
    assert not again.reply.HasField("record")
    assert [message.content for message in again.context.history] == ["Hello"]
    await talk.complete(again, "Good day")
    assert [message.content for message in await talk.messages()] == ["Hello", "Good day"]


async def test_an_abandoned_reply_is_taken_over(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client(reply_lease_seconds=0.3) as library:
        talk = await make_talk(library, search)
        lost = await talk.say("Hello", "r1")
        with pytest.raises(Aborted):
            await talk.say("Hello", "r1")
        await asyncio.sleep(0.4)
        taken = await talk.say("Hello", "r1")
        assert taken.reply.message_id == lost.reply.message_id
        assert [message.content for message in taken.context.history] == ["Hello"]
        for act in (talk.complete(lost, "late"), talk.fail(lost, "late")):
            with pytest.raises(FailedPrecondition) as caught:
                await act
            assert (caught.value.reason, list(caught.value.fields)) == ("LEASE_LOST", ["lease_id"])
        assert (await talk.complete(taken, "Good day")).content == "Good day"


async def test_fifty_at_once_begin_one_reply(talk: Talk) -> None:
    answers = await asyncio.gather(*(talk.say("Hello", "r1") for _ in range(50)), return_exceptions=True)
    begun = [answer for answer in answers if isinstance(answer, pb.BeginReplyResponse)]
    refused = [answer for answer in answers if isinstance(answer, Aborted)]
    assert (len(begun), len(refused)) == (1, 49)
    assert {error.reason for error in refused} == {"REPLY_IN_PROGRESS"}
    assert len(await talk.messages()) == 2


async def test_fifty_at_once_begin_one_opening(talk: Talk) -> None:
    answers = await asyncio.gather(*(talk.open("fresh") for _ in range(50)), return_exceptions=True)
    begun = [answer for answer in answers if isinstance(answer, pb.BeginReplyResponse)]
    assert len(begun) == 1
    assert sum(isinstance(answer, Aborted) for answer in answers) == 49
    listed = await talk.reader.call(talk.library.conversations.ListConversations, pb.ListConversationsRequest())
    assert len(listed.conversations) == 2


async def test_messages_said_at_once_all_have_their_place(talk: Talk) -> None:
    await asyncio.gather(*(talk.say(f"Line {number}") for number in range(10)))
    messages = await talk.messages()
    assert len(messages) == 20
    assert sorted(message.content for message in messages[::2]) == [f"Line {number}" for number in range(10)]
    assert (await talk.conversation()).message_count == 20


async def test_an_opening_creates_its_conversation_once(talk: Talk) -> None:
    begun = await talk.open("fresh")
    assert begun.reply.conversation_id != talk.conversation_id
    assert list(begun.context.history) == []
    talk.conversation_id = begun.reply.conversation_id
    assert (await talk.conversation()).status == pb.CONVERSATION_STATUS_PENDING
    stored = await talk.complete(begun, "Welcome")
    assert (await talk.open("fresh")).reply == stored
    conversation = await talk.conversation()
    assert (conversation.status, conversation.message_count, conversation.last_message) == (
        pb.CONVERSATION_STATUS_OPEN,
        1,
        "Welcome",
    )
    begun = await talk.say("Thanks")
    assert [message.content for message in begun.context.history] == ["Welcome", "Thanks"]


async def test_an_opening_uses_the_conversation_of_its_request(talk: Talk) -> None:
    begun = await talk.open("made")
    assert begun.reply.conversation_id == talk.conversation_id


async def test_openings_without_a_request_id_are_all_new(talk: Talk) -> None:
    first, second = await talk.open(), await talk.open()
    assert first.reply.conversation_id != second.reply.conversation_id


async def test_a_request_id_stands_for_one_request(talk: Talk, search: FakeSearch) -> None:
    await talk.say("Hello", "r1")
    await talk.open("made")
    novel_id = (await talk.conversation()).novel_id
    for act in (
        talk.say("Something else", "r1"),
        talk.say("Hello", "made"),
        talk.open("made", search.add_character(novel_id, "Bo")),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert (caught.value.reason, list(caught.value.fields)) == ("REQUEST_ID_REUSED", ["request_id"])


async def test_without_a_request_id_every_message_is_new(talk: Talk) -> None:
    await talk.say("Hello")
    await talk.say("Hello")
    assert len(await talk.messages()) == 4


async def test_the_end_of_a_reply_is_idempotent(talk: Talk) -> None:
    begun = await talk.say("Hello")
    stored = await talk.complete(begun, "Good day")
    assert await talk.complete(begun, "Good day") == stored
    with pytest.raises(FailedPrecondition) as caught:
        await talk.fail(begun, "")
    assert caught.value.reason == "LEASE_LOST"
    begun = await talk.say("Hello")
    failed = await talk.fail(begun, "Half")
    assert await talk.fail(begun, "Half") == failed
    with pytest.raises(FailedPrecondition):
        await talk.complete(begun, "Good day")


async def test_only_the_lease_ends_a_reply(talk: Talk) -> None:
    begun = await talk.say("Hello")
    wrong = pb.BeginReplyResponse()
    wrong.CopyFrom(begun)
    wrong.lease_id = str(uuid4())
    with pytest.raises(FailedPrecondition):
        await talk.complete(wrong, "Mine")
    said = (await talk.messages())[0]
    wrong.reply.message_id = said.message_id
    with pytest.raises(NotFound) as caught:
        await talk.complete(wrong, "Mine")
    assert list(caught.value.fields) == ["message_id"]
    assert (await talk.messages())[0] == said


@pytest.mark.parametrize(
    ("message_id", "lease_id", "error", "named"),
    [
        ("", UNKNOWN, InvalidArgument, "message_id"),
        (UNKNOWN, "17", InvalidArgument, "lease_id"),
        (UNKNOWN, UNKNOWN, NotFound, "message_id"),
    ],
)
async def test_wrong_ends_are_named(
    library: LibraryClient, message_id: str, lease_id: str, error: type[MeshError], named: str
) -> None:
    complete = pb.CompleteReplyRequest(message_id=message_id, lease_id=lease_id)
    fail = pb.FailReplyRequest(message_id=message_id, lease_id=lease_id)
    for act in (
        library.nobody.call(library.conversations.CompleteReply, complete),
        library.nobody.call(library.conversations.FailReply, fail),
    ):
        with pytest.raises(error) as caught:
            await act
        assert list(caught.value.fields) == [named]


async def test_wrong_beginnings_are_named(talk: Talk) -> None:
    for request, named in (
        (pb.BeginReplyRequest(), "target"),
        (pb.BeginReplyRequest(reply=pb.ReplyTarget(conversation_id=UNKNOWN, content="")), "content"),
        (pb.BeginReplyRequest(reply=pb.ReplyTarget(conversation_id=UNKNOWN, content="x" * 8001)), "content"),
        (pb.BeginReplyRequest(reply=pb.ReplyTarget(conversation_id=UNKNOWN, content="x\0")), "content"),
        (pb.BeginReplyRequest(opening=pb.OpeningTarget(scenario_id="1", character_id=UNKNOWN)), "scenario_id"),
        (
            pb.BeginReplyRequest(request_id="a b", reply=pb.ReplyTarget(conversation_id=UNKNOWN, content="x")),
            "request_id",
        ),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await talk.begin(request)
        assert list(caught.value.fields) == [named]


async def test_others_cannot_begin(talk: Talk) -> None:
    talk.reader = await talk.library.guest()
    for act, named in ((talk.say("Hello"), "conversation_id"), (talk.open(), "scenario_id")):
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == [named]
    talk.reader = talk.library.nobody
    for act in (talk.say("Hello"), talk.open()):
        with pytest.raises(Unauthenticated):
            await act


async def test_what_postgresql_cannot_keep_costs_no_reply(talk: Talk) -> None:
    assert (await talk.complete(await talk.say("Hello"), "Good\0 day")).content == "Good day"
