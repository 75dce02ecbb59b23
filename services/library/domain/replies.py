"""Replies: reserved, written by generation under a lease, and stored once."""

from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from mesh.errors import Aborted, FailedPrecondition, NotFound
from mesh.validation import Violations
from services.library.domain.conversations import Conversations, same_request
from services.library.domain.errors import not_found
from services.library.domain.novels import request_id_reused
from services.library.models import (
    Conversation,
    Failure,
    Message,
    MessageStatus,
    NewConversation,
    Novel,
    Reply,
    ReplyRecord,
    Scenario,
)
from services.library.ports import ReplyStore, ReplyTransaction

_CONTENT = 8_000
_HISTORY = 50


@dataclass(frozen=True, slots=True)
class Context:
    """What a prompt needs.

    Attributes:
        history: the last whole messages, oldest first, the reader's new one included.
    """

    novel: Novel
    scenario: Scenario
    conversation: Conversation
    history: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Begun:
    """A reply: to be written under the lease, or, without lease and context, whole already."""

    reply: Message
    lease_id: UUID | None = None
    context: Context | None = None


class Replies:
    """The state machine of a reply: pending under a lease, then complete or failed; failed may begin anew.

    Args:
        replies: where they are kept.
        conversations: what they belong to.
        lease_seconds: after which a pending reply may be taken over.
    """

    def __init__(self, replies: ReplyStore, conversations: Conversations, lease_seconds: float) -> None:
        self._replies = replies
        self._conversations = conversations
        self._lease_seconds = lease_seconds

    async def begin_answer(self, user_id: UUID, conversation_id: UUID, content: str, request_id: str) -> Begun:
        """Stores what the reader says and reserves the answer, once per request_id.

        Raises:
            InvalidArgument: a field breaks the contract, or the request_id was used for something else.
            NotFound: the user has no such conversation.
            Aborted: the answer to this request is being written (reason REPLY_IN_PROGRESS).
        """
        check = Violations()
        check.text("content", content, 1, _CONTENT)
        check.request_id("request_id", request_id)
        check.raise_if_any()
        async with self._replies.transaction() as transaction:
            conversation = await transaction.lock(conversation_id, user_id)
            if conversation is None:
                raise not_found("conversation_id", conversation_id, "conversation")
            return await self._begin(transaction, conversation, content, request_id)

    async def begin_opening(self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str) -> Begun:
        """Reserves the first message of a conversation, which is begun when the request_id is new.

        Raises:
            InvalidArgument: the character is not of the scenario's novel, or the request_id was used for something
                else.
            NotFound: the user sees no such scenario, or there is no such character.
            Aborted: the message is being written (reason REPLY_IN_PROGRESS).
            Unavailable: search, which knows the characters, does not answer.
        """
        check = Violations()
        check.request_id("request_id", request_id)
        check.raise_if_any()
        begun: Conversation | NewConversation | None = await self._conversations.begun(
            user_id, scenario_id, character_id, request_id
        )
        if begun is None:  # search is asked before the transaction, which would hold its connection meanwhile
            begun = await self._conversations.plan(user_id, scenario_id, character_id, request_id)
        async with self._replies.transaction() as transaction:
            if isinstance(begun, NewConversation):
                begun = same_request(await transaction.create_conversation(begun), scenario_id, character_id)
            conversation = await transaction.lock(begun.conversation_id, user_id)
            if conversation is None:
                raise Aborted("the conversation was just deleted; try again", reason="CONCURRENT_CHANGE")
            return await self._begin(transaction, conversation, None, request_id)

    async def _begin(
        self, transaction: ReplyTransaction, conversation: Conversation, content: str | None, request_id: str
    ) -> Begun:
        conversation_id = conversation.conversation_id
        lease_id = uuid4()
        found = await transaction.reply(conversation_id, request_id) if request_id else None
        if found is None:
            reply = await transaction.add(conversation, request_id or None, content, lease_id)
        else:
            said = await transaction.reader_message(conversation_id, request_id)
            if (said.content if said else None) != content:
                raise request_id_reused()
            if found.message.status is MessageStatus.COMPLETE:
                return Begun(found.message)
            if found.message.status is MessageStatus.PENDING:
                self._check_abandoned(found)
            reply = await transaction.restart(found.message.message_id, lease_id)
        novel, scenario = await transaction.context(conversation)
        history = await transaction.history(conversation_id, reply.position, _HISTORY)
        return Begun(reply, lease_id, Context(novel, scenario, conversation, list(history)))

    def _check_abandoned(self, reply: Reply) -> None:
        left = self._lease_seconds - reply.lease_age
        if left > 0:
            raise Aborted(
                "the reply to this request is being written; wait for it, or ask again later",
                reason="REPLY_IN_PROGRESS",
                retry_after=min(left, 1.0),
                metadata={"message_id": str(reply.message.message_id)},
            )

    async def complete(self, message_id: UUID, lease_id: UUID, content: str, record: ReplyRecord) -> Message:
        """Stores a whole reply; the same again changes nothing.

        Raises:
            NotFound: there is no such reply.
            FailedPrecondition: the lease is no longer the reply's (reason LEASE_LOST).
        """
        return await self._finish(message_id, lease_id, MessageStatus.COMPLETE, content, record)

    async def fail(self, message_id: UUID, lease_id: UUID, content: str, record: ReplyRecord) -> Message:
        """Gives a reply up with what was written of it; the same again changes nothing.

        Raises:
            NotFound: there is no such reply.
            FailedPrecondition: the lease is no longer the reply's (reason LEASE_LOST).
        """
        return await self._finish(message_id, lease_id, MessageStatus.FAILED, content, record)

    async def _finish(
        self, message_id: UUID, lease_id: UUID, status: MessageStatus, content: str, record: ReplyRecord
    ) -> Message:
        async with self._replies.transaction() as transaction:
            reply = await transaction.lock_reply(message_id)
            if reply is None:
                text = "names no reply; its conversation may have been deleted"
                raise NotFound(f"message_id {text}", reason="MESSAGE_NOT_FOUND", fields={"message_id": text})
            if reply.lease_id == lease_id:
                if reply.message.status is MessageStatus.PENDING:
                    return await transaction.finish(reply, status, _storable(content), _storable_record(record))
                if reply.message.status is status:
                    return reply.message
        text = "does not hold the reply: it was taken over or has ended"
        raise FailedPrecondition(f"lease_id {text}", reason="LEASE_LOST", fields={"lease_id": text})


def _storable(text: str) -> str:
    # PostgreSQL keeps no NUL, and a model that utters one must not cost the reader the reply.
    return text.replace("\0", "")


def _storable_record(record: ReplyRecord) -> ReplyRecord:
    failure = record.failure
    if failure is not None:
        failure = Failure(
            _storable(failure.code), _storable(failure.reason), _storable(failure.message), failure.retryable
        )
    return replace(
        record,
        provider=_storable(record.provider),
        model=_storable(record.model),
        passage_ids=[_storable(passage_id) for passage_id in record.passage_ids],
        failure=failure,
    )
