"""Where conversations are kept."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.library.models import (
    Conversation,
    Message,
    MessageStatus,
    NewConversation,
    NewFork,
    PendingReply,
    Reply,
    ReplyRecord,
    Said,
    Scene,
    Tree,
    User,
)
from services.library.ports.stores import Key


class ConversationStore(Protocol):
    """Conversations. Every read names the user, so that another's row is not found."""

    async def get(self, conversation_id: UUID, user_id: UUID) -> Conversation | None:
        """The user's conversation."""

    async def by_request(self, user_id: UUID, request_id: str) -> Conversation | None:
        """The conversation that a request made."""

    async def page(self, user_id: UUID, after: Key | None, limit: int) -> Sequence[Conversation]:
        """The user's conversations, last used first."""

    async def delete(self, conversation_id: UUID, user_id: UUID) -> Sequence[UUID] | None:
        """Deletes the user's conversation with its messages.

        Returns:
            The messages that were being written; None: the user has no such conversation.
        """


class BranchStore(Protocol):
    """The trees of messages. Whoever reads has made sure that the conversation is the user's."""

    async def message(self, conversation_id: UUID, message_id: UUID) -> Message | None:
        """A message of a conversation."""

    async def page(self, conversation_id: UUID, after: int, limit: int) -> Sequence[Message]:
        """The messages of the chosen branch after a position, oldest first."""

    async def tree(self, conversation_id: UUID, user_id: UUID, limit: int) -> Tree | None:
        """All messages of the user's conversation; None: the user has no such conversation.

        Of more than the limit the chosen branch is kept first, then the oldest: so the one before each is kept as well.
        """

    async def alternatives(self, message: Message) -> Sequence[Message]:
        """A message and those that stand in its place on other branches, oldest first."""

    async def choose(self, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Conversation | None:
        """Makes the newest branch with a message the chosen one; None: the user has no such message."""

    async def delete(self, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Sequence[UUID] | None:
        """Deletes a message with all beneath it.

        Returns:
            Those of it that were being written; None: the user has no such message.
        """

    async def fork(self, new: NewFork) -> Conversation:
        """Stores a conversation with copies of a branch, or returns the one that the user's request_id made before."""


class ReplyStore(Protocol):
    """Replies; what changes them is within one transaction each."""

    def transaction(self) -> AbstractAsyncContextManager["ReplyTransaction"]:
        """All or nothing."""

    async def say(
        self, conversation_id: UUID, user_id: UUID, request_id: str | None, content: str, most: int
    ) -> Said | None:
        """Stores what the reader says at the end of the chosen branch and a pending reply after it, under a lease.

        It is tried once, in one step, without the patience of a transaction.

        Returns:
            The reply, with at most so many lines before it; None, and nothing has changed: the user has no such
            conversation, the request has made a reply before, or somebody changed the conversation at the same moment.
        """

    async def end(
        self, message_id: UUID, lease_id: UUID, status: MessageStatus, content: str, record: ReplyRecord
    ) -> Message | None:
        """Ends a pending reply with a text, in one step.

        Returns:
            It; None, and nothing has changed: there is no such reply, it is not pending under this lease, or the
            conversation has gone on beyond it.
        """

    async def find(self, user_id: UUID, conversation_id: UUID | None, message_id: UUID | None) -> Reply | None:
        """A reply of the user's; without a message the conversation's opening."""

    async def pending(self, min_age: float, limit: int) -> Sequence[PendingReply]:
        """Replies that have not ended and were last taken up so many seconds ago, oldest first."""


class ReplyTransaction(Protocol):
    """What can be done to replies in one transaction."""

    async def create_conversation(self, conversation: NewConversation) -> Conversation:
        """Stores a conversation, or returns the one that the user's request_id made before."""

    async def lock(self, conversation_id: UUID, user_id: UUID) -> Conversation | None:
        """The user's conversation, which nobody else changes until the transaction ends."""

    async def message(self, conversation_id: UUID, message_id: UUID) -> Message | None:
        """A message of a conversation."""

    async def reader_message(self, conversation_id: UUID, request_id: str) -> Message | None:
        """What the reader said in a request."""

    async def reply(self, conversation_id: UUID, request_id: str) -> Reply | None:
        """The reply of a request."""

    async def opening(self, conversation_id: UUID) -> Reply | None:
        """The first reply of a conversation that answers nothing."""

    async def add(
        self,
        conversation_id: UUID,
        parent_id: UUID | None,
        request_id: str | None,
        content: str | None,
        lease_id: UUID | None,
    ) -> Reply:
        """Stores the reader's message, if there is one, and a pending reply after it, which becomes the head.

        Without a lease the reply is only reserved.
        """

    async def restart(self, message_id: UUID, lease_id: UUID) -> Reply:
        """Makes a reply pending and empty, under a new lease and the next epoch."""

    async def advance(self, message_id: UUID) -> Reply:
        """Gives a reply that has ended the next epoch."""

    async def scene(self, conversation: Conversation, last_id: UUID | None, most: int) -> Scene:
        """What a reply is written from, with at most so many whole messages up to one, or none.

        Whole are complete ones, and stopped ones with text.
        """

    async def reader(self, conversation: Conversation) -> User:
        """Whose a conversation is."""

    async def lock_reply(self, message_id: UUID) -> tuple[Reply, Conversation] | None:
        """A reply and its conversation, which nobody else changes until the transaction ends."""

    async def finish(self, reply: Reply, status: MessageStatus, content: str, record: ReplyRecord) -> Message:
        """Ends a reply, whole, stopped or given up."""
