"""Passages for a reply whose search did not answer: those that library keeps, the likeliest first.

Nothing here takes more than a look at 36 passages, so it can be done while a reader waits. Words count as in BM25's
inverse document frequency (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), once a passage.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from services.generation.domain.sources import within
from services.generation.ports import Passage, ReplyContext

_WORD = re.compile(r"\w+")
_SHORTEST, _LONGEST_QUERY = 3, 2_000


def stand_ins(context: ReplyContext, query: str, most: int) -> list[Passage]:
    """The scenario's own passages, then the novel's, each group by its words in common with the query.

    The spoiler limit is applied here again, whoever kept them: a passage beyond it is never given.

    Args:
        context: with what library keeps.
        query: what the reader says, or the scenario where nothing was said.
        most: how many at most.
    """
    wanted = _words(query[:_LONGEST_QUERY])
    chosen: dict[str, Passage] = {}
    for group in (context.scenario_passages, context.novel_passages):
        for passage in _ranked(within(group, context.until_chapter), wanted):
            chosen.setdefault(passage.passage_id, passage)
    return list(chosen.values())[:most]


def _ranked(passages: Sequence[Passage], wanted: frozenset[str]) -> list[Passage]:
    common = [_words(passage.content) & wanted for passage in passages]
    held_by = Counter(word for words in common for word in words)
    worth = [sum(math.log(1 + len(passages) / held_by[word]) for word in words) for words in common]
    # Sorting is stable: what is worth the same stays in the order in which it was kept.
    return [passages[place] for place in sorted(range(len(passages)), key=lambda place: -worth[place])]


def _words(text: str) -> frozenset[str]:
    """Words of three letters or more; of other scripts, whose words have endings or no spaces, pairs of letters."""
    words: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if not word.isascii():
            words.update(word[at : at + 2] for at in range(len(word) - 1))
        elif len(word) >= _SHORTEST:
            words.add(word)
    return frozenset(words)
