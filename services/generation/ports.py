"""What generation needs of others, and the values that pass between them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
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
    """

    system: str
    turns: tuple[Turn, ...]


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

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> AsyncGenerator[Chunk, None]:
        """The model's answer as it comes.

        Closing the generator or cancelling the task that reads it stops the model and frees its slot within 1 s.

        Args:
            prompt: what it is given.
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
    """A passage of the novel."""

    passage_id: str
    content: str
    chapter: int


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a prompt is made of.

    Attributes:
        until_chapter: the last chapter that the reader has read; None: all.
        scenario_passage_ids: the passages that the scenario was built on, best first.
        history: the last whole messages, oldest first, the reader's new one included.
    """

    novel_id: str
    novel_title: str
    novel_author: str
    scenario_title: str
    scenario_description: str
    character_name: str
    character_description: str
    until_chapter: int | None = None
    scenario_passage_ids: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """How a reply was made; times in milliseconds from the request."""

    provider: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: int = 0
    total_ms: int = 0
    passage_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BegunReply:
    """A reply that library holds ready.

    Attributes:
        lease_id: the right to complete or fail it; empty when it is whole already.
        content: its text when it is whole already.
        record: how it was made when it is whole already.
        context: what its prompt needs; None when it is whole already.
    """

    conversation_id: str
    message_id: str
    lease_id: str
    content: str = ""
    record: Record = field(default_factory=Record)
    context: ReplyContext | None = None


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


Work = ReplyTo | OpeningOf


class Library(Protocol):
    """Where conversations are kept."""

    async def begin_reply(self, work: Work, request_id: str) -> BegunReply:
        """Stores the reader's message and reserves the reply, once for each request id.

        Raises:
            MeshError: NotFound and the like; Aborted while the reply is being written by another.
        """

    async def complete_reply(self, begun: BegunReply, content: str, record: Record) -> None:
        """Stores the whole reply. It has its own deadline: it may outlive the call that asked for the reply."""

    async def fail_reply(self, begun: BegunReply, content: str, record: Record, failure: MeshError) -> None:
        """Gives the reply up with what was written of it; with its own deadline, like `complete_reply`."""


class Search(Protocol):
    """Where passages are found."""

    async def search_passages(
        self, novel_id: str, query: str, *, top_k: int, until_chapter: int | None
    ) -> list[Passage]:
        """The passages nearest to a query, best first, none beyond the chapter."""

    async def get_passages(self, novel_id: str, ids: Sequence[str], *, until_chapter: int | None) -> list[Passage]:
        """Passages by id, in that order, none beyond the chapter."""
