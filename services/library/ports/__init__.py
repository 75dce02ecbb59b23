"""What the library's domain needs from the outside."""

from typing import Protocol

from services.library.ports.intake import Intake
from services.library.ports.peers import Cache, Jobs, Search
from services.library.ports.stores import (
    CharacterStore,
    EditStore,
    IngestionStore,
    Key,
    NovelStore,
    PassageStore,
    ReadingStore,
    ScenarioStore,
    UserStore,
)
from services.library.ports.talks import BranchStore, ConversationStore, ReplyStore, ReplyTransaction

__all__ = [
    "BranchStore",
    "Cache",
    "CharacterStore",
    "ConversationStore",
    "EditStore",
    "IngestionStore",
    "Intake",
    "Jobs",
    "Key",
    "NovelStore",
    "PassageStore",
    "ReadingStore",
    "ReplyStore",
    "ReplyTransaction",
    "ScenarioStore",
    "Search",
    "Stores",
    "UserStore",
]


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
    def readings(self) -> ReadingStore:
        """How far readers have come."""

    @property
    def passages(self) -> PassageStore:
        """Passages for when search does not answer."""

    @property
    def characters(self) -> CharacterStore:
        """Characters for when search does not answer."""

    @property
    def edits(self) -> EditStore:
        """What is changed about characters."""

    @property
    def conversations(self) -> ConversationStore:
        """Conversations."""

    @property
    def branches(self) -> BranchStore:
        """Their messages."""

    @property
    def replies(self) -> ReplyStore:
        """Replies."""
