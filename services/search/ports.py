"""What the search room needs from outside, as protocols."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from services.search.models import Character, Edits, Novel, Passage, Place

Vectors = npt.NDArray[np.float32]
"""Unit vectors, one a row."""


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """What a model says of the tokens of a text that tell what it is about.

    Attributes:
        ids: the model's numbers of the tokens, uint16 of shape (tokens,).
        states: a vector of length 127 for each, int8 of shape (tokens, numbers).
    """

    ids: npt.NDArray[np.uint16]
    states: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A query as a model reads it.

    Attributes:
        vector: its unit vector, of shape (dimension,).
        tokens: its tokens; None: the model tells of whole texts only.
    """

    vector: Vectors
    tokens: Tokens | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Passages as a model reads them.

    Attributes:
        vectors: a unit vector for each, of shape (passages, dimension).
        tokens: the tokens of each; None: the model tells of whole texts only.
    """

    vectors: Vectors
    tokens: Sequence[Tokens] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The passages of a generation of a novel in their order, and how a model read them."""

    passages: Sequence[Passage]
    reading: Reading


@dataclass(frozen=True, slots=True, eq=False)
class Sentences:
    """The sentences of a novel, passage by passage, as a second model reads them.

    Attributes:
        counts: how many each passage has, one at least: int32 of shape (passages,).
        lengths: characters of each: int32 of shape (sentences,).
        rows: a vector of each, of any length, in whole numbers from -7 to 7: int8 of shape (sentences, numbers), which
            are even in number.
    """

    counts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int8]


class EmbeddingProvider(Protocol):
    """A model that turns texts into vectors. It blocks; the pool runs it in threads, several at a time.

    Attributes:
        name: what `GAJI_EMBEDDER` calls it.
        dimension: numbers in a vector.
        batch_size: passages that one call should get.
        parallel: calls with passages that are worth making at once.
    """

    name: str
    dimension: int
    batch_size: int
    parallel: int

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, of shape (texts, dimension).

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query, of shape (dimension,).

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...

    def close(self) -> None:
        """Frees what the provider holds."""
        ...


@runtime_checkable
class RestingProvider(Protocol):
    """An `EmbeddingProvider` that keeps memory from one call to the next."""

    def rest(self) -> None:
        """Gives that back; the next call takes it anew. It blocks, for less than a tenth of a second."""
        ...


@runtime_checkable
class TokenProvider(Protocol):
    """An `EmbeddingProvider` that also tells of single tokens."""

    def read_passages(self, texts: Sequence[str]) -> tuple[Vectors, Sequence[Tokens]]:
        """Vectors of passages, of shape (texts, dimension), and the tokens of each.

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...

    def read_query(self, text: str) -> tuple[Vectors, Tokens]:
        """The vector of a query, of shape (dimension,), and its tokens.

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...


class Embedder(Protocol):
    """Embedding providers by name, off the event loop."""

    def choose(self, language: str) -> str:
        """The provider for a new novel in a language (a BCP 47 tag)."""
        ...

    async def read(self, embedder: str, texts: Sequence[str], progress: Callable[[int], None]) -> Reading:
        """Passages as a model reads them.

        Args:
            embedder: the provider's name.
            texts: the passages, one or more.
            progress: called with the number of passages that are done.

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...

    async def ask(self, embedder: str, text: str) -> Question:
        """A query as a model reads it; does not wait for passages.

        Raises:
            MeshError: the provider cannot be used or does not answer.
        """
        ...


class NovelStore(Protocol):
    """Where novels' records, passages and characters are kept.

    Rows belong to a generation of a novel. Readers see the generation that the novel's record names, so that a novel is
    replaced by writing a new generation beside the old, then switching the record.

    Every method raises ``Unavailable`` (reason STORE_UNAVAILABLE) when the store does not answer.
    """

    async def novel(self, novel_id: str) -> Novel | None:
        """The record of a novel."""
        ...

    async def put_novel(self, novel: Novel) -> None:
        """Writes or replaces the record of a novel."""
        ...

    async def remove_novel(self, novel_id: str) -> None:
        """Removes a novel's record. Its rows stay, unseen."""
        ...

    async def add_passages(self, novel_id: str, generation: int, passages: Sequence[Passage], reading: Reading) -> None:
        """Adds passages to a generation, and how a model reads each."""
        ...

    async def add_characters(
        self, novel_id: str, generation: int, characters: Sequence[Character], vectors: Vectors
    ) -> None:
        """Adds characters to a generation, most important first, a vector for each."""
        ...

    async def add_sentences(self, novel_id: str, generation: int, sentences: Sentences) -> None:
        """Adds the sentences of a generation, or replaces them. They are there as a whole or not at all."""
        ...

    async def has_sentences(self, novel: Novel) -> bool:
        """Whether the sentences of a novel's generation are there."""
        ...

    async def sentences(self, novel: Novel) -> Sentences | None:
        """The sentences of a novel's generation; None: they are not there."""
        ...

    async def drop_generation(self, novel_id: str, generation: int) -> None:
        """Removes the rows of a generation."""
        ...

    async def drop_before(self, novel_id: str, generation: int) -> None:
        """Removes the rows of all earlier generations."""
        ...

    async def drop_rows(self, novel_id: str) -> None:
        """Removes the rows of all generations."""
        ...

    async def contents(self, novel: Novel) -> Contents:
        """All passages of a novel's generation; fewer than its record says when it is being replaced."""
        ...

    async def passages(self, novel: Novel, ids: Sequence[str], until_chapter: int | None) -> dict[str, Passage]:
        """Passages by id, among the chapters up to a limit; unknown ids are left out."""
        ...

    async def stretch(self, novel: Novel, first: int, last: int) -> list[Passage]:
        """The passages from one position to another, both included, in the novel's order."""
        ...

    async def passages_up_to(self, novel: Novel, until_chapter: int) -> list[Passage]:
        """All passages of the chapters up to a limit, in the novel's order."""
        ...

    async def places(self, novel: Novel) -> list[Place]:
        """Where the passages of a novel's generation stand, in its order, without their texts and vectors."""
        ...

    async def characters(self, novel: Novel, start: int, count: int) -> list[Character]:
        """Characters from a rank on (0: the most important), most important first."""
        ...

    async def character(self, character_id: str) -> tuple[Novel, Character] | None:
        """A character of a novel's current generation."""
        ...

    async def edits(self, novel_id: str) -> Edits:
        """What a novel's owner has changed about its characters, in whatever generation."""
        ...

    async def put_edits(self, novel_id: str, edits: Edits) -> None:
        """Replaces that, unless what is there has as high a revision; goes with the novel's record."""
        ...


class AnswerCache(Protocol):
    """Told of what no longer holds."""

    async def forget(self, novel_id: str, character_ids: Sequence[str]) -> None:
        """Drops cached answers about a novel and its characters. Never fails: answers end by themselves too."""
        ...


MODEL_REFUSED = "MODEL_REFUSED"
"""The reason of a `FailedPrecondition` that says something of this one inquiry, not of the model."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a language model is asked.

    Attributes:
        system: what it shall do.
        material: with what: texts of novels and readers, between tags that they cannot contain.
        schema: the JSON schema of its answer, an object.
        max_tokens: how long the answer may be.
    """

    system: str
    material: str
    schema: Mapping[str, object]
    max_tokens: int


class LanguageModel(Protocol):
    """A large language model that answers in JSON.

    Attributes:
        name: the provider's and the model's, e.g. ``gemini/gemini-2.5-flash``.
    """

    name: str

    async def answer(self, inquiry: Inquiry) -> object:
        """Its answer as JSON says it, which may be anything. Whoever leaves ends the call.

        Raises:
            ValueError: the answer is no JSON.
            ResourceExhausted: a quota is used up; ``retry_after`` says for how long.
            FailedPrecondition: reason MODEL_REFUSED: it does not answer this; else its operator must change something.
            MeshError: it does not answer.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...
