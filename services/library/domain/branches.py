"""The tree of a conversation's messages: a reply made anew or a message said in another way begins another branch."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID, uuid4

from mesh.errors import FailedPrecondition, InvalidArgument
from mesh.pages import decode_token, encode_token, page_size
from mesh.validation import Violations
from services.library.domain import exports
from services.library.domain.conversations import Conversations
from services.library.domain.errors import not_found
from services.library.domain.exports import File
from services.library.domain.novels import request_id_reused
from services.library.domain.reads import Reads
from services.library.domain.writers import Writers
from services.library.models import Conversation, Message, MessageStatus, NewFork, Page, Tree
from services.library.ports import BranchStore

MAX_NODES = 5_000
"""Messages in a tree at most."""
_EXPORT_PAGE = 500


class Branches:
    """What readers do with the messages of their conversations.

    Args:
        branches: where they are kept.
        conversations: what they belong to.
        reads: novels.
        writers: stopped when what they write is deleted.
    """

    def __init__(self, branches: BranchStore, conversations: Conversations, reads: Reads, writers: Writers) -> None:
        self._branches = branches
        self._conversations = conversations
        self._reads = reads
        self._writers = writers

    async def messages(self, user_id: UUID, conversation_id: UUID, size: int, token: str) -> Page[Message]:
        """The messages of a conversation's chosen branch, oldest first.

        Raises:
            InvalidArgument: size or token breaks the contract.
            NotFound: the user has no such conversation.
        """
        check = Violations()
        size = page_size(check, size)
        parts = decode_token(check, token, 1)
        position = parts[0] if parts else "-1"
        if parts and not (position.isascii() and position.isdigit() and len(position) < 10):
            check.add("page_token", "is not a token of this list; leave it out to begin at the first page")
        check.raise_if_any()
        await self._conversations.get(user_id, conversation_id)
        found = await self._branches.page(conversation_id, int(position), size + 1)
        more = len(found) > size
        return Page(found[:size], encode_token(str(found[size - 1].position)) if more else "")

    async def tree(self, user_id: UUID, conversation_id: UUID) -> Tree:
        """All messages of a conversation, on all of its branches.

        Raises:
            NotFound: the user has no such conversation.
        """
        found = await self._branches.tree(conversation_id, user_id, MAX_NODES)
        if found is None:
            raise not_found("conversation_id", conversation_id, "conversation")
        return found

    async def alternatives(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> Sequence[Message]:
        """A message and those that stand in its place on other branches, oldest first.

        Raises:
            NotFound: the user has no such message.
        """
        return await self._branches.alternatives(await self._message(user_id, conversation_id, message_id))

    async def choose(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> Conversation:
        """Makes the newest branch with a message the chosen one.

        Raises:
            NotFound: the user has no such message.
        """
        await self._conversations.get(user_id, conversation_id)
        chosen = await self._branches.choose(conversation_id, user_id, message_id)
        if chosen is None:
            raise not_found("message_id", message_id, "message")
        return chosen

    async def delete(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> None:
        """Deletes a message with all that follows it on any branch.

        Raises:
            NotFound: the user has no such message.
        """
        await self._conversations.get(user_id, conversation_id)
        pending = await self._branches.delete(conversation_id, user_id, message_id)
        if pending is None:
            raise not_found("message_id", message_id, "message")
        await self._writers.stop(pending)

    async def fork(self, user_id: UUID, conversation_id: UUID, message_id: UUID, request_id: str) -> Conversation:
        """Begins a conversation with copies of a message and of all before it, once per request_id.

        Raises:
            InvalidArgument: the request_id breaks the contract, or was used for something else.
            NotFound: the user has no such message.
            FailedPrecondition: the message is still being written (reason REPLY_NOT_ENDED).
        """
        check = Violations()
        check.request_id("request_id", request_id)
        check.raise_if_any()
        message = await self._message(user_id, conversation_id, message_id)
        if message.status is MessageStatus.PENDING:
            text = "is still being written; wait for its end, or stop it"
            raise FailedPrecondition(f"message_id {text}", reason="REPLY_NOT_ENDED", fields={"message_id": text})
        made = await self._branches.fork(NewFork(uuid4(), user_id, conversation_id, message_id, request_id or None))
        if (made.forked_from_id, made.forked_message_id) != (conversation_id, message_id):
            raise request_id_reused()
        return made

    async def export(self, user_id: UUID, conversation_id: UUID, form: str) -> File:
        """A conversation's chosen branch as a file.

        Args:
            user_id: the reader.
            conversation_id: the conversation.
            form: "json" or "markdown"; empty: "json".

        Raises:
            InvalidArgument: there is no such format.
            NotFound: the user has no such conversation.
        """
        write = exports.FORMATS.get(form or "json")
        if write is None:
            text = f"is none of: {', '.join(exports.FORMATS)}"
            raise InvalidArgument(f"format {text}", reason="INVALID_FIELD", fields={"format": text})
        conversation = await self._conversations.get(user_id, conversation_id)
        novel = await self._reads.novel(conversation.novel_id)
        if novel is None:
            raise not_found("conversation_id", conversation_id, "conversation")
        messages = [message async for message in self._branch(conversation_id)]
        return await asyncio.to_thread(write, conversation, novel, messages)

    async def _branch(self, conversation_id: UUID) -> AsyncGenerator[Message, None]:
        after = -1
        while found := await self._branches.page(conversation_id, after, _EXPORT_PAGE):
            for message in found:
                yield message
            after = found[-1].position

    async def _message(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> Message:
        await self._conversations.get(user_id, conversation_id)
        found = await self._branches.message(conversation_id, message_id)
        if found is None:
            raise not_found("message_id", message_id, "message")
        return found
