"""What simpler rankings than ours make of the same passages."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.eval.scoring import DEPTH
from services.search.domain.indexes import Indexes
from services.search.models import Novel
from services.search.ports import Embedder

RRF = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""
NAMES = ("BM25", "dense", "fusion (RRF)")


async def baselines(indexes: Indexes, embedder: Embedder, novel: Novel, query: str) -> Mapping[str, list[str]]:
    """The first passages by words alone, by vectors alone, and by the ranks of both."""
    index = await indexes.get(novel)
    views = index.views(query, await embedder.ask(novel.embedder, query), len(index))
    words, meaning = views["words"], views["meaning"]
    both: npt.NDArray[np.floating[Any]] = 1 / (RRF + _ranks(words)) + 1 / (RRF + _ranks(meaning))
    return {
        name: [index.passages[at].content for at in np.argsort(-scores, kind="stable")[:DEPTH]]
        for name, scores in zip(NAMES, (words, meaning, both), strict=True)
    }


def _ranks(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
