"""What other rooms do for the library."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from services.library.models import Character, CharacterEdits, IngestionSummary, Novel, Progress, StoredPassage


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

    async def character(self, character_id: UUID, timeout: float, until_chapter: int | None = None) -> Character | None:
        """A character of a novel that the caller sees; as the chapters up to a limit show them, where there is one."""

    async def characters(self, novel_id: UUID, most: int) -> Sequence[Character]:
        """The characters of a novel as the book has them, most important first."""

    async def set_character_edits(self, edits: CharacterEdits, timeout: float) -> None:
        """Takes over all that is changed about a novel's characters; idempotent.

        Raises:
            NotFound: search has no such novel.
        """

    async def delete_novel(self, novel_id: UUID) -> None:
        """Removes a novel's passages and characters; idempotent."""


class Cache(Protocol):
    """Values by key, shared by all replicas. Its trouble is never the caller's."""

    async def get(
        self, key: str, compute: Callable[[], Awaitable[bytes]], keep: Callable[[bytes], bool] | None = None
    ) -> bytes:
        """The value of a key, computed when it is not there.

        Args:
            key: its name.
            compute: makes it, or raises `mesh.read_through.AbsentError`, which is remembered for a moment.
            keep: whether the value may be kept in this process, where it may be a second old; None: it may not.
        """

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Removes values after a write."""
