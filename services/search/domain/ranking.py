"""Puts a novel's passages into the order in which they fit a query: three views of each, weighed against each other.

- *meaning*: the cosine of the vectors of query and passage;
- *words*: BM25 of the terms that they share;
- *detail*: for each word of the query the word of the passage that is most like it in its context.

For a query in another language the first and the last give way to *foreign sentence* and *foreign passage*, the cosines
of a model of many languages (`foreign`).

Each is brought to mean 0 and deviation 1 over the passages that may be seen, since only then can they be added: ranks
alone (reciprocal rank fusion) forget by how much the first is ahead. What is found is a scene rather than a passage, so
the neighbours in a chapter count too. docs/retrieval.md has what each part brings.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

WEIGHTS: Mapping[str, float] = {
    "meaning": 1.0,
    "words": 0.8,
    "detail": 1.0,
    "foreign sentence": 1.0,
    "foreign passage": 1.0,
}
"""What a deviation of each view counts."""
NEIGHBOUR = 0.25
"""What each of the two neighbours in the chapter counts beside the passage itself."""
MIDDLE = 2.0
"""The deviations that score 0.5."""


def fused(views: Mapping[str, Scores], chapters: npt.NDArray[np.int32]) -> Scores:
    """How well passages fit, in deviations from their mean.

    Args:
        views: the scores of the views at hand by name, each of shape (passages,), higher is better.
        chapters: the passages' chapters, in the order of the novel.
    """
    total = sum(WEIGHTS[name] for name in views)
    weighed = sum((WEIGHTS[name] / total * standard(scores) for name, scores in views.items()))
    return smoothed(np.asarray(weighed, dtype=np.float32), chapters)


def standard(scores: Scores) -> Scores:
    """Scores with mean 0 and deviation 1; zeros where all are the same."""
    deviation = scores.std()
    if not deviation > 1e-6:
        return np.zeros_like(scores)
    brought: Scores = (scores - scores.mean()) / deviation
    return brought


def smoothed(scores: Scores, chapters: npt.NDArray[np.int32]) -> Scores:
    """Each score drawn towards those of its neighbours in the chapter; where there is none, its own stands in."""
    if len(scores) < 2:
        return scores
    same = chapters[1:] == chapters[:-1]
    before, after = scores.copy(), scores.copy()
    before[1:][same] = scores[:-1][same]
    after[:-1][same] = scores[1:][same]
    drawn: Scores = (scores + NEIGHBOUR * (before + after)) / (1 + 2 * NEIGHBOUR)
    return drawn


def score(deviations: float) -> float:
    """How well a passage fits, 0 to 1: a logistic curve over the deviations."""
    return float(1 / (1 + np.exp(MIDDLE - deviations)))
