"""What the jobs need of their queues and of the other rooms."""

from collections.abc import Sequence
from typing import Protocol

# CANCELLED and UNKNOWN are what a room says that is being stopped, or whose words got lost on the way.
_TRANSIENT = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN"})


class QueueUnavailableError(Exception):
    """The queues do not answer, or not in time. The message is for people."""


class RoomError(Exception):
    """A room says no. It crosses from a worker's child to its parent, hence plain arguments.

    Args:
        code: the gRPC status code's name.
        reason: the machine-readable reason.
        message: the same for people.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.code} ({self.reason}): {self.message}"

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code in _TRANSIENT


class Queue(Protocol):
    """Takes jobs."""

    async def put(self, job: str, key: str) -> str:
        """Puts a job into its queue; returns its id there.

        Args:
            job: its name.
            key: the id of what it is about.

        Raises:
            QueueUnavailableError: it could not be put there in time.
        """


class Rooms(Protocol):
    """The rooms that do the work. All of it blocks for a bounded time, may be repeated, and raises `RoomError`."""

    def finish_reply(self, message_id: str) -> str:
        """Has a reply written; returns how it ended: "complete", "failed" or "stopped"."""

    def ingest_novel(self, novel_id: str) -> str:
        """Has a novel ingested; returns how it ended: "complete" or "failed"."""

    def orphans(self, limit: int) -> Sequence[str]:
        """Replies that nobody is writing though they have not ended."""

    def waiting_novels(self, limit: int) -> Sequence[str]:
        """Novels that nobody is ingesting though they wait for it."""

    def abandon_reply(self, message_id: str, error: RoomError) -> None:
        """Ends a reply that nobody could write, unless somebody is at it."""

    def abandon_ingestion(self, novel_id: str, error: RoomError) -> None:
        """Ends an ingestion that nobody could do, unless somebody is at it."""
