"""The writing end of a log."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Generic, TypeVar
from uuid import uuid4

from mesh.streamlog.redis_log import Append, Taken
from mesh.streamlog.stream import Entry, Stream

T = TypeVar("T")

MOST_ENTRIES = 500
"""Entries of one script: Redis serves nobody else while it runs."""


class Producer(Generic[T]):
    """Writes a log under one epoch. Nothing here waits for Redis but `flushed`.

    Attributes:
        stream: the log as this process knows it.
        epoch: the writer's.
        notes: the facts that are kept beside the log.
        fenced: set when a later epoch holds the log: whatever is appended from then on counts for nothing.
        stop_requested: set when somebody asked for a stop.
        followed: whether another process follows the log, as far as is known.
        waiting: whether it has called for the replicator and has not been asked since.
        closed: whether `close` was called.
        done: whether nothing of it has to be sent any more.
        renewed: when its lease was last renewed, by the loop's clock.
    """

    def __init__(
        self,
        stream: Stream[T],
        epoch: int,
        notes: dict[str, bytes],
        wake: Callable[["Producer[T]"], None],
        *,
        reset: bool,
    ) -> None:
        self.stream = stream
        self.epoch = epoch
        self.notes = notes
        self.fenced = asyncio.Event()
        self.stop_requested = asyncio.Event()
        self.followed = False
        self.waiting = False
        self.closed = False
        self.done = False
        self.renewed = 0.0
        self._wake = wake
        self._stored = self._inherited = len(stream.entries)  # what earlier epochs left
        self._reset = reset
        self._mark = uuid4().hex
        self._new_notes: dict[str, bytes] = {}
        self._settled = asyncio.Event()

    def append(self, event: T) -> Entry[T]:
        """Adds an event: readers in this process have it at once."""
        return self._add(event, "")

    def end(self, event: T, end: str) -> Entry[T]:
        """Adds the last event.

        Args:
            event: what happened.
            end: `COMPLETE`, `FAILED` or `STOPPED`.
        """
        return self._add(event, end)

    def note(self, name: str, value: bytes) -> None:
        """Keeps a fact beside the log, for whoever takes it over; forgotten at its end."""
        self.notes[name] = self._new_notes[name] = value
        self.call()

    def close(self) -> None:
        """No more will be appended. Without an end the lease runs out, and another takes the log over."""
        self.closed = True
        self.call()

    async def flushed(self, seconds: float) -> bool:
        """Waits until Redis has everything, or so long; whether it has."""
        try:
            async with asyncio.timeout(seconds):
                while self.dirty and not self.fenced.is_set():
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            pass
        return not self.dirty

    @property
    def ended(self) -> bool:
        """Whether its own last event is there."""
        return bool(self.stream.end)

    @property
    def dirty(self) -> bool:
        """Whether Redis lacks something."""
        return self._stored < len(self.stream.entries) or bool(self._new_notes) or self._reset

    @property
    def urgent(self) -> bool:
        """Whether others wait for what it has: they follow the log, or look for one that Redis does not know."""
        return self.followed or self._reset

    def next_append(self) -> Append[T]:
        """What is to be sent now."""
        self.waiting = False
        base = 0 if self._reset else self._stored
        entries: Sequence[Entry[T]] = self.stream.entries[base : base + MOST_ENTRIES]
        if base < self._inherited:
            entries = _alike(entries)
        notes = self.notes if self._reset else self._new_notes
        return Append(self.stream.stream_id, self.epoch, base, entries, dict(notes), self._mark if self._reset else "")

    def answered(self, sent: Append[T], answer: Taken | None, now: float) -> None:
        """What Redis said to it."""
        if answer is None:
            return
        word = answer.word
        if word in {b"fenced", b"broken"}:
            self.fence()
        elif word == b"behind":
            self._reset = True
        else:
            self._reset = False
            stored = sent.base + len(sent.entries)
            self._stored = stored if sent.reset else max(self._stored, stored)
            for name, value in sent.notes.items():
                if self._new_notes.get(name) is value:
                    del self._new_notes[name]
            self.renewed = now
            self.followed = answer.followed
            if answer.stop:
                self.stop_requested.set()
        self._settled.set()

    def fence(self) -> None:
        """A later epoch holds the log."""
        self.fenced.set()
        self._settled.set()
        self.call()

    def call(self) -> None:
        """Calls for the replicator."""
        if not self.waiting:
            self.waiting = True
            self._wake(self)

    def _add(self, event: T, end: str) -> Entry[T]:
        entry = Entry(self.epoch, len(self.stream.entries) + 1, event, end)
        if not self.fenced.is_set():
            self.stream.extend((entry,), self.epoch)
            self.call()
        return entry


def _alike(entries: Sequence[Entry[T]]) -> Sequence[Entry[T]]:
    """The first of them that are of one epoch, up to an end."""
    epoch = entries[0].epoch
    alike = list(takewhile(lambda entry: entry.epoch == epoch and not entry.end, entries))
    following = entries[len(alike) : len(alike) + 1]
    return [*alike, *(entry for entry in following if entry.epoch == epoch)]
