"""A file that is read again while it changes, so that no process has to be restarted for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")
_MAX_BYTES = 1024 * 1024


class FollowedFile(Generic[T]):
    """Reads a small file whenever its content is another. What does not parse changes nothing and is logged.

    Compared by content, not by time: a file system's times may be as coarse as the moment between two writes. Writers
    replace the file (rename), so that nobody reads half of it.

    Args:
        path: the file.
        parse: makes the value of its bytes; raises ValueError.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        self._path = path
        self._parse = parse
        self._content = b""
        self._trouble = ""

    def load(self) -> T:
        """Reads it for the first time; blocks.

        Raises:
            OSError: it cannot be read.
            ValueError: it does not parse; the message names it.
        """
        content = self._read()
        try:
            value = self._parse(content)
        except ValueError as error:
            raise ValueError(f"{self._path}: {error}") from error
        self._content = content
        return value

    async def look(self, changed: Callable[[T], None]) -> None:
        """Reads it again, off the event loop, and tells of a new value in the loop."""
        try:
            content = await asyncio.to_thread(self._read)
            if content == self._content:
                self._trouble = ""
                return
            value = self._parse(content)
        except (OSError, ValueError) as error:
            self._complain(str(error))
            return
        self._content, self._trouble = content, ""
        changed(value)
        log.info("a file was read again", extra={"file": str(self._path)})

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        return content

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:  # once, not at every look
            self._trouble = trouble
            log.error("a file cannot be read; what it held goes on", extra={"file": str(self._path), "error": trouble})


@asynccontextmanager
async def following(file: FollowedFile[T], changed: Callable[[T], None], seconds: float) -> AsyncIterator[None]:
    """Looks at a file every so many seconds until the block is left, and tells of each new value."""

    async def run() -> None:
        while True:
            await asyncio.sleep(seconds)
            await file.look(changed)

    task = asyncio.create_task(run(), name="file")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
