"""Users, novels, scenarios and what was found in a novel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Visibility(StrEnum):
    """Who may see a thing."""

    PRIVATE = "private"
    PUBLIC = "public"


class IngestionStatus(StrEnum):
    """How far the ingestion of a novel is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {IngestionStatus.COMPLETE, IngestionStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be completed.

    Attributes:
        code: the gRPC status code's name.
        reason: for programs, UPPER_SNAKE.
        message: for people.
        retryable: whether the same may succeed later.
    """

    code: str
    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class User:
    """A reader; a guest has no e-mail address."""

    user_id: UUID
    email: str | None
    display_name: str
    created_at: datetime

    @property
    def guest(self) -> bool:
        """Whether the user has no account yet."""
        return self.email is None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What came of exchanging a refresh token.

    Attributes:
        user, session_id: what goes on; None: the token is worth nothing.
        nonce: what the next token was made with.
        reused: whether the token had been used before.
    """

    user: User | None = None
    session_id: UUID | None = None
    nonce: bytes = b""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Revocation:
    """A session that ended before its time."""

    session_id: UUID
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class Novel:
    """A novel without its text."""

    novel_id: UUID
    owner_id: UUID
    title: str
    author: str
    language: str
    visibility: Visibility
    status: IngestionStatus
    words: int
    chapters: int
    passages: int
    characters: int
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @property
    def searchable(self) -> bool:
        """Whether search knows it: it was ingested once, whatever became of later ingestions."""
        return self.status is IngestionStatus.COMPLETE or self.passages > 0

    def visible_to(self, user_id: UUID) -> bool:
        """Whether the user may see it."""
        return self.visibility is Visibility.PUBLIC or self.owner_id == user_id


@dataclass(frozen=True, slots=True)
class NewNovel:
    """A novel to be stored.

    Attributes:
        request_id: makes repeated requests one; None: this is a request of its own.
        request_hash: tells the same request from another one with the same id.
    """

    novel_id: UUID
    owner_id: UUID
    title: str
    author: str
    language: str
    visibility: Visibility
    text: str
    request_id: str | None
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come.

    Attributes:
        percent: 0 to 100.
        stage: a stable word for what is being done.
        message: the same for people.
        remaining_seconds: how long the rest is going to take; None: nobody knows.
    """

    percent: int
    stage: str
    message: str
    remaining_seconds: int | None = None

    def no_less_than(self, percent: int) -> "Progress":
        """The same, but never below what was told before."""
        return self if self.percent >= percent else replace(self, percent=percent)


@dataclass(frozen=True, slots=True)
class IngestionState:
    """How the ingestion of a novel stands.

    Attributes:
        epoch: how often it has been taken up.
        last_sequence: of the last event of an ingestion that has ended, within the epoch's log.
    """

    status: IngestionStatus
    progress: Progress
    epoch: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage of a novel that is kept here, for when search does not answer.

    Attributes:
        chapter_title, position: the chapter's heading and the place in the novel, as far as they are known.
    """

    passage_id: UUID
    content: str
    chapter: int
    chapter_title: str = ""
    position: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPassages:
    """What is kept of passages for a conversation; None: not looked for yet.

    Attributes:
        scenario: those that its scenario was built on, best first.
        novel: some from all over its novel, in the novel's order.
        samples: lines of its character's own, in the novel's order.
    """

    scenario: Sequence[StoredPassage] | None = None
    novel: Sequence[StoredPassage] | None = None
    samples: Sequence[StoredPassage] | None = None


@dataclass(frozen=True, slots=True)
class IngestionSummary:
    """What an ingestion has stored in search, and the passages and people that stand for the novel without it."""

    language: str
    words: int
    chapters: int
    passages: int
    characters: int
    defaults: Sequence[StoredPassage] = ()
    people: Sequence["Character"] = ()


@dataclass(frozen=True, slots=True)
class IngestionJob:
    """A novel whose ingestion is this process's while its lease lives.

    Attributes:
        attempt: 1 for the first.
        epoch: fences off whoever had the novel before.
        percent: how far earlier attempts have told that it is.
    """

    novel: Novel
    text: str
    lease_id: UUID
    attempt: int
    epoch: int
    percent: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A what-if scenario.

    Attributes:
        passage_ids: what it was built on, best first.
        until_chapter: the spoiler limit; None: no limit.
        until_read: whether each reader's progress is a spoiler limit as well.
    """

    scenario_id: UUID
    owner_id: UUID
    novel_id: UUID
    title: str
    description: str
    passage_ids: Sequence[UUID]
    visibility: Visibility
    until_chapter: int | None
    created_at: datetime
    updated_at: datetime
    until_read: bool = False

    def visible_to(self, user_id: UUID) -> bool:
        """Whether the user may see it."""
        return self.visibility is Visibility.PUBLIC or self.owner_id == user_id


def spoiler_limit(until_chapter: int | None, read: int | None, *, until_read: bool) -> int | None:
    """The last chapter that a reader may be told of; None: there is no limit.

    Args:
        until_chapter: the scenario's own limit; None: it has none.
        read: the last chapter that the reader has read; None: not said, which counts as none read.
        until_read: whether that is a limit as well.
    """
    if not until_read:
        return until_chapter
    return read or 0 if until_chapter is None else min(read or 0, until_chapter)


@dataclass(frozen=True, slots=True)
class ReadingProgress:
    """How far a reader has come in a novel.

    Attributes:
        chapter: the last one that was read; None: the reader has said nothing.
        updated_at: when that was said.
    """

    novel_id: UUID
    chapter: int | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewScenario:
    """A scenario to be stored."""

    scenario_id: UUID
    owner_id: UUID
    novel_id: UUID
    title: str
    description: str
    passage_ids: Sequence[UUID]
    visibility: Visibility
    until_chapter: int | None
    passages: Sequence[StoredPassage] | None = None
    until_read: bool = False


@dataclass(frozen=True, slots=True)
class Character:
    """Somebody in a novel, as search knows them; first_chapter is where they are first named.

    Attributes:
        samples: lines of their own, each with the chapter and the passage that it stands in.
    """

    character_id: UUID
    novel_id: UUID
    name: str
    description: str
    first_chapter: int = 0
    samples: Sequence[StoredPassage] = ()


@dataclass(frozen=True, slots=True)
class CharacterEdit:
    """What a novel's owner has changed about a character; None: as in the book.

    Attributes:
        hidden: whether lists leave the character out.
        merged_into: the character that this one is joined with.
    """

    character_id: UUID
    novel_id: UUID
    name: str | None = None
    aliases: Sequence[str] | None = None
    description: str | None = None
    hidden: bool = False
    merged_into: UUID | None = None

    def applied(self, character: Character) -> Character:
        """The character with what is changed."""
        name = character.name if self.name is None else self.name
        description = character.description if self.description is None else self.description
        return replace(character, name=name, description=description)


@dataclass(frozen=True, slots=True)
class CharacterEdits:
    """All that is changed about a novel's characters.

    Attributes:
        revision: grows with every change.
    """

    novel_id: UUID
    revision: int
    edits: Sequence[CharacterEdit]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; an empty token says that there is no more."""

    items: Sequence[T]
    next_token: str = ""
