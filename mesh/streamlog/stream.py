"""A log as one process knows it, shared by all readers there."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Sequence
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
        self._name = stream_id.hex
        self._changes = 0
        self._rewrites = 0
        self._changed: asyncio.Event | None = None
        self._listeners: dict[Callable[[], None], None] = {}  # as many as there are readers
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

    def place(self, entry: Entry[T]) -> str:
        """The text of `cursor`, of which there is one for each event."""
        return f"{self._name}.{entry.epoch}.{entry.sequence}"

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
        reading = self.reading(after, since=since)
        while (turn := await reading.next()) is not None:
            if isinstance(turn, Lapse):
                yield turn
                continue
            while (entry := turn.take()) is not None:
                yield entry

    def reading(self, after: Cursor | None = None, *, since: int = 0) -> "Reading[T]":
        """The same as `read`, for whoever wants to be called instead of waiting."""
        self.wanted = max(self.wanted, since)
        return Reading(self, after, since)

    async def _change(self, changes: int) -> None:
        """Returns when there were more changes than so many."""
        if self._closed is not None:
            raise self._closed
        while changes == self._changes:
            if self._changed is None:
                self._changed = asyncio.Event()
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
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
        for heard in tuple(self._listeners):
            heard()


class Reading(Generic[T]):
    """One reader's way through a log.

    Entries are taken by `take` whenever a listener hears that there are more, without a step of any task. What is to be
    said beside them, and when to end, is known to `next`. Both together are `Stream.read`.

    Attributes:
        stream: the log.
    """

    def __init__(self, stream: Stream[T], after: Cursor | None, since: int) -> None:
        self.stream = stream
        self._at, self._epoch = (after.sequence, after.epoch) if after else (0, 0)
        self._since = since
        self._rewrites = -1  # as of which it is known where the reader stands; before the first look it is not

    def take(self) -> Entry[T] | None:
        """The next entry, if it is there and nothing has to be said before it."""
        stream, at = self.stream, self._at
        if self._rewrites != stream._rewrites or at >= len(stream.entries):
            return None
        entry = stream.entries[at]
        self._at, self._epoch = at + 1, entry.epoch
        return entry

    @property
    def over(self) -> bool:
        """Once there is nothing to take: whether to ask `next`, instead of waiting for more to take."""
        stream = self.stream
        return self._rewrites != stream._rewrites or stream._closed is not None or self._ended

    async def next(self) -> "Reading[T] | Lapse | None":
        """Returns itself when there is something to take, or a lapse, which comes first; None: the log has ended.

        Raises:
            MeshError: what `Stream.close` was given, behind the last entry that is there.
        """
        stream = self.stream
        while stream.epoch < self._since:
            await stream._change(stream._changes)
        self._since = 0
        while True:
            changes = stream._changes
            if self._rewrites == stream._rewrites:
                if self._at < len(stream.entries):
                    return self
                if self._ended:
                    return None
            elif (stand := stream._stand(self._at, self._epoch)) is not None:
                self._rewrites, seen = stream._rewrites, self._at
                if stand == seen:
                    continue
                self._at, self._epoch = stand, stream.entries[stand - 1].epoch if stand else 0
                return Lapse(stand + 1, seen, stand)
            await stream._change(changes)

    @property
    def _ended(self) -> bool:
        entries = self.stream.entries
        return 0 < self._at == len(entries) and bool(entries[-1].end)

    def listen(self, heard: Callable[[], None]) -> None:
        """Calls somebody at each change of the log, amid that: what he does must be quick, and may not fail."""
        self.stream._listeners[heard] = None

    def leave(self, heard: Callable[[], None]) -> None:
        """Calls him no more."""
        self.stream._listeners.pop(heard, None)
