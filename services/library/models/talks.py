"""Conversations and their messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.library.models.books import Character, Failure, Novel, Scenario, StoredPassages


class ConversationStatus(StrEnum):
    """What a conversation waits for: its first message, or nothing."""

    PENDING = "pending"
    OPEN = "open"


class Role(StrEnum):
    """Who wrote a message."""

    READER = "reader"
    CHARACTER = "character"


class MessageStatus(StrEnum):
    """Whether a message is whole."""

    PENDING = "pending"
    COMPLETE = "complete"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of one reader with one character; title is the scenario's.

    Attributes:
        head_id: the last message of the chosen branch; None: there is no message.
        forked_from_id: the conversation that it was forked from; None: none, or that is gone.
        forked_message_id: the message there that was copied last; None: it is no fork.
    """

    conversation_id: UUID
    user_id: UUID
    scenario_id: UUID
    novel_id: UUID
    character_id: UUID
    character_name: str
    character_description: str
    title: str
    status: ConversationStatus
    message_count: int
    last_message: str
    created_at: datetime
    updated_at: datetime
    head_id: UUID | None
    forked_from_id: UUID | None
    forked_message_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation to be stored."""

    conversation_id: UUID
    user_id: UUID
    scenario: Scenario
    character: Character
    request_id: str | None


@dataclass(frozen=True, slots=True)
class NewFork:
    """A conversation to be stored that begins with copies of another's messages.

    Attributes:
        source_id: the other conversation.
        message_id: the last message that is copied.
    """

    conversation_id: UUID
    user_id: UUID
    source_id: UUID
    message_id: UUID
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that a model was given for a reply, with what is needed to show it as a source.

    Attributes:
        chapter_title, position: the chapter's heading and the place in the novel, as far as they are known.
        excerpt: its beginning.
        score: how well it fits what the reader said; 0: it was not searched for.
    """

    passage_id: str
    chapter: int
    chapter_title: str = ""
    position: int | None = None
    excerpt: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """How a reply was made; last_sequence is that of the last event of its log, 0 where it is not known.

    Attributes:
        degraded: in which ways it is less than it could be, as words for programs.
        citations: the passages of `passage_ids`, in the same order.
    """

    provider: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: int = 0
    total_ms: int = 0
    passage_ids: Sequence[str] = ()
    failure: Failure | None = None
    last_sequence: int = 0
    degraded: Sequence[str] = ()
    citations: Sequence[Citation] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation.

    Attributes:
        position: its ordinal of making in the conversation, from 0; those before it on its branch have smaller ones.
        record: how it was made; None for a reader's message and while it is being written.
        parent_id: the message before it; None: it is the first.
        alternatives: how many messages stand in its place on the branches, itself included.
        alternative: its number among them, from 1.
    """

    message_id: UUID
    conversation_id: UUID
    position: int
    role: Role
    content: str
    status: MessageStatus
    record: ReplyRecord | None
    created_at: datetime
    parent_id: UUID | None
    alternatives: int
    alternative: int


@dataclass(frozen=True, slots=True)
class Node:
    """A message in the tree of its conversation.

    Attributes:
        excerpt: the beginning of its text.
        chosen: whether it is on the chosen branch.
    """

    message_id: UUID
    parent_id: UUID | None
    role: Role
    status: MessageStatus
    excerpt: str
    created_at: datetime
    chosen: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """The messages of a conversation on all of its branches.

    Attributes:
        nodes: oldest first; with each the one before it.
        head_id: the last message of the chosen branch; None: there is none.
        truncated: whether there are more messages.
    """

    nodes: Sequence[Node]
    head_id: UUID | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A character's message with its lease.

    Attributes:
        user_id: the reader.
        epoch: how often it has been taken up; 0: it is only reserved.
        lease_age: seconds since it was last taken up, or, at epoch 0, reserved.
    """

    message: Message
    user_id: UUID
    lease_id: UUID | None
    epoch: int
    lease_age: float

    @property
    def pending(self) -> bool:
        """Whether it has not ended."""
        return self.message.status is MessageStatus.PENDING


@dataclass(frozen=True, slots=True)
class Line:
    """A message as a prompt needs it."""

    message_id: UUID
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What a reply is written from.

    Attributes:
        scenario: as it is stored, whoever reads.
        read_chapter: how far the conversation's reader has read the novel; None: the reader has not said.
        lines: the last whole messages before the reply, on its branch, oldest first.
        kept: passages, whatever the spoiler limit.
    """

    novel: Novel
    scenario: Scenario
    read_chapter: int | None
    lines: Sequence[Line]
    kept: StoredPassages


@dataclass(frozen=True, slots=True)
class Said:
    """A reader's new message, with the pending reply after it."""

    reply: Reply
    conversation: Conversation
    scene: Scene


@dataclass(frozen=True, slots=True)
class PendingReply:
    """A reply that has not ended; see `Reply`."""

    message_id: UUID
    epoch: int
    lease_age: float
