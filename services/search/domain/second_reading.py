"""The second reading of a novel: each of its sentences, by a model that was made for sentences.

The first reading is of passages, by a model of their language, in whose vectors a sentence that says the very thing
drowns among nine others. The second model gives a sentence, and its translation into another language, like vectors.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from services.search.domain.sentences import sentences
from services.search.ports import Sentences, Vectors

LEVEL = 7
"""A number of a vector is kept as a whole one from -7 to 7, in 4 bits."""
_SPREAD = 2.1
"""Levels to a deviation: what is cut off at 7 is next to nothing."""
_MOST, _LEAST = 127, 1e-9
_PART = 1_024  # rows that are floats at one time

Scores = npt.NDArray[np.float32]


def levels_of(vectors: Vectors) -> npt.NDArray[np.int8]:
    """What is kept of unit vectors, of the same shape.

    What is stored and what is searched are the same numbers, so that every replica finds the same.
    """
    spread = _SPREAD * np.sqrt(vectors.shape[-1])
    levels: npt.NDArray[np.int8] = np.clip(np.rint(vectors * spread), -LEVEL, LEVEL).astype(np.int8)
    return levels


def kept_of(passages: Sequence[Sequence[str]], vectors: Vectors) -> Sentences:
    """What is kept of some passages.

    Args:
        passages: the sentences of each, one at least.
        vectors: unit vectors of the sentences, of shape (sentences, dimension).
    """
    counts = [len(sentences) for sentences in passages]
    lengths = [len(sentence) for sentences in passages for sentence in sentences]
    return Sentences(np.asarray(counts, dtype=np.int32), np.asarray(lengths, dtype=np.int32), levels_of(vectors))


def sentences_of(content: str) -> list[str]:
    """The sentences of a passage, one at least."""
    return sentences(content) or [content]


class SecondReading:
    """The sentences of a novel, ready to be searched; it changes no more. Several threads may search at once.

    Args:
        kept: the sentences as the model reads them.
    """

    def __init__(self, kept: Sentences) -> None:
        self._starts = np.concatenate(([0], np.cumsum(kept.counts))).astype(np.int64)
        lengths = np.linalg.norm(kept.rows.astype(np.float32), axis=1)
        self._sentences = _Cosines(kept.rows, lengths)
        # A passage as a whole is the mean of its sentences, the longer ones counting more: that finds what the model's
        # own vector of all of it finds, and costs no third reading.
        weights = (kept.lengths / np.maximum(lengths, _LEAST)).astype(np.float32)
        wholes = _bytes_of(np.add.reduceat(kept.rows * weights[:, None], self._starts[:-1], axis=0))
        self._wholes = _Cosines(wholes, np.linalg.norm(wholes.astype(np.float32), axis=1))

    def __len__(self) -> int:
        """How many passages there are."""
        return len(self._starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._sentences.nbytes + self._wholes.nbytes + self._starts.nbytes

    def likest(self, query: Vectors, first: int) -> Scores:
        """How much each of the first passages' likest sentence is like a query.

        Args:
            query: its vector.
            first: how many passages to look at, one at least; the others have no part in anything.

        Returns:
            Cosines, float32 of shape (first,).
        """
        likest: Scores = np.maximum.reduceat(self._sentences.of(query, int(self._starts[first])), self._starts[:first])
        return likest

    def wholes(self, query: Vectors, first: int) -> Scores:
        """How much each of the first passages as a whole is like a query: cosines, float32 of shape (first,)."""
        return self._wholes.of(query, first)


class Asked:
    """A query of a second reading.

    Args:
        reading: of the novel.
        vector: the query's, by the same model.
        foreign: whether it is in another language than the novel's.

    Attributes:
        foreign: likewise.
    """

    def __init__(self, reading: SecondReading, vector: Vectors, *, foreign: bool) -> None:
        self._reading = reading
        self._vector = vector
        self.foreign = foreign
        self._views: tuple[int, Mapping[str, Scores]] | None = None

    def views(self, first: int) -> Mapping[str, Scores]:
        """What the ranking looks at of each of the first passages, one at least; computed once."""
        if self._views is None or self._views[0] != first:
            self._views = first, self._computed(first)
        return self._views[1]

    def _computed(self, first: int) -> Mapping[str, Scores]:
        likest = self._reading.likest(self._vector, first)
        if self.foreign:
            return {"foreign sentence": likest, "foreign passage": self._reading.wholes(self._vector, first)}
        return {"sentence": likest}


class _Cosines:
    """Vectors of bytes, compared with one query at a time.

    The query is made bytes as well, and all sums stay whole numbers below 2**24: floats of 32 bits are exact there, in
    whatever order they are added, so that a passage's score depends on itself alone.
    """

    def __init__(self, rows: npt.NDArray[np.int8], lengths: Scores) -> None:
        self._rows = rows
        self._inverse: Scores = (1 / np.maximum(lengths, _LEAST)).astype(np.float32)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._inverse.nbytes

    def of(self, query: Vectors, end: int) -> Scores:
        asked = _bytes_of(query[None])[0].astype(np.float32)
        cosines: Scores = np.empty(end, dtype=np.float32)
        for start in range(0, end, _PART):
            part = slice(start, min(start + _PART, end))
            cosines[part] = self._rows[part].astype(np.float32) @ asked
        cosines *= self._inverse[:end]
        cosines /= np.float32(max(float(np.linalg.norm(asked)), _LEAST))
        return cosines


def _bytes_of(rows: Vectors) -> npt.NDArray[np.int8]:
    """Vectors as bytes, each stretched to the most that they hold: their directions stay."""
    most = np.abs(rows).max(axis=1, keepdims=True)
    stretched: npt.NDArray[np.int8] = np.rint(rows * (_MOST / np.maximum(most, _LEAST))).astype(np.int8)
    return stretched


def joined(parts: Sequence[Sentences]) -> Sentences:
    """Consecutive parts of a novel as one."""
    return Sentences(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.rows for part in parts]),
    )
