"""The tree of a conversation's messages: every branch, what is chosen, what is cut, and whose it is."""

import pytest
from gaji.library.v1 import conversation_service_pb2 as pb

from mesh.errors import InvalidArgument, NotFound
from services.library.domain import branches
from tests.library.conftest import FakeSearch, LibraryClient, Reader
from tests.library.talk import UNKNOWN, Talk, make_talk


@pytest.fixture
async def talk(library: LibraryClient, search: FakeSearch) -> Talk:
    """A talk whose opening is written."""
    talk = await make_talk(library, search)
    await talk.complete(await talk.open("made"), "Welcome")
    return talk


async def tree(talk: Talk, reader: Reader | None = None, conversation_id: str = "") -> pb.GetConversationTreeResponse:
    request = pb.GetConversationTreeRequest(conversation_id=conversation_id or talk.conversation_id)
    return await (reader or talk.reader).call(talk.library.conversations.GetConversationTree, request)


async def exchange(talk: Talk, said: str, replied: str) -> tuple[str, str]:
    """Ids of what was said and what was replied."""
    begun = await talk.say(said)
    await talk.complete(begun, replied)
    return begun.reply.parent_id, begun.reply.message_id


def drawn(found: pb.GetConversationTreeResponse) -> list[tuple[str, str, bool]]:
    """Each text with the one before it."""
    texts = {node.message_id: node.excerpt for node in found.nodes} | {"": ""}
    return [(texts[node.parent_id], node.excerpt, node.chosen) for node in found.nodes]


async def test_a_tree_has_every_branch_and_says_which_is_chosen(talk: Talk) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    await exchange(talk, "Really?", "Yes.")
    await talk.complete(await talk.again(first), "The view.")
    found = await tree(talk)
    assert drawn(found) == [
        ("", "Welcome", True),
        ("Welcome", "Why?", True),
        ("Why?", "Stairs.", False),
        ("Stairs.", "Really?", False),
        ("Really?", "Yes.", False),
        ("Why?", "The view.", True),
    ]
    assert (found.head_message_id, found.truncated) == (found.nodes[-1].message_id, False)
    messages = await talk.messages()
    assert [node.message_id for node in found.nodes if node.chosen] == [message.message_id for message in messages]
    for node, message in zip([node for node in found.nodes if node.chosen], messages, strict=True):
        assert (node.role, node.status, node.parent_id, node.created_at) == (
            message.role,
            message.status,
            message.parent_id,
            message.created_at,
        )


async def test_what_is_being_written_is_in_the_tree(talk: Talk) -> None:
    begun = await talk.say("Why?")
    node = (await tree(talk)).nodes[-1]
    assert (node.message_id, node.status, node.excerpt) == (begun.reply.message_id, pb.MESSAGE_STATUS_PENDING, "")


async def test_long_texts_are_cut(talk: Talk) -> None:
    await exchange(talk, "뭐" * 200, "x" * 160)
    assert [len(node.excerpt) for node in (await tree(talk)).nodes] == [7, 160, 160]


async def test_a_conversation_without_messages_is_a_tree_without_any(talk: Talk) -> None:
    request = pb.DeleteMessageRequest(conversation_id=talk.conversation_id, message_id=talk.opening_id)
    await talk.reader.call(talk.library.conversations.DeleteMessage, request)
    assert await tree(talk) == pb.GetConversationTreeResponse()


async def test_of_a_large_tree_the_chosen_branch_comes_first(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = await exchange(talk, "Why?", "Stairs.")
    await exchange(talk, "Really?", "Yes.")
    await talk.complete(await talk.again(first), "The view.")
    whole = drawn(await tree(talk))
    for limit in range(1, len(whole)):
        monkeypatch.setattr(branches, "MAX_NODES", limit)
        found = await tree(talk)
        assert found.truncated
        assert len(found.nodes) == limit
        kept = {node.message_id for node in found.nodes}
        assert all(node.parent_id in kept | {""} for node in found.nodes), "with each the one before it"
        assert sum(node.chosen for node in found.nodes) == min(limit, 3)
    monkeypatch.setattr(branches, "MAX_NODES", len(whole))
    assert not (await tree(talk)).truncated


async def test_nobody_else_sees_it(talk: Talk) -> None:
    stranger = await talk.library.guest()
    for reader, conversation_id in ((stranger, talk.conversation_id), (talk.reader, UNKNOWN)):
        with pytest.raises(NotFound) as caught:
            await tree(talk, reader, conversation_id)
        assert list(caught.value.fields) == ["conversation_id"]
    with pytest.raises(InvalidArgument) as wrong:
        await tree(talk, conversation_id="mine")
    assert list(wrong.value.fields) == ["conversation_id"]
