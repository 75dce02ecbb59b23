"""Replies as those who write them take them up and end them."""

import asyncio
import math
import time
from uuid import uuid4

import asyncpg
import pytest
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import conversation_service_pb2 as pb

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound
from mesh.identity import TokenVerifier
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeSearch, LibraryClient, Reader
from tests.library.talk import RECORD, UNKNOWN, Talk, make_talk


@pytest.fixture
async def talk(library: LibraryClient, search: FakeSearch) -> Talk:
    return await make_talk(library, search)


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


async def test_what_postgresql_cannot_keep_costs_no_reply(talk: Talk) -> None:
    assert (await talk.complete(await talk.say("Hello"), "Good\0 day")).content == "Good day"
