"""A novel's sentences to the vector store's rows and back: few long rows, since they are only ever read together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from services.search.ports import Sentences
from services.search.stores import halves
from services.search.stores.rows import Metadata, index_of

PASSAGES_A_ROW = 128


def row_id(novel_id: str, generation: int, part: int) -> str:
    """The id of a row. The first is written last: where it is, all are."""
    return f"{generation}:{novel_id}:{part}"


def sentence_rows(novel_id: str, generation: int, sentences: Sentences) -> list[dict[str, Any]]:
    """The metadata of the rows, by part."""
    ends = np.cumsum(sentences.counts)
    rows = []
    for part, start in enumerate(range(0, len(ends), PASSAGES_A_ROW)):
        counts = sentences.counts[start : start + PASSAGES_A_ROW]
        first, last = int(ends[start] - sentences.counts[start]), int(ends[start + len(counts) - 1])
        rows.append(
            {
                "novel_id": novel_id,
                "generation": generation,
                "index": index_of(novel_id, generation),
                "part": part,
                "numbers": int(sentences.rows.shape[1]),
                "counts": halves.text_of(counts.astype("<i4").tobytes()),
                "lengths": halves.text_of(sentences.lengths[first:last].astype("<i4").tobytes()),
                "sentences": halves.text_of(halves.packed(sentences.rows[first:last])),
            }
        )
    return rows


def sentences_of(metadatas: Sequence[Metadata]) -> Sentences | None:
    """The sentences of all rows; None: the first is not there, so nor are they."""
    rows = sorted(metadatas, key=lambda row: row["part"])
    if not rows or rows[0]["part"]:
        return None
    levels = [halves.unpacked(halves.bytes_of(row["sentences"]), row["numbers"]) for row in rows]
    return Sentences(_numbers(rows, "counts"), _numbers(rows, "lengths"), np.concatenate(levels))


def _numbers(rows: Sequence[Metadata], name: str) -> npt.NDArray[np.int32]:
    return np.concatenate([halves.bytes_of(row[name]).view("<i4") for row in rows]).astype(np.int32)
