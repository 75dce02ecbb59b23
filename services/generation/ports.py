"""What generation needs of others, and the values that pass between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from mesh.errors import FailedPrecondition, MeshError

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message as a model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is given.

    Attributes:
        system: who the character is and what the rules are; the same from turn to turn, so that models which keep the
            state of a prompt's beginning can use it again.
        turns: the conversation, oldest first; it ends with the user's turn.
        prefix: how the answer begins: the model goes on behind it. Only models that can are asked to
            (`ModelProvider.continues`).
    """

    system: str
    turns: tuple[Turn, ...]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What a reply took, as the model counts."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a model's answer: some text, at its end the counts, or both."""

    text: str = ""
    counts: TokenCounts | None = None


Hear = Callable[[Chunk], None]
"""Is told each chunk as it comes; what it raises ends the answer."""


class PromptTooLong(FailedPrecondition):
    """The prompt is longer than the model's window: the estimate of its tokens was too low.

    Args:
        tokens: how many it has by the model's count; 0: not said.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__("the conversation is too long for the model", reason="PROMPT_TOO_LONG")
        self.tokens = tokens


class ModelProvider(Protocol):
    """A language model."""

    @property
    def name(self) -> str:
        """The provider's name, as in GAJI_PROVIDER."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def context_window(self) -> int:
        """How many tokens prompt and answer may have together."""

    @property
    def continues(self) -> bool:
        """Whether it can go on in the middle of an answer (`Prompt.prefix`), as if it had not been interrupted."""

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """Has the model answer, to its end.

        Cancelling it stops the model and frees its slot within 1 s. A model that does not stop is left behind after
        4 s; after 5 s this clean-up is itself cancelled.

        Args:
            prompt: what it is given.
            hear: called in the context of the caller, maybe outside of his task; not any more once this has ended.
            max_tokens: how many tokens the answer has at most.
            temperature: 0 (always the likeliest token) to 2.
            stop: texts that end the answer; they are not part of it.

        Raises:
            PromptTooLong: the prompt does not fit into the window.
            MeshError: the reasons in `services.generation.domain.failures`.
        """

    async def aclose(self) -> None:
        """Stops what runs and frees all."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message of a conversation."""

    message_id: str
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of the novel.

    Attributes:
        chapter: from 1; 0: before the first heading.
        chapter_title: its heading; empty: it has none, or it is not known.
        position: its place in the novel, from 0; None: not known.
        score: how well it fits the query, as search scored it; 0: it was not searched for.
    """

    passage_id: str
    content: str
    chapter: int
    chapter_title: str = ""
    position: int | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that a model was given, as its reader is told; see `Passage`.

    Attributes:
        excerpt: its beginning in one line.
    """

    passage_id: str
    chapter: int
    chapter_title: str = ""
    position: int | None = None
    excerpt: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a prompt is made of.

    Attributes:
        character_description: what the whole novel shows of the character.
        until_chapter: the last chapter that the reader has read; None: all.
        limited_description: what the chapters up to there show of the character; empty: nothing, or not looked for.
        scenario_passage_ids: the passages that the scenario was built on, best first.
        scenario_passages: the same as library keeps them, for when search does not answer; at most 20.
        novel_passages: likewise, from all over the novel; at most 16.
        history: the last whole messages, oldest first, the reader's new one included.
        speech_samples: lines of the character's own, in the novel's order; at most 8.
    """

    novel_id: str
    novel_title: str
    novel_author: str
    scenario_title: str
    scenario_description: str
    character_name: str
    character_description: str
    until_chapter: int | None = None
    character_id: str = ""
    limited_description: str = ""
    scenario_passage_ids: tuple[str, ...] = ()
    scenario_passages: tuple[Passage, ...] = ()
    novel_passages: tuple[Passage, ...] = ()
    history: tuple[Message, ...] = ()
    speech_samples: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """How a reply was made; times in milliseconds from the request.

    Attributes:
        last_sequence: the sequence of the last event of its log; 0: not known.
        degraded: in which ways it is less than it could be (`Degraded`).
        citations: the passages of `passage_ids`, in the same order.
    """

    provider: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: int = 0
    total_ms: int = 0
    passage_ids: tuple[str, ...] = ()
    last_sequence: int = 0
    degraded: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()


class Degraded(StrEnum):
    """In which ways a reply can be less than it could be."""

    SEARCH = "SEARCH_UNAVAILABLE"
    PROVIDER = "PROVIDER_FALLBACK"


class Outcome(StrEnum):
    """How a reply stands: pending, or how it has ended."""

    PENDING = "pending"
    COMPLETE = "complete"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as library has it.

    Attributes:
        outcome: how it stands.
        epoch: how often it has been taken up; 0: not yet.
        content: its text, once it has ended.
        record: how it was made, once it has ended.
        failure: why it failed, if it did.
        lease_id: the right to write it; empty: it is another's, or it has ended.
        context: what its prompt needs; None without a lease.
        access_token: for calls on the reply's behalf when its reader is not there; empty: use the caller's.
    """

    conversation_id: str
    message_id: str
    outcome: Outcome
    epoch: int
    content: str = ""
    record: Record = field(default_factory=Record)
    failure: MeshError | None = None
    lease_id: str = ""
    context: ReplyContext | None = None
    access_token: str = field(default="", repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written."""
        return self.outcome is not Outcome.PENDING


@dataclass(frozen=True, slots=True)
class PendingReply:
    """A reply that has not ended.

    Attributes:
        age: seconds since it was taken up or, at epoch 0, reserved.
    """

    message_id: str
    epoch: int
    age: float


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The work of answering a reader's message."""

    conversation_id: str
    content: str


@dataclass(frozen=True, slots=True)
class OpeningOf:
    """The work of beginning a conversation."""

    scenario_id: str
    character_id: str


@dataclass(frozen=True, slots=True)
class Regeneration:
    """The work of writing another reply in the place of one."""

    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Edit:
    """The work of answering a message that its reader says in another way."""

    conversation_id: str
    message_id: str
    content: str


Work = ReplyTo | OpeningOf | Regeneration | Edit


class Library(Protocol):
    """Where conversations are kept. All of it raises the `MeshError` that library answers with, or Unavailable."""

    async def begin_reply(self, work: Work, request_id: str) -> Reply:
        """Stores the reader's message and reserves the reply, once for each request id."""

    async def get_reply(self, conversation_id: str, message_id: str) -> Reply:
        """A reply of the caller's.

        Args:
            conversation_id: empty: whichever of the caller's has the message.
            message_id: empty: the conversation's opening.
        """

    async def take_reply(self, message_id: str, epoch: int, dead_after: float, *, mend: bool) -> Reply:
        """Takes a reply whose writer is dead, under the next epoch.

        Args:
            message_id: the reply.
            epoch: the dead writer's.
            dead_after: seconds after which a later writer counts as dead as well.
            mend: whether the next epoch is given of a reply that has ended as well, so that its log can be ended.

        Raises:
            Aborted: another has taken it.
        """

    async def pending_replies(self, min_age: float, limit: int) -> Sequence[PendingReply]:
        """Replies that have not ended, oldest first, of at least such an age in seconds."""

    async def end_reply(
        self, reply: Reply, outcome: Outcome, content: str, record: Record, failure: MeshError | None
    ) -> None:
        """Stores how a reply has ended, by its lease; the same again changes nothing.

        It has its own deadline, and needs no token: it may outlive the call that asked for the reply.

        Raises:
            FailedPrecondition: the lease is no longer the reply's.
            NotFound: the reply was deleted.
        """


class Search(Protocol):
    """Where passages are found."""

    async def search_passages(
        self, novel_id: str, query: str, *, top_k: int, until_chapter: int | None
    ) -> list[Passage]:
        """The passages nearest to a query, best first, none beyond the chapter."""

    async def get_passages(self, novel_id: str, ids: Sequence[str], *, until_chapter: int | None) -> list[Passage]:
        """Passages by id, in that order, none beyond the chapter."""

    async def describe_character(self, character_id: str, *, until_chapter: int) -> str:
        """What the chapters up to one show of a character."""
