"""A model's text on its way to a reader who may be slower than the model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from mesh import plain_text
from services.generation.ports import Chunk, TokenCounts

_STOPPING_SECONDS = 5.0


class Pieces:
    """What a model writes, read in pieces: each at once when the reader waits, else joined until the reader is back.

    Attributes:
        counts: the model's own counts; None while it has not told them.
    """

    def __init__(self) -> None:
        self.counts: TokenCounts | None = None
        self._written: list[str] = []  # all of the answer, which has a most of tokens
        self._taken = 0
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    @property
    def text(self) -> str:
        """All that the model has written so far."""
        return "".join(self._written)

    async def next(self) -> str:
        """All that has come since the last call; empty at the end.

        Raises:
            Exception: what the model ended with, once all its text was given.
        """
        while self._taken == len(self._written) and not self._ended:
            self._news.clear()
            await self._news.wait()
        # The model's first piece is alone in the list when its reader is waiting for it, so it is never held back.
        piece = "".join(self._written[self._taken :])
        self._taken = len(self._written)
        if not piece and self._error is not None:
            raise self._error
        return piece

    async def fill(self, chunks: AsyncGenerator[Chunk, None]) -> None:
        """Takes all of a model's chunks."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    self.counts = chunk.counts or self.counts
                    if text := plain_text.piece(chunk.text):  # what is shown is what is stored
                        self._written.append(text)
                        self._news.set()
        except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
            self._error = error
        finally:
            self._ended = True
            self._news.set()


@asynccontextmanager
async def reading(chunks: AsyncGenerator[Chunk, None]) -> AsyncIterator[Pieces]:
    """Reads a model in a task of its own, which has ended, and the model with it, when the block is left."""
    pieces = Pieces()
    task = asyncio.create_task(pieces.fill(chunks), name="model")
    try:
        yield pieces
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=_STOPPING_SECONDS)
