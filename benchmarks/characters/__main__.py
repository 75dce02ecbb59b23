"""Compares the characters of the eight novels with the gold: ``python -m benchmarks.characters FOLDER [-v]``."""

import sys
import time
from pathlib import Path

from benchmarks.characters.gold import GOLD
from benchmarks.characters.scores import Score, scored
from services.search.domain.chapters import split_chapters
from services.search.domain.characters import find_characters
from services.search.domain.languages import detect
from services.search.domain.passages import split_passages

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


def main(folder: Path, *, verbose: bool) -> None:
    """Prints a table."""
    total = Score()
    print(f"{'novel':32}{'people':>10}{'precision':>11}{'recall':>8}{'seconds':>9}{'s/120k words':>14}")
    for name, people in GOLD.items():
        text = (folder / f"{name}.txt").read_text(encoding="utf-8")
        passages = split_passages(NOVEL_ID, split_chapters(text))
        started = time.thread_time()
        found = find_characters(NOVEL_ID, detect(text), passages)
        seconds = time.thread_time() - started
        score = scored(text, [(one.name, *one.aliases) for one in found], people)
        rate = seconds * 120_000 / max(len(text.split()), 1)
        print(
            f"{name:32}{score.found:>5}/{score.people:<4}{score.precision:>11.3f}{score.recall:>8.3f}"
            f"{seconds:>9.2f}{rate:>14.2f}"
        )
        if verbose:
            for kind, lines in (("wrong", score.wrong), ("apart", score.apart)):
                for line in lines:
                    print(f"    {kind}: {line}")
            print("    found:", ", ".join(one.name for one in found[:40]))
        total += score
    print(f"{'all':32}{total.found:>5}/{total.people:<4}{total.precision:>11.3f}{total.recall:>8.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), verbose="-v" in sys.argv[2:])
