"""Finds who tells a story in the first person: the one whom others name and the telling does not."""

import re
from collections import Counter
from collections.abc import Sequence

from services.search.domain.quotations import Quotations
from services.search.domain.spotting import Spotter

MIN_TAGS = 50
"""How often the telling must have "I said" or the like."""
MIN_MENTIONS = 30
MIN_SPOKEN = 0.65
"""The share of a narrator's mentions that stand in quotations: 0.75 and more of Jane Eyre and Watson; of those who are
told of, and of several who tell in turn, at most 0.4."""

_SAYS = "said|asked|answered|replied|cried|exclaimed|remarked|inquired|returned"
_TAG = re.compile(rf"\bI (?:{_SAYS})\b|\b(?:{_SAYS}) I\b")


def narrator(passages: Sequence[str], spotter: Spotter, quotations: Quotations) -> int | None:
    """The index of the one person who tells the story; None: nobody, or nobody knows who.

    Args:
        passages: the novel's, paragraphs apart by an empty line.
        spotter: finds the people.
        quotations: finds what is said.
    """
    if sum(len(_TAG.findall(passage)) for passage in passages) < MIN_TAGS:
        return None
    named: Counter[int] = Counter()
    spoken: Counter[int] = Counter()
    for passage in passages:
        for paragraph in passage.split("\n\n"):
            quoted = quotations.of(paragraph)
            for spot in spotter.spots(paragraph):
                named[spot.person] += 1
                spoken[spot.person] += any(one.start <= spot.start < one.end for one in quoted)
    found = [
        person for person, count in named.items() if count >= MIN_MENTIONS and spoken[person] >= MIN_SPOKEN * count
    ]
    return found[0] if len(found) == 1 else None
