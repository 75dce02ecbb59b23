"""Replies as readers begin them: once, whoever asks how often."""

import asyncio

import pytest
from gaji.library.v1 import conversation_service_pb2 as pb

from mesh.errors import InvalidArgument, NotFound, Unauthenticated, Unavailable
from tests.library.conftest import FakeJobs, FakeSearch, LibraryClient, OpenLibrary, eventually
from tests.library.talk import RECORD, UNKNOWN, Talk, make_talk


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
    opening, said, replied = await talk.messages()
    assert (opening.message_id, opening.status) == (talk.opening_id, pb.MESSAGE_STATUS_PENDING)
    assert [message.parent_id for message in (opening, said, replied)] == [
        "",
        opening.message_id,
        said.message_id,
    ]
    assert (said.content, said.role, said.HasField("record")) == ("Why did you stay?", pb.MESSAGE_ROLE_READER, False)
    assert replied == stored
    conversation = await talk.conversation()
    assert (conversation.status, conversation.message_count) == (pb.CONVERSATION_STATUS_OPEN, 3)
    assert conversation.last_message == "Because of the stairs."
    assert conversation.head_message_id == stored.message_id


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
    assert len(await talk.messages()) == 3


async def test_a_reply_that_is_being_written_is_not_begun_again(talk: Talk) -> None:
    begun = await talk.say("Hello", "r1")
    again = await talk.say("Hello", "r1")
    assert (again.reply, again.epoch) == (begun.reply, 1)
    assert not again.lease_id
    assert not again.HasField("context")
    assert again.lease_age_seconds > 0


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
    assert [message.content for message in await talk.messages()] == ["", "Hello", "Good day"]
    assert (begun.epoch, again.epoch) == (1, 2)


async def test_fifty_at_once_begin_one_reply(talk: Talk) -> None:
    answers = await asyncio.gather(*(talk.say("Hello", "r1") for _ in range(50)))
    assert len({answer.lease_id for answer in answers if answer.lease_id}) == 1
    assert sum(bool(answer.lease_id) for answer in answers) == 1
    assert {(answer.reply.message_id, answer.epoch) for answer in answers} == {(answers[0].reply.message_id, 1)}
    assert len(await talk.messages()) == 3


async def test_fifty_at_once_begin_one_opening(talk: Talk) -> None:
    answers = await asyncio.gather(*(talk.open("fresh") for _ in range(50)))
    assert sum(bool(answer.lease_id) for answer in answers) == 1
    assert len({answer.reply.message_id for answer in answers}) == 1
    listed = await talk.reader.call(talk.library.conversations.ListConversations, pb.ListConversationsRequest())
    assert len(listed.conversations) == 2


async def test_messages_said_at_once_all_have_their_place(talk: Talk) -> None:
    await asyncio.gather(*(talk.say(f"Line {number}") for number in range(10)))
    messages = (await talk.messages())[1:]
    assert len(messages) == 20
    assert sorted(message.content for message in messages[::2]) == [f"Line {number}" for number in range(10)]
    assert (await talk.conversation()).message_count == 21


async def test_what_ends_while_the_reader_goes_on_leaves_all_in_its_place(talk: Talk) -> None:
    begun = await talk.say("Line 0")
    for number in range(1, 11):
        stored, begun = await asyncio.gather(talk.complete(begun, f"Answer {number}"), talk.say(f"Line {number}"))
        assert stored.status == pb.MESSAGE_STATUS_COMPLETE
        conversation = await talk.conversation()
        assert (conversation.last_message, conversation.head_message_id) == (f"Line {number}", begun.reply.message_id)
        assert conversation.message_count == 3 + 2 * number
    messages = await talk.messages()
    assert [message.parent_id for message in messages[1:]] == [message.message_id for message in messages[:-1]]


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
    assert (begun.reply.message_id, begun.epoch) == (talk.opening_id, 1)
    assert begun.lease_id
    again = await talk.open("made")
    assert (again.reply, again.epoch, again.lease_id) == (begun.reply, 1, "")


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
    assert len(await talk.messages()) == 5


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
        (pb.BeginReplyRequest(regenerate=pb.RegenerateTarget(conversation_id=UNKNOWN)), "message_id"),
        (pb.BeginReplyRequest(regenerate=pb.RegenerateTarget(message_id=UNKNOWN)), "conversation_id"),
        (pb.BeginReplyRequest(edit=pb.EditTarget(conversation_id=UNKNOWN, content="x")), "message_id"),
        (pb.BeginReplyRequest(edit=pb.EditTarget(conversation_id=UNKNOWN, message_id=UNKNOWN)), "content"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await talk.begin(request)
        assert list(caught.value.fields) == [named]


async def test_others_cannot_begin(talk: Talk) -> None:
    talk.reader = await talk.library.guest()
    for act, named in (
        (talk.say("Hello"), "conversation_id"),
        (talk.again(talk.opening_id), "conversation_id"),
        (talk.edit(talk.opening_id, "Hello"), "conversation_id"),
        (talk.open(), "scenario_id"),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == [named]
    talk.reader = talk.library.nobody
    for act in (talk.say("Hello"), talk.open()):
        with pytest.raises(Unauthenticated):
            await act


async def test_an_opening_is_reserved_and_its_writing_asked_for(talk: Talk, jobs: FakeJobs) -> None:
    await eventually(lambda: jobs.replies == [talk.opening_id])
    (opening,) = await talk.messages()
    assert (opening.message_id, opening.status) == (talk.opening_id, pb.MESSAGE_STATUS_PENDING)
    assert (await talk.conversation()).status == pb.CONVERSATION_STATUS_PENDING
    taken = await talk.take(talk.opening_id, 0)
    assert (taken.epoch, list(taken.context.history)) == (1, [])
    stored = await talk.complete(pb.BeginReplyResponse(reply=taken.reply, lease_id=taken.lease_id), "Welcome")
    assert (await talk.open("made")).reply == stored
    assert (await talk.conversation()).status == pb.CONVERSATION_STATUS_OPEN


async def test_an_opening_s_stream_may_come_before_its_conversation(talk: Talk, jobs: FakeJobs) -> None:
    begun = await talk.open("fresh")
    request = pb.CreateConversationRequest(
        scenario_id=talk.scenario_id, character_id=talk.character_id, request_id="fresh"
    )
    created = await talk.reader.call(talk.library.conversations.CreateConversation, request)
    assert (created.conversation_id, created.message_id) == (begun.reply.conversation_id, begun.reply.message_id)
    await eventually(lambda: bool(jobs.replies))
    assert jobs.replies == [talk.opening_id], "one that is being written needs no job"


@pytest.mark.parametrize("answers", [True, False])
async def test_without_a_queue_a_conversation_begins_all_the_same(
    open_client: OpenLibrary, search: FakeSearch, jobs: FakeJobs, *, answers: bool
) -> None:
    if answers:
        jobs.trouble = Unavailable("no queue")
    else:
        jobs.gate.clear()
    async with open_client() as library:
        talk = await make_talk(library, search)
        assert [reply.message_id for reply in await talk.pending()] == [talk.opening_id]
        assert jobs.replies == []
