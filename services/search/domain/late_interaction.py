"""Compares a query's tokens with those of every passage of a novel, each in its context."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from services.search.domain.products import Products
from services.search.ports import Tokens

Scores = npt.NDArray[np.float32]

BLOCK = 16_384
"""Tokens compared in one go, so that a long novel takes no more memory for it than a short one: some 0.1 MB for each
token of the query."""
SHARPNESS = 10.0
_SCALE = np.float32(SHARPNESS / 127**2)


class LateInteraction:
    """The tokens of a novel's passages, in their order.

    Each token of a query counts by the tokens of a passage that are like it, and the more the fewer passages it stands
    in. It is the late interaction of Khattab and Zaharia, "ColBERT" (SIGIR 2020), with BM25's idf as the weights and,
    in place of the largest likeness, the soft maximum ``ln(mean(exp(SHARPNESS * likeness))) / SHARPNESS``: a passage
    that speaks of a thing throughout is more about it than one that names it once.

    Searching changes nothing and may be done by several threads at once.

    Args:
        passages: the tokens of each passage.
    """

    def __init__(self, passages: Sequence[Tokens]) -> None:
        lengths = [len(tokens.ids) for tokens in passages]
        self._starts = np.asarray([0, *accumulate(lengths)], dtype=np.int64)
        self._products = Products(np.concatenate([tokens.states for tokens in passages]))
        # Which token stands in which passage: sorted pairs, each once, as one number.
        owners = np.repeat(np.arange(len(passages), dtype=np.int64), lengths)
        ids = np.concatenate([tokens.ids for tokens in passages]).astype(np.int64)
        self._pairs = np.unique(ids * len(passages) + owners)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._products.nbytes + self._starts.nbytes + self._pairs.nbytes

    def scores(self, query: Tokens, first: int) -> Scores:
        """How well each of the first passages fits, as if there were no others: -1 to 1, and -1 where it has no tokens.

        Args:
            query: the query's tokens.
            first: how many passages to look at.

        Returns:
            float32 of shape (first,).
        """
        found: Scores = np.full(first, -1.0, dtype=np.float32)
        if not len(query.ids):
            return found
        weights = self._weights(query.ids, first)
        for low, high in self._blocks(first):
            start, end = self._starts[low], self._starts[high]
            if start == end:
                continue
            likeness = self._products.of(query.states, int(start), int(end))
            likeness *= _SCALE
            np.exp(likeness, out=likeness)
            filled = low + np.flatnonzero(np.diff(self._starts[low : high + 1]))
            lengths = (self._starts[filled + 1] - self._starts[filled]).astype(np.float32)
            mean = np.add.reduceat(likeness, self._starts[filled] - start, axis=0) / lengths[:, None]
            found[filled] = np.log(mean) @ weights / np.float32(SHARPNESS)
        return found

    def _weights(self, ids: npt.NDArray[np.uint16], first: int) -> Scores:
        """Shares of the query's tokens, which sum up to 1: their idf among the first passages."""
        rows = ids.astype(np.int64) * (len(self._starts) - 1)
        number = np.searchsorted(self._pairs, rows + first) - np.searchsorted(self._pairs, rows)
        weights = np.log1p((first - number + 0.5) / (number + 0.5))
        shares: Scores = (weights / weights.sum()).astype(np.float32)
        return shares

    def _blocks(self, first: int) -> Sequence[tuple[int, int]]:
        """Ranges of passages of about `BLOCK` tokens each, one passage at the least."""
        blocks, low = [], 0
        while low < first:
            high = int(np.searchsorted(self._starts, self._starts[low] + BLOCK, side="right")) - 1
            high = min(max(high, low + 1), first)
            blocks.append((low, high))
            low = high
        return blocks
