"""What a language model claims of a novel's people, held against the text.

Two names are joined only if the quotation names one of them and stands in the text, at a place that names both, and
nothing speaks against it: titles or pronouns of the two sexes, "Jane and Elizabeth", a kinship of the two, or several
sentences that name both, since nobody is called by two names again and again. And only if it stands no later than the
chapter in which the second of them first appears: a reader who has come so far, and no further, is told of them under
one name, so that what the book reveals later must not be told (docs/decisions/0021). A revelation leaves two people,
whom the novel's owner may join.

A kinship is believed if the quotation has its word, at a place that names both; it counts from that chapter on.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mesh.plain_text import disarmed
from services.search.domain.kinship import KOREAN, SEX, Kinds, inverted, kinships
from services.search.domain.languages import primary
from services.search.domain.sentences import sentences
from services.search.domain.spotting import Spotter
from services.search.models import Name, Passage

MOST_CLAIMS = 100
MOST_SENTENCES = 1
"""Sentences that name both of two who may be one."""
SHORTEST_QUOTE, LONGEST_QUOTE = 8, 400
"""Characters."""
_OTHERS = ("friend", "servant", "guardian", "ward", "teacher", "pupil", "neighbour", "colleague", "fiancé", "fiancée")
KINDS: Mapping[str, int] = {**SEX, **dict.fromkeys(_OTHERS, 0)}
"""What somebody can be to another, and the sex that it says: 1 a man's, -1 a woman's."""

_WORDS = {
    kind: [
        # "sister-in-law" is something else; a Korean word has particles behind it.
        re.compile(rf"(?<![^\W\d_]){kind}(?![\w-])"),
        *(re.compile(word) for word, means in KOREAN.items() if means == kind),
    ]
    for kind in KINDS
}
_TWO = re.compile(r",? (?:and|or|nor) |(?:와|과|하고|이랑|랑) ")
_MARKS = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u2032", "'") | dict.fromkeys("\u201c\u201d\u201f\u2033", '"'))


@dataclass(frozen=True, slots=True)
class Claim:
    """That somebody is somebody, or something to somebody; places in the list of people.

    Attributes:
        who: the one.
        other: the same person, or whose kin the one is.
        quote: words of the text.
        kind: what the one is to the other; empty: the same.
    """

    who: int
    other: int
    quote: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """All that a model claims."""

    same: tuple[Claim, ...]
    kin: tuple[Claim, ...]


def read_claims(answer: object, count: int) -> Claims:
    """The claims of an answer; what is no claim is left out.

    Args:
        answer: the model's.
        count: how many people it was shown.

    Raises:
        ValueError: the answer has no lists of claims.
    """
    if not isinstance(answer, dict) or not any(isinstance(answer.get(name), list) for name in ("same", "kin")):
        raise ValueError("has no lists of claims")
    return Claims(
        tuple(_claims(answer.get("same"), "as", count, kinds=False)),
        tuple(_claims(answer.get("kin"), "of", count, kinds=True)),
    )


def _claims(rows: object, other: str, count: int, *, kinds: bool) -> Iterator[Claim]:
    for row in rows[:MOST_CLAIMS] if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        who, whom = _place(row.get("who"), count), _place(row.get(other), count)
        quote, kind = row.get("quote"), row.get("kind") if kinds else ""
        if who is None or whom in {None, who} or not isinstance(quote, str) or not isinstance(kind, str):
            continue
        if SHORTEST_QUOTE <= len(quote.strip()) <= LONGEST_QUOTE and (kind in KINDS or not kinds):
            yield Claim(who, whom, quote, kind)


def _place(number: object, count: int) -> int | None:
    """A number of the list of people as a place in it; None: it is none."""
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= count:
        return number - 1
    return None


def believed(
    claims: Claims, names: Sequence[Name], passages: Sequence[Passage], language: str
) -> tuple[list[Name], Kinds]:
    """The people with those joined who are the same, and who is whose kin beside what the text itself says.

    Args:
        claims: what is claimed.
        names: the people.
        passages: the novel's.
        language: a BCP 47 tag.

    Returns:
        The people, named most first, and kinds by their places in that list.
    """
    text = _Text(names, passages, korean=primary(language) == "ko")
    group = list(range(len(names)))  # person -> the first of the set
    for claim in claims.same:
        one, other = sorted((group[claim.who], group[claim.other]))
        sets = [[person for person, first in enumerate(group) if first == which] for which in (one, other)]
        if one != other and text.same(claim, *sets):
            group = [one if first == other else first for first in group]
    members = {first: [names[person] for person, which in enumerate(group) if which == first] for first in group}
    people = {first: _joined(these) for first, these in members.items()}
    order = sorted(people, key=lambda first: (-people[first].mentions, people[first].name))
    joined = [people[first] for first in order]
    place = {first: at for at, first in enumerate(order)}
    kinds: dict[tuple[int, int], tuple[str, int]] = {}
    for claim in claims.kin:
        who, whose = place[group[claim.who]], place[group[claim.other]]
        position = text.says_kin(claim)
        if position is not None and who != whose and joined[who].sex * KINDS[claim.kind] >= 0:
            kinds.setdefault((whose, who), (claim.kind, position))
    kin = {pair: told for pair, told in kinds.items() if told[0] in SEX}
    return joined, {**inverted(kin, joined), **kinds}


class _Text:
    """The text, to look claims up in."""

    def __init__(self, names: Sequence[Name], passages: Sequence[Passage], *, korean: bool) -> None:
        self._names = names
        self._passages = passages
        self._folded = [_folded(passage.content) for passage in passages]
        self._spotter = Spotter(names, korean=korean)
        self._two: set[tuple[int, int]] | None = None  # looked for when the first claim is worth it

    def same(self, claim: Claim, one: Sequence[int], other: Sequence[int]) -> bool:
        """Whether two sets of names, by a claim about one of each, are one person's."""
        if self._sex(one) * self._sex(other) < 0:
            return False
        if not self._names_one(claim):
            return False
        seen = max(min(self._chapter(person) for person in people) for people in (one, other))
        if not any(self._passages[place].chapter <= seen for place in self._places(claim)):
            return False
        if self._two is None:
            self._two = self._told_apart()
        return not any((a, b) in self._two or (b, a) in self._two for a in one for b in other)

    def says_kin(self, claim: Claim) -> int | None:
        """The passage that says a kinship, the last that may: the same words may have been said of others before."""
        quote = _folded(claim.quote)
        if not self._names_one(claim) or not any(word.search(quote) for word in _WORDS[claim.kind]):
            return None
        return max(self._places(claim), default=None)

    def _names_one(self, claim: Claim) -> bool:
        quote = _folded(claim.quote)
        forms = (form for person in (claim.who, claim.other) for form in self._names[person].forms)
        # At the beginning of a word; at its end there may be a particle.
        return any(re.search(rf"(?<!\w){re.escape(_folded(form))}", quote) for form in forms)

    def _places(self, claim: Claim) -> Iterator[int]:
        """The passages that have a claim's words and, with their neighbours in the chapter, both names."""
        quote = _folded(claim.quote)
        for place, text in enumerate(self._folded):
            if quote in text:
                chapter = self._passages[place].chapter
                around = [
                    at
                    for at in range(max(place - 1, 0), min(place + 2, len(self._folded)))
                    if self._passages[at].chapter == chapter
                ]
                named = (self._names[person].places for person in (claim.who, claim.other))
                if all(any(at in places for at in around) for places in named):
                    yield place

    def _told_apart(self) -> set[tuple[int, int]]:
        """Pairs of whom the text speaks as of two."""
        pairs = set(kinships([passage.content for passage in self._passages], self._names, self._spotter, ()))
        sentences_of: Counter[tuple[int, int]] = Counter()
        for passage in self._passages:
            before = None
            for spot in self._spotter.spots(passage.content):
                if before is not None and _TWO.fullmatch(passage.content, before.end, spot.start):
                    pairs.add((before.person, spot.person))
                before = spot
            for sentence in sentences(passage.content):
                here = sorted({spot.person for spot in self._spotter.spots(sentence)})
                sentences_of.update(combinations(here, 2))
        return pairs | {pair for pair, count in sentences_of.items() if count > MOST_SENTENCES}

    def _chapter(self, person: int) -> int:
        return self._passages[min(self._names[person].places)].chapter

    def _sex(self, people: Sequence[int]) -> int:
        return next((self._names[person].sex for person in people if self._names[person].sex), 0)


def _joined(names: Sequence[Name]) -> Name:
    """One person of several names."""
    if len(names) == 1:
        return names[0]
    forms: Counter[str] = Counter()
    places: Counter[int] = Counter()
    firsts: dict[str, int] = {}
    for name in names:
        forms.update(name.forms)
        places.update(name.places)
        for form, place in name.firsts.items():
            firsts[form] = min(place, firsts.get(form, place))
    ordered = dict(forms.most_common())
    sex = next((name.sex for name in names if name.sex), 0)
    return Name(next(iter(ordered)), ordered, dict(places), firsts, sex)


def _folded(text: str) -> str:
    """A text by its words, however it is spaced, capitalised and quoted, and as a model was shown it."""
    plain = unicodedata.normalize("NFKC", disarmed(text)).translate(_MARKS).replace("_", "")
    return " ".join(plain.casefold().split())
