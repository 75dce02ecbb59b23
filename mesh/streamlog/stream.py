"""A log as one process knows it, shared by all readers there."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from mesh.errors import MeshError
from mesh.streamlog.cursor import Cursor

T = TypeVar("T")

COMPLETE, FAILED, STOPPED = "complete", "failed", "stopped"
"""How a log ends."""


class Codec(Protocol[T]):
    """Events as bytes, and back."""

    def dumps(self, event: T) -> bytes:
        """The bytes of an event."""

    def loads(self, data: bytes) -> T:
        """The event in bytes."""


@dataclass(slots=True)
class Entry(Generic[T]):
    """One event of a log.

    Attributes:
        epoch: of the producer that wrote it.
        sequence: its number in the log, from 1.
        event: what happened.
        end: how the log ends with it: `COMPLETE`, `FAILED` or `STOPPED`; empty: it goes on.
        views: what readers make of it, e.g. a formatted frame, made once for all of them.
    """

    epoch: int
    sequence: int
    event: T
    end: str = ""
    views: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lapse:
    """A reader has seen entries that are no part of the log (any longer).

    Attributes:
        first, last: the sequences of the entries that do not count.
        stand: how many entries of what the reader has seen stand; what follows them in the log comes next.
    """

    first: int
    last: int
    stand: int


class Stream(Generic[T]):
    """The entries from the first on, growing until one of them is the end.

    Attributes:
        stream_id: the log.
        entries: all of them; ``entries[n]`` has sequence n + 1.
        epoch: the highest that is known to hold the log; 0: there is no log.
        wanted: the highest epoch that a reader knows to have taken the log, or to be about to.
    """

    def __init__(self, stream_id: UUID) -> None:
        self.stream_id = stream_id
        self.entries: list[Entry[T]] = []
        self.epoch = 0
        self.wanted = 0
        self._changes = 0
        self._rewrites = 0
        self._changed = asyncio.Event()
        self._closed: MeshError | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a log."""
        return self.epoch > 0

    @property
    def end(self) -> str:
        """How it has ended; empty: it has not."""
        return self.entries[-1].end if self.entries else ""

    def cursor(self, entry: Entry[T]) -> Cursor:
        """The place behind an entry."""
        return Cursor(self.stream_id, entry.epoch, entry.sequence)

    def extend(self, entries: Sequence[Entry[T]], epoch: int) -> None:
        """More has come."""
        self.entries.extend(entries)
        self.epoch = max(self.epoch, epoch)
        self._wake()

    def rewrite(self, entries: list[Entry[T]], epoch: int) -> None:
        """The log is another than was thought: its producer was fenced, or Redis has lost some of it."""
        self.entries, self.epoch = entries, epoch
        self._rewrites += 1
        self._wake()

    def close(self, error: MeshError) -> None:
        """Ends all reading with an error."""
        self._closed = error
        self._wake()

    async def read(self, after: Cursor | None = None, *, since: int = 0) -> AsyncGenerator[Entry[T] | Lapse, None]:
        """The entries behind a cursor, as they come, up to the end; nothing behind the end.

        A `Lapse` comes before the entries that take the place of others.

        Args:
            after: the cursor; None: from the first entry.
            since: an epoch that is known to have taken the log, or to be about to; until then nothing is read, since
                what there is may be void.

        Raises:
            MeshError: what `close` was given.
        """
        at, epoch = (after.sequence, after.epoch) if after else (0, 0)
        self.wanted = max(self.wanted, since)
        while self.epoch < since:
            await self._change(self._changes)
        while True:
            changes, rewrites = self._changes, self._rewrites
            stand = self._stand(at, epoch)
            if stand is not None and stand < at:
                lapse = Lapse(stand + 1, at, stand)
                at, epoch = stand, self.entries[stand - 1].epoch if stand else 0
                yield lapse
                continue
            while stand is not None and rewrites == self._rewrites and at < len(self.entries):
                entry = self.entries[at]
                at, epoch = entry.sequence, entry.epoch
                yield entry
            if rewrites != self._rewrites:
                continue
            if stand is not None and at and at == len(self.entries) and self.entries[at - 1].end:
                return
            await self._change(changes)

    async def _change(self, changes: int) -> None:
        """Returns when there were more changes than so many."""
        if self._closed is not None:
            raise self._closed
        while changes == self._changes:
            await self._changed.wait()

    def _stand(self, at: int, epoch: int) -> int | None:
        """How much of what a reader has seen is part of the log; None: that is not known yet."""
        entries = self.entries
        if at <= len(entries):
            if at == 0 or entries[at - 1].epoch == epoch:
                return at
        elif epoch >= self.epoch and not self.end:
            return None  # readers beside the producer see entries before Redis has them
        if epoch > self.epoch:
            return 0
        stand = min(at, bisect_right(entries, epoch, key=lambda entry: entry.epoch))
        # Whoever is put right has not had the end, whatever his cursor says.
        return stand - 1 if self.end and stand == len(entries) else stand

    def _wake(self) -> None:
        self._changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
