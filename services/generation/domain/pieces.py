"""A model's text on its way into a reply."""

from mesh import plain_text
from services.generation.ports import Chunk, TokenCounts


class Pieces:
    """What a model has written so far.

    Attributes:
        counts: the model's own counts; None while it has not told them.
    """

    def __init__(self) -> None:
        self.counts: TokenCounts | None = None
        self._written: list[str] = []  # all of the answer, which has a most of tokens

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._written)

    def take(self, chunk: Chunk) -> str:
        """What a chunk adds to the text; empty: nothing."""
        self.counts = chunk.counts or self.counts
        text = plain_text.piece(chunk.text)  # what is shown is what is stored
        if text:
            self._written.append(text)
        return text
