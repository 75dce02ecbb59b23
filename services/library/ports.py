"""What the library's domain needs from the outside."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.library.models import (
    Character,
    Conversation,
    Failure,
    IngestionJob,
    IngestionState,
    IngestionSummary,
    Message,
    MessageStatus,
    NewConversation,
    NewFork,
    NewNovel,
    NewScenario,
    Novel,
    PendingReply,
    Progress,
    Reply,
    ReplyRecord,
    Revocation,
    Rotation,
    Scenario,
    StoredPassage,
    StoredPassages,
    User,
)

Key = tuple[datetime, UUID]
"""A position in a list that is sorted by time, newest first: the last row of the page before."""


class UserStore(Protocol):
    """Users and their sessions."""

    async def create(self, user: User, password_hash: str | None) -> None:
        """Stores a new user.

        Raises:
            AlreadyExists: the e-mail address is taken.
        """

    async def upgrade(self, user_id: UUID, email: str, password_hash: str, display_name: str) -> User | None:
        """Makes an account of a guest; None: there is no such guest.

        Raises:
            AlreadyExists: the e-mail address is taken.
        """

    async def get(self, user_id: UUID) -> User | None:
        """A user."""

    async def credentials(self, email: str) -> tuple[User, str] | None:
        """The account of an e-mail address (in lower case) and the hash of its password."""

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Replaces the hash of a password."""

    async def update(self, user_id: UUID, display_name: str | None) -> User | None:
        """Changes what is not None."""

    async def open_session(self, user_id: UUID, session_id: UUID, token_hash: bytes, seconds: int) -> None:
        """Begins a family of refresh tokens with its first, and drops the user's expired ones.

        Raises:
            Unauthenticated: there is no such user.
        """

    async def rotate(
        self, token_hash: bytes, next_hash: bytes, nonce: bytes, seconds: int, reuse_seconds: float
    ) -> Rotation:
        """Exchanges a refresh token for the next of its family.

        A token used before revokes the family, but for ``reuse_seconds`` after its use: then it is answered as the
        first time, with the nonce that the next one was made with.
        """

    async def close_session(self, token_hash: bytes) -> None:
        """Revokes the family of a refresh token; an unknown one is no mistake."""

    async def revoke(self, user_id: UUID, session_id: UUID) -> None:
        """Revokes a session of a user; an unknown one is no mistake."""

    async def revocations(
        self, since: datetime | None, after: Key | None, limit: int, seconds: float
    ) -> tuple[Sequence[Revocation], datetime]:
        """The sessions revoked within ``seconds``, the first first, and the store's time.

        Args:
            since: the time of an earlier listing; what it may have missed comes again.
            after: the last of the page before.
            limit: how many at most.
            seconds: how long a revocation is of interest.
        """


class NovelStore(Protocol):
    """Novels and their texts."""

    async def create(self, novel: NewNovel) -> tuple[Novel, bytes]:
        """Stores a novel, which then waits for its ingestion.

        Returns:
            The novel and its request's hash: those stored before when the request_id is known.
        """

    async def get(self, novel_id: UUID) -> Novel | None:
        """A novel."""

    async def page(self, user_id: UUID, after: Key | None, limit: int) -> Sequence[Novel]:
        """The user's and the public novels, newest first."""

    async def update(self, novel_id: UUID, title: str | None, author: str | None) -> Novel | None:
        """Changes what is not None."""

    async def delete(self, novel_id: UUID) -> Sequence[UUID]:
        """Deletes a novel with all that hangs on it, and queues its removal from search.

        Returns:
            The ids of the scenarios that went with it.
        """


class IngestionStore(Protocol):
    """Ingestions and who has them, and the queue of removals of deleted novels from search."""

    async def claim(self, novel_id: UUID) -> IngestionJob | None:
        """Leases a novel that waits, or whose driver has fallen silent, under the next epoch; None: it does not."""

    async def heartbeat(self, job: IngestionJob, progress: Progress) -> bool:
        """Renews the lease and stores progress; False: it is lost."""

    async def complete(self, job: IngestionJob, summary: IngestionSummary, last_sequence: int) -> bool:
        """Ends the ingestion well and keeps the novel's default passages and characters; False: the lease is lost."""

    async def fail(self, job: IngestionJob, failure: Failure, last_sequence: int) -> bool:
        """Ends the ingestion without an index; False: the lease is lost."""

    async def abandon(self, novel_id: UUID, failure: Failure) -> int | None:
        """Ends the ingestion of a novel that nobody has.

        Returns:
            The epoch under which its log is to be ended, with one event; None: it has ended, or somebody has it.
        """

    async def postpone(self, job: IngestionJob, seconds: float, *, counted: bool) -> bool:
        """Lets the novel wait again; False: the lease is lost.

        Args:
            job: what is put back.
            seconds: how long it is not listed as waiting.
            counted: whether this attempt counts.
        """

    async def state(self, novel_id: UUID) -> IngestionState | None:
        """How an ingestion stands."""

    async def waiting(self, limit: int) -> Sequence[UUID]:
        """Novels that nobody has though they wait, oldest first."""

    async def claim_removal(self) -> UUID | None:
        """Takes a deleted novel whose passages may still be in search; nobody else gets it for a while."""

    async def removed(self, novel_id: UUID) -> None:
        """Ends a removal, unless the novel's ingestion may still be running somewhere."""


class ScenarioStore(Protocol):
    """Scenarios."""

    async def create(self, scenario: NewScenario) -> Scenario:
        """Stores a scenario.

        Raises:
            NotFound: the novel is gone.
        """

    async def get(self, scenario_id: UUID) -> Scenario | None:
        """A scenario."""

    async def page(self, novel_id: UUID, user_id: UUID, after: Key | None, limit: int) -> Sequence[Scenario]:
        """The user's and the public scenarios of a novel, newest first."""

    async def update(
        self, scenario_id: UUID, title: str | None, description: str | None, until_chapter: int | None
    ) -> Scenario | None:
        """Changes what is not None."""

    async def delete(self, scenario_id: UUID) -> None:
        """Deletes a scenario with its conversations."""


class PassageStore(Protocol):
    """Passages that are kept for when search does not answer."""

    async def keep_of_scenario(self, scenario_id: UUID, passages: Sequence[StoredPassage]) -> None:
        """Keeps those that a scenario was built on; does nothing where the scenario is gone."""

    async def keep_of_novel(self, novel_id: UUID, passages: Sequence[StoredPassage]) -> None:
        """Keeps those that stand for a novel; does nothing where the novel is gone."""


class CharacterStore(Protocol):
    """Characters that are kept for when search does not answer."""

    async def keep(self, novel_id: UUID, people: Sequence[Character]) -> None:
        """Keeps a novel's characters in the place of those before; does nothing where the novel is gone."""

    async def get(self, character_id: UUID) -> Character | None:
        """A character, whoever may see it."""

    async def count(self, novel_id: UUID) -> int:
        """How many of a novel are kept."""


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

    async def history(self, message_id: UUID, limit: int) -> Sequence[Message]:
        """A message and those before it on its branch, oldest first; only whole ones, and stopped ones with text."""

    async def context(self, conversation: Conversation) -> tuple[Novel, Scenario]:
        """The novel and the scenario that a conversation plays in."""

    async def passages(self, conversation: Conversation) -> StoredPassages:
        """What is kept of passages for a conversation."""

    async def reader(self, conversation: Conversation) -> User:
        """Whose a conversation is."""

    async def lock_reply(self, message_id: UUID) -> tuple[Reply, Conversation] | None:
        """A reply and its conversation, which nobody else changes until the transaction ends."""

    async def finish(self, reply: Reply, status: MessageStatus, content: str, record: ReplyRecord) -> Message:
        """Ends a reply, whole, stopped or given up."""


class Jobs(Protocol):
    """The queues of work that must be done even if nobody waits for it.

    Both return at once: a queue is a hint, and trouble with one is not the caller's. What is lost is swept up.
    """

    def finish_reply(self, message_id: UUID) -> None:
        """Has a reply written to its end."""

    def ingest_novel(self, novel_id: UUID) -> None:
        """Has a novel ingested."""


class Search(Protocol):
    """The search room."""

    def ingest(self, novel: Novel, text: str, timeout: float) -> AsyncGenerator[Progress | IngestionSummary, None]:
        """Ingests a novel; the summary comes last."""

    async def find_passages(
        self, novel_id: UUID, query: str, top_k: int, until_chapter: int | None, timeout: float
    ) -> Sequence[StoredPassage]:
        """The passages that fit a query, best first."""

    async def known_passages(
        self, novel_id: UUID, passage_ids: Sequence[UUID], until_chapter: int | None
    ) -> Sequence[StoredPassage]:
        """Those of the passages that the novel has."""

    async def default_passages(self, novel_id: UUID, title: str, most: int) -> Sequence[StoredPassage]:
        """Passages of a novel that show its main characters, in the novel's order."""

    async def character(self, character_id: UUID, timeout: float) -> Character | None:
        """A character of a novel that the caller sees."""

    async def characters(self, novel_id: UUID, most: int) -> Sequence[Character]:
        """The characters of a novel, most important first."""

    async def delete_novel(self, novel_id: UUID) -> None:
        """Removes a novel's passages and characters; idempotent."""


class Cache(Protocol):
    """Values by key, shared by all replicas. Its trouble is never the caller's."""

    async def get(self, key: str, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        """The value of a key, computed when it is not there."""

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values after a write."""


class Stores(Protocol):
    """All that is kept."""

    @property
    def users(self) -> UserStore:
        """Users and their sessions."""

    @property
    def novels(self) -> NovelStore:
        """Novels and their texts."""

    @property
    def ingestion(self) -> IngestionStore:
        """Ingestions and removals."""

    @property
    def scenarios(self) -> ScenarioStore:
        """Scenarios."""

    @property
    def passages(self) -> PassageStore:
        """Passages for when search does not answer."""

    @property
    def characters(self) -> CharacterStore:
        """Characters for when search does not answer."""

    @property
    def conversations(self) -> ConversationStore:
        """Conversations."""

    @property
    def branches(self) -> BranchStore:
        """Their messages."""

    @property
    def replies(self) -> ReplyStore:
        """Replies."""
