"""Where users, novels and scenarios are kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.library.models import (
    Character,
    CharacterEdit,
    CharacterEdits,
    Failure,
    IngestionJob,
    IngestionState,
    IngestionSummary,
    NewNovel,
    NewScenario,
    Novel,
    Progress,
    ReadingProgress,
    Revocation,
    Rotation,
    Scenario,
    StoredPassage,
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

    async def cancel(self, novel_id: UUID, failure: Failure) -> int | None:
        """Ends an ingestion whoever has it; a novel that was ingested before is complete all the same.

        Returns:
            The epoch under which its log is to be ended; None: none waits or runs.
        """

    async def again(self, novel_id: UUID) -> int | None:
        """Lets a novel whose ingestion has ended wait for another.

        Returns:
            The epoch under which its log begins; None: one waits or runs already.
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
        self,
        scenario_id: UUID,
        *,
        title: str | None,
        description: str | None,
        until_chapter: int | None,
        until_read: bool | None,
        clear_until_chapter: bool,
    ) -> Scenario | None:
        """Changes what is not None; a lower limit takes the passages beyond it from the scenario."""

    async def delete(self, scenario_id: UUID) -> None:
        """Deletes a scenario with its conversations."""


class ReadingStore(Protocol):
    """How far readers have come in novels."""

    async def get(self, user_id: UUID, novel_id: UUID) -> ReadingProgress:
        """A reader's progress in a novel, said or not."""

    async def set(self, user_id: UUID, novel_id: UUID, chapter: int) -> ReadingProgress:
        """Notes the last chapter that a reader has read.

        Raises:
            NotFound: the novel is gone.
            Unauthenticated: there is no such user.
        """


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


class EditStore(Protocol):
    """What novels' owners have changed about characters, and which of it search has been told."""

    async def get(self, character_id: UUID) -> CharacterEdit | None:
        """What is changed about a character."""

    async def change(
        self, novel_id: UUID, change: Callable[[Mapping[UUID, CharacterEdit]], CharacterEdit]
    ) -> CharacterEdits | None:
        """Stores what a function makes of all that is changed in a novel, while nobody else changes it.

        Returns:
            All that is changed then; None: the novel is gone.
        """

    async def told(self, novel_id: UUID, revision: int) -> None:
        """Notes what search has been told."""

    async def claim(self) -> CharacterEdits | None:
        """Takes a novel whose changes search has not been told; nobody else gets it for a while."""
