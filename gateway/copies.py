"""Copies of answers, for readers whose service does not answer (stale-if-error, RFC 5861; RFC 9111, section 4.2.4).

Apart from the cache of answers that are fresh: what stands here is never given while the service answers. A reader's
copies go with whatever they write through this gateway, at the beginning and at the end of it, and what was asked for
before the end of a write is not kept: nobody is shown a state from before their own deed. What is written through
another gateway is not known here; its readers are told the age of what they see.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from gateway.edge_cache import Key
from mesh.errors import MeshError, NotFound, PermissionDenied, Unauthenticated

_OVERHEAD = 512
"""About what an entry takes beside its answer."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An answer from before.

    Attributes:
        raw: the response message.
        age: seconds since it was given.
    """

    raw: bytes
    age: float


@dataclass(slots=True, eq=False)
class Reading:
    """A call whose answer may be kept, unless its reader writes meanwhile."""

    user_id: str
    current: bool = True


class Copies:
    """Answers by method, request and reader, bounded in size; the least recently used go first.

    Args:
        max_bytes: of all answers; 0: nothing is kept.
        clock: seconds from any moment on.

    Attributes:
        size: bytes of all that is kept now.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self.size = 0
        self._entries: OrderedDict[Key, tuple[bytes, float]] = OrderedDict()
        self._of_reader: dict[str, set[Key]] = {}
        self._readings: dict[str, set[Reading]] = {}

    @property
    def on(self) -> bool:
        """Whether anything is kept at all."""
        return self._max_bytes > 0

    @contextmanager
    def reading(self, user_id: str) -> Iterator[Reading]:
        """While an answer is fetched."""
        reading = Reading(user_id)
        self._readings.setdefault(user_id, set()).add(reading)
        try:
            yield reading
        finally:
            running = self._readings[user_id]
            running.discard(reading)
            if not running:
                del self._readings[user_id]

    @contextmanager
    def writing(self, user_id: str) -> Iterator[None]:
        """While a reader changes something; also where nobody knows whether it has come about."""
        self._forget(user_id)
        try:
            yield
        finally:
            self._forget(user_id)

    def keep(self, reading: Reading, key: Key, raw: bytes) -> None:
        """Keeps an answer that was just fetched."""
        size = len(raw) + _OVERHEAD
        if not reading.current or size > self._max_bytes:
            return
        self.drop(key)
        self._entries[key] = (raw, self._clock())
        self._of_reader.setdefault(key[2], set()).add(key)
        self.size += size
        while self.size > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def get(self, key: Key, seconds: int) -> Copy | None:
        """A copy of at most such an age in seconds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        raw, kept_at = entry
        age = self._clock() - kept_at
        if age > seconds:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return Copy(raw, age)

    def drop(self, key: Key) -> None:
        """Forgets one answer."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.size -= len(entry[0]) + _OVERHEAD
        keys = self._of_reader[key[2]]
        keys.discard(key)
        if not keys:
            del self._of_reader[key[2]]

    def refused(self, key: Key, error: MeshError) -> None:
        """Forgets what the reader may no longer see, or what is gone."""
        if isinstance(error, Unauthenticated):
            self._forget(key[2])
        elif isinstance(error, PermissionDenied | NotFound):
            self.drop(key)

    def _forget(self, user_id: str) -> None:
        for reading in self._readings.get(user_id, ()):
            reading.current = False
        for key in list(self._of_reader.get(user_id, ())):
            self.drop(key)


def unanswered(error: MeshError) -> bool:
    """Whether a call failed because nobody answers, and not by what was answered."""
    return error.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED} or (
        error.reason == "CIRCUIT_OPEN"
    )
