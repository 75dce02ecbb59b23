"""Chooses lines that show how somebody speaks."""

import itertools
from collections.abc import Sequence

from services.search.domain.lexicon import words
from services.search.domain.sentences import sentences
from services.search.domain.speech import Speech
from services.search.models import Passage, Sample

MAX_SAMPLES = 8
SHORTEST, LONGEST = 16, 220
"""Characters of a line."""
_IDEAL = 110
"""A line of this length shows a manner of speaking and costs few tokens."""
_OWN = words("i me my mine myself you your yours we us our 나 내 저 제 나는 내가 저는 제가 너 네 우리")


def chosen(speeches: Sequence[Speech], passages: Sequence[Passage]) -> tuple[Sample, ...]:
    """At most `MAX_SAMPLES` lines of one character, in the order of the text, denser at its beginning.

    They come from everywhere, so that whoever has read a part of the book has some that may be shown.

    Args:
        speeches: what the character says, in the order of the text.
        passages: the novel's.
    """
    lines = [(speech.position, line) for speech in speeches if (line := _line(speech.quotations))]
    distinct = list({line: (position, line) for position, line in reversed(lines)}.values())[::-1]
    found = []
    for start, end in _spans(len(distinct)):
        position, line = max(distinct[start:end], key=lambda one: _worth(one[1]))
        found.append(Sample(line, passages[position].chapter, passages[position].id))
    return tuple(found)


def _line(quotations: Sequence[str]) -> str:
    """What is said in a paragraph as one line: whole sentences, as many as fit; empty when that is too little."""
    whole = ""
    for quotation in quotations:
        if whole.endswith(",") and quotation[0].isupper() and not quotation.startswith(("I ", "I'", "I\u2019")):
            whole = f"{whole[:-1]}."  # `"Not yet," said Jane. "But now ..."`
        whole = f"{whole} {quotation}".strip()
    line = ""
    for sentence in sentences(" ".join(whole.split())):
        if line and len(line) + len(sentence) >= LONGEST:
            break
        line = f"{line} {sentence}".strip()
    if line.endswith(","):
        line = f"{line[:-1]}."
    return line if SHORTEST <= len(line) <= LONGEST and line[-1] in ".!?\u2026\u2014-" else ""


def _worth(line: str) -> float:
    own = sum(word.strip(".,!?;:\u2019'\u2014-").lower() in _OWN for word in line.split())
    return min(own, 3) / 3 - abs(len(line) - _IDEAL) / _IDEAL


def _spans(count: int) -> list[tuple[int, int]]:
    """Places from 0 to `count` as at most `MAX_SAMPLES` spans, each longer than the one before."""
    if count <= MAX_SAMPLES:
        return [(at, at + 1) for at in range(count)]
    cuts = [max(at, round(count * (at / MAX_SAMPLES) ** 2)) for at in range(MAX_SAMPLES)] + [count]
    return list(itertools.pairwise(cuts))
