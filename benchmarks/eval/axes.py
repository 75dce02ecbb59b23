"""Makes the axes along which search keeps token states (`services/search/providers/minilm_axes.npy`).

Usage: python -m benchmarks.eval.axes FILE... [--numbers 128] [--every 3]. The files are novels in English. The axes
span the first principal components of the unit states of their tokens, about the mean of those, turned at random; no
query has a part in it. The file that is there was made of every third passage of five novels.
"""

import argparse
from pathlib import Path

import numpy as np

from services.search.config import SearchSettings
from services.search.domain.chapters import split_chapters
from services.search.domain.passages import split_passages
from services.search.ports import Vectors
from services.search.providers.minilm import MiniLM
from services.search.providers.token_states import AXES

NOVEL = "00000000-0000-4000-8000-000000000000"


def main() -> None:
    """Reads the novels and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--numbers", type=int, default=128)
    parser.add_argument("--every", type=int, default=3, help="read each such passage only")
    arguments = parser.parse_args()
    model = MiniLM(SearchSettings())
    texts = [text for path in arguments.files for text in _passages(path)[:: arguments.every]]
    states = [model.states([text]) for text in texts]
    made = axes(np.concatenate(states), arguments.numbers)
    np.save(AXES, made.astype(np.float16))
    print(f"{AXES}: {arguments.numbers} axes from {len(texts):,} passages")


def axes(states: Vectors, numbers: int) -> Vectors:
    """The mean of unit states, then axes that span their first principal components: of shape (1 + numbers, 384)."""
    mean = states.mean(axis=0)
    centred = states - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / len(states))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(numbers, numbers)))
    made: Vectors = np.vstack([mean, turn.T @ vectors[:, ::-1][:, :numbers].T])
    return made


def _passages(path: Path) -> list[str]:
    chapters = split_chapters(path.read_text(encoding="utf-8"))
    return [passage.content for passage in split_passages(NOVEL, chapters)]


if __name__ == "__main__":
    main()
