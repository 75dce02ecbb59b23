"""What children write, kept in files of bounded size."""

import os
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024


class LogFile:
    """A file that takes what a child writes; when full it becomes ``NAME.log.1`` and a new one is begun.

    It is written by a thread of its own: children are never held up by a busy event loop.

    Args:
        path: where to append.
        max_bytes: when to begin a new file.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        path.parent.mkdir(parents=True, exist_ok=True)

    def attach(self) -> tuple[int, threading.Thread]:
        """A descriptor for a child to write to, to be closed here once the child has it, and the thread that reads it.

        The thread ends when the last holder of the descriptor has closed it.
        """
        reading, writing = os.pipe()
        self._tail.clear()
        self._tail_size = 0
        thread = threading.Thread(target=self._pump, args=(reading,), name=f"log {self.path.name}", daemon=True)
        thread.start()
        return writing, thread

    def tail(self) -> list[str]:
        """The last lines of the child that is or was attached."""
        text = b"".join(self._tail).decode(errors="replace")
        return text.splitlines()[-TAIL_LINES:]

    def _pump(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as source:
            while chunk := source.read(_TAIL_BYTES):
                self._remember(chunk)
                # A full disk costs these lines; were nobody to read on, the child's next line would end it.
                with suppress(OSError):
                    self._write(chunk)

    def _remember(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_size += len(chunk)
        while self._tail_size > _TAIL_BYTES and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft())

    def _write(self, chunk: bytes) -> None:
        with suppress(FileNotFoundError):
            if self.path.stat().st_size + len(chunk) > self._max_bytes:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
        with self.path.open("ab") as target:
            target.write(chunk)
