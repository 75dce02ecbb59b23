"""How well characters were found: names against people, people against clusters."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.characters.gold import Person

MIN_OCCURRENCES = 3
"""A name that the text has less often need not be found."""


@dataclass(slots=True)
class Score:
    """Counts, which add up over novels.

    Attributes:
        people: who should be found.
        found: of them, who was.
        names: of the found characters that are one of them.
        right: of those, the ones that are theirs.
        expected: names that should be found, with whom they belong to.
        joined: of those, the ones that stand with the rest.
        wrong: characters' names with the names that are not theirs.
        apart: names that stand with nobody, or with somebody else.
    """

    people: int = 0
    found: int = 0
    names: int = 0
    right: int = 0
    expected: int = 0
    joined: int = 0
    wrong: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """The share of names that are with the right person."""
        return self.right / self.names if self.names else 1.0

    @property
    def recall(self) -> float:
        """The share of expected names that are with the rest of their person's."""
        return self.joined / self.expected if self.expected else 1.0

    def __iadd__(self, other: "Score") -> "Score":
        self.people += other.people
        self.found += other.found
        self.names += other.names
        self.right += other.right
        self.expected += other.expected
        self.joined += other.joined
        self.wrong += other.wrong
        self.apart += other.apart
        return self


def scored(text: str, found: Iterable[Sequence[str]], people: Sequence[Person]) -> Score:
    """Compares what was found with what is known.

    Args:
        text: the novel's, in which names are counted.
        found: the names of each character.
        people: the gold.
    """
    flat = " ".join(text.split())
    clusters = [set(names) for names in found]
    score = Score(people=len(people))
    taken: set[int] = set()
    for person in people:
        expected = [name for name in person if _occurs(flat, name)]
        score.expected += len(expected)
        free = [at for at in range(len(clusters)) if at not in taken]
        best = max(free, key=lambda at: (len(clusters[at] & set(person)), -at), default=None)
        if best is None or not clusters[best] & set(person):
            score.apart += [f"{person[0]}: {', '.join(expected)}"] if expected else []
            continue
        taken.add(best)
        score.found += 1
        joined = [name for name in expected if name in clusters[best]]
        wrong = sorted(clusters[best] - set(person))
        score.joined += len(joined)
        score.names += len(clusters[best])
        score.right += len(clusters[best]) - len(wrong)
        score.wrong += [f"{person[0]}: {', '.join(wrong)}"] if wrong else []
        missing = [name for name in expected if name not in joined]
        score.apart += [f"{person[0]}: {', '.join(missing)}"] if missing else []
    return score


def _occurs(text: str, name: str) -> bool:
    """Whether the text has the name often enough, by itself and not within a longer one."""
    if "\uac00" <= name[0] <= "\ud7a3":
        return len(re.findall(rf"(?<!\w){re.escape(name)}", text)) >= MIN_OCCURRENCES
    titles = ("Mr. ", "Mrs. ", "Dr. ", "M. ", "Miss ", "Lady ", "Lord ", "Sir ", "Colonel ")
    before = r"(?<!\w)" + "".join(f"(?<!{re.escape(title)})" for title in titles)
    return len(re.findall(rf"{before}{re.escape(name)}(?!\w)(?! [A-Z][a-z])", text)) >= MIN_OCCURRENCES
