"""Replies as readers ask for them: reserved once per request, to be written by whoever gets the lease."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from mesh import plain_text
from mesh.errors import Aborted, FailedPrecondition, InvalidArgument
from mesh.validation import Violations
from services.library.domain.conversations import Conversations, same_request
from services.library.domain.errors import not_found
from services.library.domain.novels import request_id_reused
from services.library.models import (
    Conversation,
    Line,
    Message,
    MessageStatus,
    NewConversation,
    Novel,
    Reply,
    Role,
    Scenario,
    Scene,
    StoredPassage,
    StoredPassages,
    spoiler_limit,
)
from services.library.ports import Jobs, ReplyStore, ReplyTransaction

_CONTENT = 8_000
_HISTORY = 50


@dataclass(frozen=True, slots=True)
class Context:
    """What a prompt needs.

    Attributes:
        scenario: with the spoiler limit that holds for the conversation's reader now as its until_chapter.
        history: the last whole messages of the reply's branch, oldest first, the reader's new one included.
        kept: passages for when search does not answer, none beyond the scenario's spoiler limit.
    """

    novel: Novel
    scenario: Scenario
    conversation: Conversation
    history: Sequence[Line] = ()
    kept: StoredPassages = field(default_factory=StoredPassages)


@dataclass(frozen=True, slots=True)
class Begun:
    """A reply: to be written under its lease, or, without context, written by another or ended."""

    reply: Reply
    context: Context | None = None

    @property
    def lease_id(self) -> UUID | None:
        """The right to write it; None: there is none."""
        return self.reply.lease_id if self.context else None


@dataclass(frozen=True, slots=True)
class _Made:
    """What a request_id has made before: the reader's message, if there was one, and the reply."""

    said: Message | None
    reply: Reply


class Replies:
    """Begins replies.

    Args:
        replies: where they are kept.
        conversations: what they belong to.
        jobs: has them written when nobody waits for them.
        look_after: told of the context of each reply that is taken up, so that what it lacks can be fetched.
    """

    def __init__(
        self,
        replies: ReplyStore,
        conversations: Conversations,
        jobs: Jobs,
        look_after: Callable[[Context], None] = lambda _: None,
    ) -> None:
        self._replies = replies
        self._conversations = conversations
        self._jobs = jobs
        self._look_after = look_after

    async def begin_answer(self, user_id: UUID, conversation_id: UUID, content: str, request_id: str) -> Begun:
        """Stores what the reader says at the end of the chosen branch and reserves the answer, once per request_id.

        Raises:
            InvalidArgument: a field breaks the contract, or the request_id was used for something else.
            NotFound: the user has no such conversation.
        """
        content = plain_text.text(content)
        _check(request_id, content)
        said = await self._replies.say(conversation_id, user_id, request_id or None, content, _HISTORY)
        if said is not None:
            return self._looked_after(Begun(said.reply, context_of(said.conversation, said.scene)))
        async with self._replies.transaction() as transaction:
            conversation = await self._lock(transaction, conversation_id, user_id)
            made = await _made(transaction, conversation_id, request_id)
            if made is not None:
                same = made.said is not None and made.said.content == content
                return self._looked_after(await _resume(transaction, conversation, made, same=same))
            return self._looked_after(await _add(transaction, conversation, conversation.head_id, request_id, content))

    async def begin_again(self, user_id: UUID, conversation_id: UUID, message_id: UUID, request_id: str) -> Begun:
        """Reserves another reply in the place of one that has ended, once per request_id.

        Raises:
            InvalidArgument: the request_id breaks the contract or was used for something else.
            NotFound: the user has no such message.
            FailedPrecondition: it is no reply that has ended (reason REPLY_NOT_ENDED).
        """
        _check(request_id)
        async with self._replies.transaction() as transaction:
            conversation = await self._lock(transaction, conversation_id, user_id)
            named = await transaction.message(conversation_id, message_id)
            made = await _made(transaction, conversation_id, request_id)
            if made is not None:  # the reply that it stands for may be gone meanwhile
                again = made.reply.message
                same = made.said is None and again.message_id != message_id
                same = same and (named is None or named.parent_id == again.parent_id)
                return self._looked_after(await _resume(transaction, conversation, made, same=same))
            if named is None:
                raise not_found("message_id", message_id, "message")
            if named.role is not Role.CHARACTER or named.status is MessageStatus.PENDING:
                text = "names no reply that has ended; wait for its end, or stop it"
                raise FailedPrecondition(f"message_id {text}", reason="REPLY_NOT_ENDED", fields={"message_id": text})
            return self._looked_after(await _add(transaction, conversation, named.parent_id, request_id, None))

    async def begin_edited(
        self, user_id: UUID, conversation_id: UUID, message_id: UUID, content: str, request_id: str
    ) -> Begun:
        """Stores what the reader says in the place of a message of theirs and reserves the answer, once per request_id.

        Raises:
            InvalidArgument: a field breaks the contract, the request_id was used for something else, or the message is
                the character's.
            NotFound: the user has no such message.
        """
        content = plain_text.text(content)
        _check(request_id, content)
        async with self._replies.transaction() as transaction:
            conversation = await self._lock(transaction, conversation_id, user_id)
            named = await transaction.message(conversation_id, message_id)
            made = await _made(transaction, conversation_id, request_id)
            if made is not None:
                said = made.said
                same = said is not None and said.content == content and said.message_id != message_id
                same = same and said is not None and (named is None or named.parent_id == said.parent_id)
                return self._looked_after(await _resume(transaction, conversation, made, same=same))
            if named is None:
                raise not_found("message_id", message_id, "message")
            if named.role is not Role.READER:
                text = "names a message of the character's; only what the reader has said can be said in another way"
                raise InvalidArgument(f"message_id {text}", reason="INVALID_FIELD", fields={"message_id": text})
            return self._looked_after(await _add(transaction, conversation, named.parent_id, request_id, content))

    async def begin_opening(self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str) -> Begun:
        """Takes up the first message of a conversation, which is begun when the request_id is new.

        Raises:
            InvalidArgument: the character is not of the scenario's novel, or the request_id was used for something
                else.
            NotFound: the user sees no such scenario, or there is no such character.
            MeshError: search, which knows the characters, does not answer, and the character is not kept.
        """
        begun = await self._plan(user_id, scenario_id, character_id, request_id)
        async with self._replies.transaction() as transaction:
            conversation = await self._begun(transaction, begun, user_id, scenario_id, character_id)
            made = await _made(transaction, conversation.conversation_id, request_id)
            if made is not None:
                return self._looked_after(await _resume(transaction, conversation, made, same=made.said is None))
            return self._looked_after(await _add(transaction, conversation, conversation.head_id, request_id, None))

    async def reserve_opening(
        self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str
    ) -> tuple[Conversation, UUID | None]:
        """Begins a conversation, once per request_id, and has its first message written.

        Returns:
            The conversation and its first message; None where its reader has begun it without one.

        Raises:
            MeshError: as `begin_opening`.
        """
        begun = await self._plan(user_id, scenario_id, character_id, request_id)
        async with self._replies.transaction() as transaction:
            conversation = await self._begun(transaction, begun, user_id, scenario_id, character_id)
            conversation_id = conversation.conversation_id
            opening = await transaction.opening(conversation_id)
            if opening is None and conversation.head_id is None:
                opening = await transaction.add(conversation_id, None, request_id or None, None, None)
        if opening is None:
            return conversation, None
        if opening.pending and opening.epoch == 0:
            self._jobs.finish_reply(opening.message.message_id)
        return conversation, opening.message.message_id

    def _looked_after(self, begun: Begun) -> Begun:
        if begun.context is not None:
            self._look_after(begun.context)
        return begun

    async def _plan(
        self, user_id: UUID, scenario_id: UUID, character_id: UUID, request_id: str
    ) -> Conversation | NewConversation:
        """The request's conversation; search is asked before a transaction, which would hold a connection meanwhile."""
        _check(request_id)
        found = await self._conversations.begun(user_id, scenario_id, character_id, request_id)
        return found or await self._conversations.plan(user_id, scenario_id, character_id, request_id)

    async def _begun(
        self,
        transaction: ReplyTransaction,
        begun: Conversation | NewConversation,
        user_id: UUID,
        scenario_id: UUID,
        character_id: UUID,
    ) -> Conversation:
        if isinstance(begun, NewConversation):
            begun = same_request(await transaction.create_conversation(begun), scenario_id, character_id)
        conversation = await transaction.lock(begun.conversation_id, user_id)
        if conversation is None:
            raise Aborted("the conversation was just deleted; try again", reason="CONCURRENT_CHANGE")
        return conversation

    async def _lock(self, transaction: ReplyTransaction, conversation_id: UUID, user_id: UUID) -> Conversation:
        conversation = await transaction.lock(conversation_id, user_id)
        if conversation is None:
            raise not_found("conversation_id", conversation_id, "conversation")
        return conversation


async def begun(transaction: ReplyTransaction, conversation: Conversation, reply: Reply) -> Begun:
    """A reply that is taken up."""
    scene = await transaction.scene(conversation, reply.message.parent_id, _HISTORY)
    return Begun(reply, context_of(conversation, scene))


def context_of(conversation: Conversation, scene: Scene) -> Context:
    """What the prompt of a reply needs."""
    scenario, kept = scene.scenario, scene.kept
    if scenario.until_read:
        until = spoiler_limit(scenario.until_chapter, scene.read_chapter, until_read=True)
        scenario = replace(scenario, until_chapter=until)
    until = scenario.until_chapter
    kept = StoredPassages(_within(kept.scenario, until), _within(kept.novel, until), _within(kept.samples, until))
    return Context(scene.novel, scenario, conversation, scene.lines, kept)


def _within(passages: Sequence[StoredPassage] | None, until_chapter: int | None) -> Sequence[StoredPassage] | None:
    if passages is None or until_chapter is None:
        return passages
    return [passage for passage in passages if passage.chapter <= until_chapter]


async def _made(transaction: ReplyTransaction, conversation_id: UUID, request_id: str) -> _Made | None:
    reply = await transaction.reply(conversation_id, request_id) if request_id else None
    return _Made(await transaction.reader_message(conversation_id, request_id), reply) if reply else None


async def _add(
    transaction: ReplyTransaction,
    conversation: Conversation,
    parent_id: UUID | None,
    request_id: str,
    content: str | None,
) -> Begun:
    reply = await transaction.add(conversation.conversation_id, parent_id, request_id or None, content, uuid4())
    return await begun(transaction, conversation, reply)


async def _resume(transaction: ReplyTransaction, conversation: Conversation, made: _Made, *, same: bool) -> Begun:
    """The request's reply: taken up when it is nobody's, i.e. was given up or only reserved."""
    if not same:
        raise request_id_reused()
    reply = made.reply
    if reply.message.status is not MessageStatus.FAILED and not (reply.pending and reply.epoch == 0):
        return Begun(reply)
    return await begun(transaction, conversation, await transaction.restart(reply.message.message_id, uuid4()))


def _check(request_id: str, content: str | None = None) -> None:
    check = Violations()
    if content is not None:
        check.text("content", content, 1, _CONTENT)
    check.request_id("request_id", request_id)
    check.raise_if_any()
