"""The novels that benchmarks read: those of a folder, or invented ones where there is no such folder."""

import os
import random
from pathlib import Path

FOLDER = Path(os.environ.get("GAJI_NOVELS") or Path(__file__).parents[2] / "shared" / "novels")
_SENTENCES = 14  # of a paragraph, at most
_LETTERS = 350_000  # of an invented novel
_WORDS = """
the of and to a in that he was it his with as her had for at not on but be by which she you from they all were
this my have are so said him there no what them when one out up would more if who then now time man into could
been some little very we do good may will any than house old must day never much come here before long made
night again down way great own might like over after back only hand think see know such about through say being
well where eyes life how upon letter door window sea morning evening friend mother father road garden fire light
dark word heart young lady captain room table winter silver quiet answer stood walked looked turned asked heard
left found thought
"""
_NAMES = "Marian Tolliver Brandt Osgood Emmeline Harker Rosamund Pell Whitcombe Agnes Fairfax Lavinia"


def novel(name: str, folder: Path = FOLDER) -> tuple[str, bool]:
    """The text of ``folder/name.txt``; and whether it is real: where there is none it is invented, always the same."""
    path = folder / f"{name}.txt"
    if path.is_file():
        return path.read_text(encoding="utf-8"), True
    return _invented(name), False


def _invented(name: str) -> str:
    """Chapters of sentences of common words, often used ones more often, as in any text (Zipf)."""
    chance = random.Random(name)  # noqa: S311 - no secret
    words = _WORDS.split()
    weights = [1 / rank for rank in range(2, len(words) + 2)]
    parts, length, chapter = [name.upper()], 0, 0
    while length < _LETTERS:
        chapter += 1
        parts.append(f"CHAPTER {chapter}.")
        for _ in range(30):
            paragraph = " ".join(_sentence(chance, words, weights) for _ in range(chance.randint(3, _SENTENCES)))
            parts.append(paragraph)
            length += len(paragraph)
    return "\n\n".join(parts)


def _sentence(chance: random.Random, known: list[str], weights: list[float]) -> str:
    words = chance.choices(known, weights, k=chance.randint(6, 24))
    words[0] = words[0].capitalize()
    words.insert(chance.randint(1, len(words)), chance.choice(_NAMES.split()))
    return " ".join(words) + "."
