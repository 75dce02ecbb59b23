"""Puts a novel's passages into the order in which they fit a query: some views of each, weighed against each other.

- *meaning*: the cosine of the vectors of query and passage;
- *words*: BM25 of the terms that they share;
- *detail*: for each word of the query the words of the passage that are most like it, each in its context;
- *sentence*: the cosine of the query and the passage's likest sentence, by another model (`second_reading`), where a
  novel has been read by that.

For a query in another language all but the words give way to *foreign sentence* and *foreign passage*, the cosines of
that other model, which knows many languages.

Each is brought to mean 0 and deviation 1 over the passages that may be seen, since only then can they be added: ranks
alone (reciprocal rank fusion) forget by how much the first is ahead. What is looked for is a scene rather than a
passage, so the neighbours in the chapter count too. docs/retrieval.md has what each part brings.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

WEIGHTS: Mapping[str, float] = {
    "meaning": 1.0,
    "words": 0.5,
    "detail": 2.0,
    "foreign sentence": 1.0,
    "foreign passage": 1.0,
}
"""What a deviation of each view counts."""
WITH_SENTENCES: Mapping[str, float] = {"meaning": 0.75, "words": 0.35, "detail": 1.5, "sentence": 0.25}
"""Likewise where there is a view of sentences."""
NEIGHBOURS = (0.3, 0.15)
"""What each of the two nearest passages in the chapter counts beside the passage itself, and each of the two next."""
MIDDLE = 2.0
"""The deviations that score 0.5."""


def fused(views: Mapping[str, Scores], chapters: npt.NDArray[np.int32]) -> Scores:
    """How well passages fit, in deviations from their mean.

    Args:
        views: the scores of the views at hand by name, each of shape (passages,), higher is better.
        chapters: the passages' chapters, in the order of the novel.
    """
    weights = WITH_SENTENCES if "sentence" in views else WEIGHTS
    total = sum(weights[name] for name in views)
    weighed = sum((weights[name] / total * standard(scores) for name, scores in views.items()))
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
    drawn = scores.copy()
    for distance, part in enumerate(NEIGHBOURS, 1):
        same = chapters[distance:] == chapters[:-distance]
        before, after = scores.copy(), scores.copy()
        before[distance:][same] = scores[:-distance][same]
        after[:-distance][same] = scores[distance:][same]
        drawn += part * (before + after)
    mean: Scores = drawn / np.float32(1 + 2 * sum(NEIGHBOURS))
    return mean


def score(deviations: float) -> float:
    """How well a passage fits, 0 to 1: a logistic curve over the deviations."""
    return float(1 / (1 + np.exp(MIDDLE - deviations)))
