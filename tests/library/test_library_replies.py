"""Replies as readers begin them and as those who write them end them: once, whoever asks how often."""

import asyncio
import math
import time
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import pytest
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import conversation_service_pb2 as pb

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound, Unauthenticated, Unavailable
from mesh.identity import TokenVerifier
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeJobs, FakeSearch, LibraryClient, OpenLibrary, Reader, eventually

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


@dataclass
class Talk:
    """A conversation, and what generation does with it."""

    library: LibraryClient
    reader: Reader
    scenario_id: str
    character_id: str
    conversation_id: str = ""
    opening_id: str = ""

    async def say(self, content: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.ReplyTarget(conversation_id=self.conversation_id, content=content)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, reply=target))

    async def open(self, request_id: str = "", character_id: str = "") -> pb.BeginReplyResponse:
        target = pb.OpeningTarget(scenario_id=self.scenario_id, character_id=character_id or self.character_id)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, opening=target))

    async def again(self, message_id: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.RegenerateTarget(conversation_id=self.conversation_id, message_id=message_id)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, regenerate=target))

    async def edit(self, message_id: str, content: str, request_id: str = "") -> pb.BeginReplyResponse:
        target = pb.EditTarget(conversation_id=self.conversation_id, message_id=message_id, content=content)
        return await self.begin(pb.BeginReplyRequest(request_id=request_id, edit=target))

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

    async def stop(self, begun: pb.BeginReplyResponse, content: str) -> pb.Message:
        request = pb.KeepStoppedReplyRequest(
            message_id=begun.reply.message_id, lease_id=begun.lease_id, content=content, record=RECORD
        )
        return (await self.library.nobody.call(self.library.conversations.KeepStoppedReply, request)).reply

    async def take(
        self, message_id: str, epoch: int, dead_after: float = 0, *, mend: bool = True
    ) -> pb.TakeReplyResponse:
        request = pb.TakeReplyRequest(message_id=message_id, epoch=epoch, dead_after_seconds=dead_after, mend=mend)
        return await self.library.nobody.call(self.library.conversations.TakeReply, request)

    async def get(self, conversation_id: str = "", message_id: str = "") -> pb.GetReplyResponse:
        request = pb.GetReplyRequest(conversation_id=conversation_id, message_id=message_id)
        return await self.reader.call(self.library.conversations.GetReply, request)

    async def pending(self, min_age: float = 0, limit: int = 0) -> list[pb.PendingReply]:
        request = pb.ListPendingRepliesRequest(min_age_seconds=min_age, limit=limit)
        return list((await self.library.nobody.call(self.library.conversations.ListPendingReplies, request)).replies)

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
    last_sequence=55,
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
    talk.conversation_id, talk.opening_id = created.conversation_id, created.message_id
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


async def test_a_reply_is_taken_from_a_dead_writer(talk: Talk) -> None:
    lost = await talk.say("Hello", "r1")
    taken = await talk.take(lost.reply.message_id, lost.epoch)
    assert (taken.reply.message_id, taken.epoch) == (lost.reply.message_id, 2)
    assert [message.content for message in taken.context.history] == ["Hello"]
    for act in (talk.complete(lost, "late"), talk.fail(lost, "late"), talk.stop(lost, "late")):
        with pytest.raises(FailedPrecondition) as caught:
            await act
        assert (caught.value.reason, list(caught.value.fields)) == ("LEASE_LOST", ["lease_id"])
    begun = pb.BeginReplyResponse(reply=taken.reply, lease_id=taken.lease_id)
    assert (await talk.complete(begun, "Good day")).content == "Good day"


async def test_a_writer_that_is_not_dead_keeps_its_reply(talk: Talk) -> None:
    begun = await talk.say("Hello")
    message_id = begun.reply.message_id
    for epoch, dead_after in ((0, 0), (2, 0), (0, 600)):
        with pytest.raises(Aborted) as caught:
            await talk.take(message_id, epoch, dead_after)
        assert (caught.value.reason, caught.value.metadata["epoch"]) == ("REPLY_TAKEN", "1")
    assert (await talk.take(message_id, 0, 1e-6)).epoch == 2, "its writer counts as dead as well"
    assert (await talk.get(message_id=message_id)).epoch == 2


async def test_of_two_who_take_a_reply_one_has_it(talk: Talk) -> None:
    begun = await talk.say("Hello")
    answers = await asyncio.gather(
        *(talk.take(begun.reply.message_id, begun.epoch) for _ in range(8)), return_exceptions=True
    )
    taken = [answer for answer in answers if isinstance(answer, pb.TakeReplyResponse)]
    assert (len(taken), taken[0].epoch) == (1, 2)
    assert sum(isinstance(answer, Aborted) for answer in answers) == 7


async def test_of_those_who_mend_an_ended_reply_one_does(talk: Talk) -> None:
    begun = await talk.say("Hello")
    stored = await talk.complete(begun, "Good day")
    answers = await asyncio.gather(
        *(talk.take(begun.reply.message_id, begun.epoch) for _ in range(4)), return_exceptions=True
    )
    (taken,) = [answer for answer in answers if isinstance(answer, pb.TakeReplyResponse)]
    assert (taken.reply, taken.epoch) == (stored, 2)
    assert (taken.lease_id, taken.access_token, taken.HasField("context")) == ("", "", False)
    assert sum(isinstance(answer, Aborted) for answer in answers) == 3
    assert await talk.complete(begun, "Good day") == stored, "its end stays idempotent"


async def test_a_reply_that_has_ended_keeps_its_epoch_unless_its_log_is_to_be_mended(talk: Talk) -> None:
    begun = await talk.say("Hello")
    stored = await talk.complete(begun, "Good day")
    for epoch in (0, begun.epoch, 7):
        taken = await talk.take(begun.reply.message_id, epoch, mend=False)
        assert (taken.reply, taken.epoch, taken.lease_id) == (stored, begun.epoch, "")


async def test_a_reply_that_outlives_no_writer_ends_as_failed(talk: Talk) -> None:
    begun = await talk.say("Hello")
    epoch = begun.epoch
    while (taken := await talk.take(begun.reply.message_id, epoch)).lease_id:
        assert taken.epoch == epoch + 1
        epoch = taken.epoch
    assert epoch == 30
    assert taken.reply.status == pb.MESSAGE_STATUS_FAILED
    assert (taken.reply.record.failure.reason, taken.reply.record.failure.retryable) == ("REPLY_CUT", True)


async def test_a_taken_reply_comes_with_a_token_of_its_reader(talk: Talk, jwt_keys: JwtKeys) -> None:
    begun = await talk.say("Hello")
    taken = await talk.take(begun.reply.message_id, begun.epoch)
    verifier = await asyncio.to_thread(TokenVerifier, jwt_keys.public)
    proved = verifier.verify(taken.access_token)
    assert (proved.user_id, proved.delegated, proved.guest) == (talk.reader.user_id, True, True)
    assert 500 < proved.expires_at - time.time() <= 600
    assert not verifier.verify(talk.reader.token).delegated
    talk.reader = Reader(taken.access_token)
    assert (await talk.get(message_id=begun.reply.message_id)).epoch == 2, "servers take it"


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
    begun = await talk.say("Hello")
    stopped = await talk.stop(begun, "Hal")
    assert await talk.stop(begun, "Hal") == stopped
    with pytest.raises(FailedPrecondition):
        await talk.complete(begun, "Good day")


async def test_a_stopped_reply_keeps_its_text(talk: Talk) -> None:
    begun = await talk.say("Hello", "r1")
    stopped = await talk.stop(begun, "Good d")
    assert (stopped.status, stopped.content, stopped.record) == (pb.MESSAGE_STATUS_STOPPED, "Good d", RECORD)
    again = await talk.say("Hello", "r1")
    assert (again.reply, again.lease_id) == (stopped, ""), "it has ended"
    begun = await talk.say("Go on")
    assert [message.content for message in begun.context.history] == ["Hello", "Good d", "Go on"]
    assert (await talk.stop(begun, "")).content == ""
    begun = await talk.say("And now?")
    assert [message.content for message in begun.context.history] == ["Hello", "Good d", "Go on", "And now?"]
    assert (await talk.conversation()).last_message == "And now?"


async def test_a_reply_as_it_stands(talk: Talk) -> None:
    opening = await talk.get(talk.conversation_id)
    assert (opening.reply.message_id, opening.epoch) == (talk.opening_id, 0)
    assert opening.lease_age_seconds > 0
    begun = await talk.say("Hello")
    for found in (
        await talk.get(message_id=begun.reply.message_id),
        await talk.get(talk.conversation_id, begun.reply.message_id),
    ):
        assert (found.reply, found.epoch) == (begun.reply, 1)
    said = (await talk.messages())[1]
    for ids, named in (
        (("", said.message_id), "message_id"),
        (("", UNKNOWN), "message_id"),
        ((UNKNOWN, ""), "conversation_id"),
        ((UNKNOWN, begun.reply.message_id), "message_id"),
    ):
        with pytest.raises(NotFound) as caught:
            await talk.get(*ids)
        assert list(caught.value.fields) == [named]
    for ids, named in ((("", ""), "message_id"), (("17", ""), "conversation_id"), (("", "17"), "message_id")):
        with pytest.raises(InvalidArgument) as wrong:
            await talk.get(*ids)
        assert list(wrong.value.fields) == [named]
    talk.reader = await talk.library.guest()
    for ids in (("", begun.reply.message_id), (talk.conversation_id, "")):
        with pytest.raises(NotFound):
            await talk.get(*ids)


async def test_an_opening_that_is_gone_is_not_found(talk: Talk) -> None:
    request = pb.DeleteMessageRequest(conversation_id=talk.conversation_id, message_id=talk.opening_id)
    await talk.reader.call(talk.library.conversations.DeleteMessage, request)
    with pytest.raises(NotFound) as caught:
        await talk.get(talk.conversation_id)
    assert list(caught.value.fields) == ["conversation_id"]


async def test_pending_replies_are_listed_oldest_first(talk: Talk) -> None:
    first, second = await talk.say("One"), await talk.say("Two")
    listed = await talk.pending()
    assert [(reply.message_id, reply.epoch) for reply in listed] == [
        (talk.opening_id, 0),
        (first.reply.message_id, 1),
        (second.reply.message_id, 1),
    ]
    ages = [reply.lease_age_seconds for reply in listed]
    assert ages == sorted(ages, reverse=True)
    assert [reply.message_id for reply in await talk.pending(limit=1)] == [talk.opening_id]
    assert await talk.pending(min_age=600) == []
    await talk.complete(first, "Done")
    assert first.reply.message_id not in {reply.message_id for reply in await talk.pending()}


async def test_a_reply_that_nobody_could_write_is_given_up(talk: Talk, postgres_url: str) -> None:
    begun, written = await talk.say("Hello"), await talk.say("Hello?")
    stored = await talk.complete(written, "Yes")
    client, nobody = talk.library.conversations, talk.library.nobody
    failure = events_pb.Failure(code="UNAVAILABLE", reason="TRIED_TOO_OFTEN", message="nobody\0 could")

    async def abandon() -> list[pb.Message]:
        for message_id in (talk.opening_id, begun.reply.message_id, written.reply.message_id, UNKNOWN):
            await nobody.call(client.AbandonReply, pb.AbandonReplyRequest(message_id=message_id, failure=failure))
        return [message for message in await talk.messages() if message.role == pb.MESSAGE_ROLE_CHARACTER]

    opening, first, second = await abandon()
    assert (opening.status, opening.record.failure.message) == (pb.MESSAGE_STATUS_FAILED, "nobody could")
    assert first.status == pb.MESSAGE_STATUS_PENDING, "somebody has taken it up just now"
    assert second == stored
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE messages SET leased_at = now() - interval '901 seconds' WHERE status = 'pending'")
    await connection.close()
    _, first, _ = await abandon()
    assert (first.status, first.record.failure.reason) == (pb.MESSAGE_STATUS_FAILED, "TRIED_TOO_OFTEN")


async def test_what_writers_and_jobs_ask_names_what_is_wrong(talk: Talk) -> None:
    client, nobody = talk.library.conversations, talk.library.nobody
    for act, named in (
        (talk.take("17", 1), "message_id"),
        (talk.take(talk.opening_id, -1), "epoch"),
        (talk.take(talk.opening_id, 0, -1), "dead_after_seconds"),
        (talk.take(talk.opening_id, 0, math.nan), "dead_after_seconds"),
        (talk.take(talk.opening_id, 0, math.inf), "dead_after_seconds"),
        (talk.pending(min_age=-1), "min_age_seconds"),
        (talk.pending(limit=1001), "limit"),
        (nobody.call(client.AbandonReply, pb.AbandonReplyRequest()), "message_id"),
        (nobody.call(client.KeepStoppedReply, pb.KeepStoppedReplyRequest(message_id=UNKNOWN)), "lease_id"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert list(caught.value.fields) == [named]
    for act in (talk.take(UNKNOWN, 1), talk.take((await talk.say("Hello")).reply.parent_id, 1)):
        with pytest.raises(NotFound) as unknown:
            await act
        assert list(unknown.value.fields) == ["message_id"]


async def test_only_the_lease_ends_a_reply(talk: Talk) -> None:
    begun = await talk.say("Hello")
    wrong = pb.BeginReplyResponse()
    wrong.CopyFrom(begun)
    wrong.lease_id = str(uuid4())
    with pytest.raises(FailedPrecondition):
        await talk.complete(wrong, "Mine")
    said = (await talk.messages())[1]
    wrong.reply.message_id = said.message_id
    with pytest.raises(NotFound) as caught:
        await talk.complete(wrong, "Mine")
    assert list(caught.value.fields) == ["message_id"]
    assert (await talk.messages())[1] == said


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


async def test_what_postgresql_cannot_keep_costs_no_reply(talk: Talk) -> None:
    assert (await talk.complete(await talk.say("Hello"), "Good\0 day")).content == "Good day"


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
