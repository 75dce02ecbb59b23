"""What a transformer says of each token of a text, small enough to keep for every passage of a novel.

A search compares the tokens of its query with those of each passage ("late interaction": Khattab and Zaharia, "ColBERT:
Efficient and Effective Passage Search via Contextualized Late Interaction over BERT", SIGIR 2020). all-MiniLM-L6-v2 was
trained for whole texts, but its last layer serves for this as well, and costs nothing more: the vector of a text is the
mean of these very states.

What is kept: no stop words, no punctuation; of a token's 384 numbers 128, along the axes on which the states of novels
differ most from their mean, turned at random so that all 128 vary alike and need the same few bits.
`python -m benchmarks.eval.axes` makes `minilm_axes.npy`: the mean, then the axes.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.search.domain.lexical.stop_words import ENGLISH
from services.search.ports import Tokens, Vectors

AXES = Path(__file__).with_name("minilm_axes.npy")
SCALE = 127.0


@cache
def _axes() -> tuple[Vectors, Vectors]:
    """The mean of unit states, of shape (384,), and orthonormal axes, of shape (384, kept numbers)."""
    loaded = np.load(AXES).astype(np.float32)
    return loaded[0], loaded[1:].T


def counted(vocabulary: Mapping[str, int], unknown: str) -> npt.NDArray[np.bool_]:
    """Which token ids say what a text is about, by id.

    Args:
        vocabulary: the tokenizer's, token to id.
        unknown: its token for what it does not know, which says nothing either.
    """
    chosen = np.zeros(max(vocabulary.values()) + 1, dtype=np.bool_)
    for token, number in vocabulary.items():
        word = token.removeprefix("##")
        chosen[number] = word.isalnum() and token not in ENGLISH and token != unknown
    return chosen


def kept(texts: Sequence[Sequence[int]], states: Sequence[Vectors], chosen: npt.NDArray[np.bool_]) -> list[Tokens]:
    """The tokens of each text that are kept.

    Args:
        texts: the token ids of each.
        states: the last layer's states of each, of shape (tokens, 384).
        chosen: which ids count.
    """
    ids = [np.asarray(text)[chosen[np.asarray(text)]] for text in texts]
    told = [states[at][chosen[np.asarray(text)]] for at, text in enumerate(texts)]
    mean, axes = _axes()
    # One product for all of them: a small one costs more to begin than to compute.
    reduced = _unit((_unit(np.concatenate(told)) - mean) @ axes)
    packed = np.rint(reduced * SCALE).astype(np.int8)
    ends = np.cumsum([len(one) for one in ids])[:-1]
    return [Tokens(one.astype(np.uint16), part) for one, part in zip(ids, np.split(packed, ends), strict=True)]


def _unit(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    unit: Vectors = (rows / lengths).astype(np.float32)
    return unit
