"""BM25 over the passages of one novel, in numpy.

The formula is Lucene's form of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
(Foundations and Trends in Information Retrieval 3, 2009)::

    score(d) = sum over the query's terms t of  idf(t) * tf / (tf + k1 * (1 - b + b * length(d) / mean length))
    idf(t)   = ln(1 + (n - df(t) + 0.5) / (df(t) + 0.5))

where tf counts t in d, and df the documents with t among n. The factor k1 + 1 of the paper is left out: it changes no
order. A term that stands twice in a query counts twice.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

_MOST = np.iinfo(np.uint16).max
"""What a count is cut off at."""


class Bm25:
    """An index of documents in their order.

    It keeps counts, not weights, so that a search can be limited to the first documents as if there were no others:
    neither what they hold nor how many there are shows in the scores. A novel of 120,000 words takes about 0.5 MB.

    Searching changes nothing and may be done by several threads at once.

    Args:
        documents: the terms of each document; iterated once.
        k1: how slowly repetitions of a term stop to count, 0 (at once) or more.
        b: how much the length of a document counts, 0 (not) to 1.

    Raises:
        ValueError: k1 or b is out of range.
    """

    def __init__(self, documents: Iterable[Sequence[str]], *, k1: float = 1.2, b: float = 0.75) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise ValueError(f"k1 is {k1} and b is {b}; give a k1 of 0 or more and a b of 0 to 1")
        self._k1, self._b = k1, b
        self._vocabulary: dict[str, int] = {}
        ids: list[int] = []
        lengths: list[int] = []
        number = self._vocabulary.setdefault
        for terms in documents:
            lengths.append(len(terms))
            ids.extend([number(term, len(self._vocabulary)) for term in terms])
        self._lengths = np.asarray(lengths, dtype=np.float32)
        self._total = np.concatenate(([0.0], np.cumsum(self._lengths, dtype=np.float64)))
        # Compressed rows, a row a term: the documents with it, ascending, and how often it stands in each.
        owners = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
        cells, counts = np.unique(np.asarray(ids, dtype=np.int64) * len(lengths) + owners, return_counts=True)
        rows, found = np.divmod(cells, max(len(lengths), 1))
        self._starts = np.searchsorted(rows, np.arange(len(self._vocabulary) + 1))
        self._documents = found.astype(np.uint16 if len(lengths) <= _MOST else np.uint32)
        self._counts = np.minimum(counts, _MOST).astype(np.uint16)

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._lengths)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and roughly of the vocabulary."""
        arrays = (self._lengths, self._total, self._starts, self._documents, self._counts)
        return sum(array.nbytes for array in arrays) + 120 * len(self._vocabulary)

    def scores(self, terms: Iterable[str], first: int | None = None) -> Scores:
        """How well each document fits, 0 where it has none of the terms.

        Args:
            terms: the terms of the query; unknown ones count nothing.
            first: look at so many documents from the beginning alone, as if there were no others; None: at all.

        Returns:
            float32 of shape (first,), or (documents,).
        """
        n = len(self) if first is None else max(0, min(first, len(self)))
        found: Scores = np.zeros(n, dtype=np.float32)
        if not self._total[n]:
            return found
        lengths = self._lengths[:n]
        damping = self._k1 * (1 - self._b + self._b * (n / self._total[n]) * lengths)
        damping = damping.astype(np.float32)
        for term in terms:
            row = self._vocabulary.get(term)
            if row is None:
                continue
            start, end = self._starts[row], self._starts[row + 1]
            if n < len(self):
                end = start + np.searchsorted(self._documents[start:end], n)
            documents = self._documents[start:end]
            df = len(documents)
            counts = self._counts[start:end].astype(np.float32)
            idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
            found[documents] += np.float32(idf) * (counts / (counts + damping[documents]))
        return found
