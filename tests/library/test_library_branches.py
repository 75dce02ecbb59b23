"""The tree of messages: made anew, said in another way, chosen, deleted, forked, exported."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from gaji.library.v1 import conversation_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from services.library.domain.exports import paragraphs
from tests.library.conftest import FakeSearch, LibraryClient
from tests.library.talk import UNKNOWN, Talk, make_talk


@pytest.fixture
async def talk(library: LibraryClient, search: FakeSearch) -> Talk:
    """A talk whose opening is written."""
    talk = await make_talk(library, search)
    await talk.complete(await talk.open("made"), "Welcome")
    return talk


async def exchange(talk: Talk, said: str, replied: str) -> tuple[str, str]:
    """Ids of what was said and what was replied."""
    begun = await talk.say(said)
    await talk.complete(begun, replied)
    return begun.reply.parent_id, begun.reply.message_id


async def line(talk: Talk) -> list[str]:
    return [message.content for message in await talk.messages()]


async def alternatives(talk: Talk, message_id: str) -> list[pb.Message]:
    request = pb.ListAlternativesRequest(conversation_id=talk.conversation_id, message_id=message_id)
    return list((await talk.reader.call(talk.library.conversations.ListAlternatives, request)).messages)


async def choose(talk: Talk, message_id: str) -> pb.Conversation:
    request = pb.ChooseMessageRequest(conversation_id=talk.conversation_id, message_id=message_id)
    return (await talk.reader.call(talk.library.conversations.ChooseMessage, request)).conversation


async def delete(talk: Talk, message_id: str) -> None:
    request = pb.DeleteMessageRequest(conversation_id=talk.conversation_id, message_id=message_id)
    await talk.reader.call(talk.library.conversations.DeleteMessage, request)


async def fork(talk: Talk, message_id: str, request_id: str = "") -> pb.Conversation:
    request = pb.ForkConversationRequest(
        conversation_id=talk.conversation_id, message_id=message_id, request_id=request_id
    )
    return (await talk.reader.call(talk.library.conversations.ForkConversation, request)).conversation


async def export(talk: Talk, form: str = "") -> tuple[str, bytes]:
    request = pb.ExportConversationRequest(conversation_id=talk.conversation_id, format=form)
    file = (await talk.reader.call(talk.library.conversations.ExportConversation, request)).file
    return file.content_type, file.data


def places(messages: list[pb.Message]) -> list[tuple[int, int]]:
    return [(message.alternative, message.alternatives) for message in messages]


async def test_a_reply_made_anew_begins_a_branch(talk: Talk) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    await exchange(talk, "Really?", "Yes.")
    begun = await talk.again(first, "again")
    assert begun.lease_id
    assert [message.content for message in begun.context.history] == ["Welcome", "Why?"]
    assert (begun.reply.alternative, begun.reply.alternatives) == (2, 2)
    assert await line(talk) == ["Welcome", "Why?", ""]
    assert (await talk.conversation()).last_message == "Why?"
    await talk.complete(begun, "The view.")
    assert await line(talk) == ["Welcome", "Why?", "The view."]
    assert places(await talk.messages()) == [(1, 1), (1, 1), (2, 2)]
    again = await talk.again(first, "again")
    assert (again.reply.content, again.lease_id) == ("The view.", "")
    await exchange(talk, "I see.", "Good.")
    assert await line(talk) == ["Welcome", "Why?", "The view.", "I see.", "Good."]
    assert (await talk.conversation()).message_count == 8


async def test_an_opening_is_made_anew(talk: Talk) -> None:
    begun = await talk.again(talk.opening_id)
    assert list(begun.context.history) == []
    await talk.complete(begun, "Come in")
    assert await line(talk) == ["Come in"]
    assert [message.content for message in await alternatives(talk, talk.opening_id)] == ["Welcome", "Come in"]
    assert (await talk.get(talk.conversation_id)).reply.message_id == talk.opening_id


async def test_what_was_said_is_said_in_another_way(talk: Talk) -> None:
    said, _ = await exchange(talk, "Why?", "Stairs.")
    begun = await talk.edit(said, "Why here?", "edit")
    assert [message.content for message in begun.context.history] == ["Welcome", "Why here?"]
    await talk.complete(begun, "The view.")
    assert await line(talk) == ["Welcome", "Why here?", "The view."]
    assert places(await talk.messages()) == [(1, 1), (2, 2), (1, 1)]
    again = await talk.edit(said, "Why here?", "edit")
    assert (again.reply.content, again.lease_id) == ("The view.", "")
    with pytest.raises(InvalidArgument) as caught:
        await talk.edit(said, "Why there?", "edit")
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_fifty_at_once_make_one_anew(talk: Talk) -> None:
    said, replied = await exchange(talk, "Why?", "Stairs.")
    for answers in (
        await asyncio.gather(*(talk.again(replied, "r1") for _ in range(50))),
        await asyncio.gather(*(talk.edit(said, "How?", "r2") for _ in range(50))),
    ):
        assert sum(bool(answer.lease_id) for answer in answers) == 1
        assert len({answer.reply.message_id for answer in answers}) == 1
    assert (await talk.conversation()).message_count == 6


async def test_a_request_id_outlives_what_it_was_about(talk: Talk) -> None:
    said, replied = await exchange(talk, "Why?", "Stairs.")
    anew, edited = await talk.again(replied, "again"), await talk.edit(said, "How?", "edit")
    await delete(talk, replied)
    assert (await talk.again(replied, "again")).reply.message_id == anew.reply.message_id
    assert (await talk.edit(said, "How?", "edit")).reply.message_id == edited.reply.message_id
    for act in (talk.again(edited.reply.message_id, "edit"), talk.edit(said, "How?", "again"), talk.say("?", "edit")):
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_only_what_has_ended_is_made_anew(talk: Talk) -> None:
    begun = await talk.say("Why?")
    for message_id in (begun.reply.message_id, begun.reply.parent_id):
        with pytest.raises(FailedPrecondition) as caught:
            await talk.again(message_id)
        assert (caught.value.reason, list(caught.value.fields)) == ("REPLY_NOT_ENDED", ["message_id"])
    for end in (talk.fail, talk.stop):
        begun = await talk.say("Why?")
        await end(begun, "Sta")
        assert (await talk.again(begun.reply.message_id)).lease_id
    with pytest.raises(InvalidArgument) as wrong:
        await talk.edit(begun.reply.message_id, "Mine")
    assert (wrong.value.reason, list(wrong.value.fields)) == ("INVALID_FIELD", ["message_id"])


async def test_history_is_of_one_branch(talk: Talk) -> None:
    said, first = await exchange(talk, "Why?", "Stairs.")
    await talk.fail(await talk.again(first), "Half")
    await talk.stop(await talk.say("Still there?"), "I am")
    begun = await talk.say("Good.")
    contents = [message.content for message in begun.context.history]
    assert contents == ["Welcome", "Why?", "Still there?", "I am", "Good."]
    await choose(talk, first)
    begun = await talk.say("Go on.")
    assert [message.content for message in begun.context.history] == ["Welcome", "Why?", "Stairs.", "Go on."]
    begun = await talk.edit(said, "How?")
    assert [message.content for message in begun.context.history] == ["Welcome", "How?"]


async def test_a_choice_goes_to_the_newest_end_of_its_branch(talk: Talk) -> None:
    said, first = await exchange(talk, "Why?", "Stairs.")
    await exchange(talk, "Really?", "Yes.")
    await talk.complete(await talk.again(first), "The view.")
    chosen = await choose(talk, first)
    assert await line(talk) == ["Welcome", "Why?", "Stairs.", "Really?", "Yes."]
    assert (chosen.last_message, chosen.message_count) == ("Yes.", 6)
    assert chosen.head_message_id == (await talk.messages())[-1].message_id
    assert await choose(talk, said) == chosen, "it is on the chosen branch already"
    await talk.complete(await talk.edit(said, "What?"), "A lamp.")
    chosen = await choose(talk, said)
    assert chosen.last_message == "The view.", "the newest message at each turn"
    assert chosen == await talk.conversation()


async def test_alternatives_are_those_in_one_place(talk: Talk) -> None:
    said, first = await exchange(talk, "Why?", "Stairs.")
    for text in ("The view.", "Nobody knows."):
        await talk.complete(await talk.again(first), text)
    found = await alternatives(talk, first)
    assert [message.content for message in found] == ["Stairs.", "The view.", "Nobody knows."]
    assert places(found) == [(1, 3), (2, 3), (3, 3)]
    assert found == await alternatives(talk, found[-1].message_id)
    assert [message.content for message in await alternatives(talk, said)] == ["Why?"]


async def test_deletion_takes_all_beneath_and_goes_back_to_what_is_left(talk: Talk) -> None:
    said, first = await exchange(talk, "Why?", "Stairs.")
    await exchange(talk, "Really?", "Yes.")
    anew = await talk.again(first)
    await talk.complete(anew, "The view.")
    await delete(talk, anew.reply.message_id)
    assert await line(talk) == ["Welcome", "Why?", "Stairs.", "Really?", "Yes."], "a sibling's branch"
    conversation = await talk.conversation()
    assert (conversation.message_count, conversation.last_message) == (5, "Yes.")
    await delete(talk, first)
    assert await line(talk) == ["Welcome", "Why?"], "without a sibling, the parent"
    conversation = await talk.conversation()
    assert (conversation.message_count, conversation.last_message) == (2, "Why?")
    assert conversation.head_message_id == said
    await exchange(talk, "Hello?", "Yes?")
    assert await line(talk) == ["Welcome", "Why?", "Hello?", "Yes?"]
    await delete(talk, talk.opening_id)
    conversation = await talk.conversation()
    assert (conversation.message_count, conversation.last_message, conversation.head_message_id) == (0, "", "")
    assert conversation.status == pb.CONVERSATION_STATUS_PENDING
    assert await line(talk) == []
    await exchange(talk, "Once more", "With feeling")
    assert await line(talk) == ["Once more", "With feeling"]


async def test_deletion_elsewhere_leaves_the_choice(talk: Talk) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    anew = await talk.again(first)
    await talk.complete(anew, "The view.")
    await delete(talk, first)
    assert await line(talk) == ["Welcome", "Why?", "The view."]
    assert places(await talk.messages())[-1] == (1, 1)
    with pytest.raises(NotFound):
        await delete(talk, first)


async def test_what_is_deleted_is_not_ended_any_more(talk: Talk) -> None:
    begun = await talk.say("Why?")
    await delete(talk, begun.reply.parent_id)
    with pytest.raises(NotFound):
        await talk.complete(begun, "Stairs.")


async def test_a_fork_begins_with_copies(talk: Talk) -> None:
    await exchange(talk, "Why?", "Stairs.")
    await talk.fail(await talk.say("Hm"), "Ha")
    await talk.say("Still writing?")
    _, last = await exchange(talk, "Really?", "Yes.")
    before = await talk.messages()
    forked = await fork(talk, last, "fork")
    assert await fork(talk, last, "fork") == forked
    assert (forked.forked_from_id, forked.message_count) == (talk.conversation_id, len(before))
    assert (forked.scenario_id, forked.character_id, forked.last_message) == (
        talk.scenario_id,
        talk.character_id,
        "Yes.",
    )
    source, talk.conversation_id = talk.conversation_id, forked.conversation_id
    copies = await talk.messages()
    assert [message.content for message in copies] == [message.content for message in before]
    assert not {message.message_id for message in copies} & {message.message_id for message in before}
    assert [message.parent_id for message in copies] == ["", *(message.message_id for message in copies[:-1])]
    assert copies[-1].message_id == forked.head_message_id
    assert (copies[-1].record.model, copies[-1].record.last_sequence) == ("words", 0)
    assert {message.status for message in copies} == {pb.MESSAGE_STATUS_COMPLETE, pb.MESSAGE_STATUS_FAILED}
    begun = await talk.say("Go on")
    assert [message.content for message in begun.context.history][-3:] == ["Really?", "Yes.", "Go on"]
    talk.conversation_id = source
    assert await talk.messages() == before
    await talk.reader.call(
        talk.library.conversations.DeleteConversation, pb.DeleteConversationRequest(conversation_id=source)
    )
    talk.conversation_id = forked.conversation_id
    assert (await talk.conversation()).forked_from_id == ""
    assert len(await talk.messages()) == len(before) + 2


async def test_a_fork_in_the_middle(talk: Talk) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    await talk.complete(await talk.again(first), "The view.")
    talk.conversation_id = (await fork(talk, first)).conversation_id
    assert await line(talk) == ["Welcome", "Why?", "Stairs."]


async def test_eight_at_once_make_one_fork(talk: Talk) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    made = await asyncio.gather(*(fork(talk, first, "once") for _ in range(8)))
    assert len({conversation.conversation_id for conversation in made}) == 1
    talk.conversation_id = made[0].conversation_id
    assert await line(talk) == ["Welcome", "Why?", "Stairs."]


async def test_a_fork_refuses(talk: Talk) -> None:
    said, first = await exchange(talk, "Why?", "Stairs.")
    begun = await talk.say("Really?")
    with pytest.raises(FailedPrecondition) as pending:
        await fork(talk, begun.reply.message_id)
    assert (pending.value.reason, list(pending.value.fields)) == ("REPLY_NOT_ENDED", ["message_id"])
    with pytest.raises(InvalidArgument) as caught:
        await fork(talk, first, "has spaces")
    assert list(caught.value.fields) == ["request_id"]
    await fork(talk, first, "fork")
    for act in (fork(talk, said, "fork"), fork(talk, first, "made"), talk.open("fork")):
        with pytest.raises(InvalidArgument) as reused:
            await act
        assert (reused.value.reason, list(reused.value.fields)) == ("REQUEST_ID_REUSED", ["request_id"])


async def test_an_export_as_json(talk: Talk) -> None:
    await exchange(talk, "Why?", "Stairs.")
    for form in ("", "json"):
        content_type, data = await export(talk, form)
        assert content_type == "application/json"
        content = json.loads(data)
        assert (content["title"], content["novel"]["title"], content["character"]["name"]) == (
            "What if?",
            "The Tower",
            "Ada",
        )
        assert [(message["role"], message["status"], message["content"]) for message in content["messages"]] == [
            ("character", "complete", "Welcome"),
            ("reader", "complete", "Why?"),
            ("character", "complete", "Stairs."),
        ]


async def test_an_export_as_markdown_has_no_headings_but_its_own(talk: Talk) -> None:
    begun = await talk.say("# Chapter 9\n\nMine\n===\n> # Quoted\n- # Listed\n1. # Numbered\n```\nopen")
    await talk.stop(begun, "*sighs* <h1>Loud</h1>\n---\n  ## Two")
    content_type, data = await export(talk, "markdown")
    text = data.decode()
    assert content_type == "text/markdown; charset=utf-8"
    assert text.startswith("# What if?\n\n- Novel: The Tower\n- Character: Ada\n- Date: 20")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# What if?", "## Ada", "## Reader", "## Ada (stopped)"]
    for written in (
        "\\# Chapter 9",
        "\\===",
        "\\> # Quoted",
        "\\- # Listed",
        "1\\. # Numbered",
        "\\```",
        "*sighs* &lt;h1>Loud&lt;/h1>",
        "\\---",
        "  \\## Two",
    ):
        assert f"\n{written}\n" in text


@given(st.text("#=->*+_`~<[]1.) \t\r\nab\\", max_size=40))
def test_no_line_of_a_message_begins_aparagraphs(text: str) -> None:
    for line in paragraphs(text).split("\n"):
        start = line.lstrip(" \t")
        assert not start.startswith(("#", ">", "```", "~~~", "<", "["))
        assert not (start and set(start.rstrip(" \t")) <= {"="} and start.strip())
        assert start[:1] not in {"-", "+", "*"} or start[1:2] not in {"", " ", "\t"}


async def test_an_export_is_whole_however_long(talk: Talk, postgres_url: str) -> None:
    await lengthen(talk, postgres_url, 1200)
    _, data = await export(talk)
    contents = [message["content"] for message in json.loads(data)["messages"]]
    assert contents == ["Welcome", *(f"Line {number}" for number in range(1, 1201))]


async def test_a_long_conversation_is_deleted(talk: Talk, postgres_url: str) -> None:
    await lengthen(talk, postgres_url, 5000)
    begun = await talk.say("Last")
    assert [message.content for message in begun.context.history][-2:] == ["Line 5000", "Last"]
    second = (await talk.messages())[1].message_id
    await delete(talk, second)
    assert await line(talk) == ["Welcome"]
    await lengthen(talk, postgres_url, 5000)
    await talk.reader.call(
        talk.library.conversations.DeleteConversation,
        pb.DeleteConversationRequest(conversation_id=talk.conversation_id),
    )
    with pytest.raises(NotFound):
        await talk.conversation()


async def lengthen(talk: Talk, postgres_url: str, messages: int) -> None:
    """A chain of so many more messages after the head, which lies at position 0."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(
            """
            WITH line AS MATERIALIZED (
                SELECT number, gen_random_uuid() AS message_id FROM generate_series(1, $2) AS number
            ), made AS (
                INSERT INTO messages (message_id, conversation_id, parent_id, position, role, content, status)
                SELECT message_id, $1, coalesce(lag(message_id) OVER (ORDER BY number), $3), number, 'reader',
                       'Line ' || number, 'complete'
                FROM line RETURNING message_id, position
            )
            UPDATE conversations SET head_id = (SELECT message_id FROM made ORDER BY position DESC LIMIT 1)
            WHERE conversation_id = $1
            """,
            UUID(talk.conversation_id),
            messages,
            UUID(talk.opening_id),
        )
    finally:
        await connection.close()


async def test_pages_follow_the_branch(talk: Talk) -> None:
    _, first = await exchange(talk, "One", "First")
    await exchange(talk, "Two", "Second")
    await talk.complete(await talk.again(first), "Other")
    await exchange(talk, "Three", "Third")
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListMessagesRequest(conversation_id=talk.conversation_id, page_size=2, page_token=token)
        response = await talk.reader.call(talk.library.conversations.ListMessages, request)
        found += [message.content for message in response.messages]
        token = response.next_page_token
        if not token:
            break
    assert found == ["Welcome", "One", "Other", "Three", "Third"]


def calls(talk: Talk, message_id: str) -> list[Any]:
    return [
        alternatives(talk, message_id),
        choose(talk, message_id),
        delete(talk, message_id),
        fork(talk, message_id),
        talk.again(message_id),
        talk.edit(message_id, "Hello"),
    ]


async def test_what_is_not_the_reader_s_is_not_found(talk: Talk, library: LibraryClient, search: FakeSearch) -> None:
    other = await make_talk(library, search)
    for message_id in (UNKNOWN, other.opening_id):
        for act in calls(talk, message_id):
            with pytest.raises(NotFound) as caught:
                await act
            assert list(caught.value.fields) == ["message_id"]
    mine, talk.reader = talk.reader, other.reader
    for act in [*calls(talk, talk.opening_id), export(talk)]:
        with pytest.raises(NotFound) as caught:
            await act
        assert list(caught.value.fields) == ["conversation_id"]
    talk.reader = mine
    assert await line(talk) == ["Welcome"]


async def test_malformed_requests_are_named(talk: Talk) -> None:
    for act in calls(talk, "17"):
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert list(caught.value.fields) == ["message_id"]
    with pytest.raises(InvalidArgument) as wrong:
        await export(talk, "pdf")
    assert list(wrong.value.fields) == ["format"]
    talk.conversation_id = "17"
    for act in [*calls(talk, UNKNOWN), export(talk)]:
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert list(caught.value.fields) == ["conversation_id"]
