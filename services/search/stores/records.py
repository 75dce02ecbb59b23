"""Records of novels that a store remembers, where no other process writes to it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from cachetools import LRUCache

from services.search.models import Novel

MOST = 10_000


class Records:
    """The records that were read last. Every search looks at one, and the store takes milliseconds to.

    Reads come from the event loop, writes from the store's one writing thread. What was read while something was
    written may be older than that, so it is not remembered.
    """

    def __init__(self) -> None:
        self._kept: LRUCache[str, Novel] = LRUCache(MOST)
        self._version = 0  # odd while something is written, as in Linux's seqlocks
        self._lock = Lock()

    async def get(self, novel_id: str, read: Callable[[], Awaitable[Novel | None]]) -> Novel | None:
        """A record; read where it is not remembered. That there is none is not remembered."""
        with self._lock:
            kept, version = self._kept.get(novel_id), self._version
        if kept is not None:
            return kept
        found = await read()
        with self._lock:
            if found is not None and version == self._version and version % 2 == 0:
                self._kept[novel_id] = found
        return found

    @contextmanager
    def writing(self, novel_id: str) -> Iterator[None]:
        """Forgets a record before it is written; for one thread."""
        with self._lock:
            self._version += 1
            self._kept.pop(novel_id, None)
        try:
            yield
        finally:
            with self._lock:
                self._version += 1
