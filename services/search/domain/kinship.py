"""Finds who is whose sister or husband, where the text says so plainly.

What counts: "Jane's sister Mary", "Mary, the sister of Jane", "Mary was Jane's sister", "Mr. and Mrs. Lake"; in
somebody's own words "my sister Mary"; and "her sister Mary" after the only person of the sentence, if the text has that
at least twice. In Korean: "순이의 언니 영희".
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from services.search.domain.speech import Speech
from services.search.domain.spotting import Spot, Spotter
from services.search.models import Name

MIN_PRONOUN_VOTES = 2
"""How often "her sister Mary" must stand after one and the same person."""

Kinds = Mapping[tuple[int, int], tuple[str, int]]
"""(whose, who) -> (what the second is to the first, the first passage that says so)."""

SEX = {
    **dict.fromkeys(("wife", "mother", "sister", "daughter", "aunt", "niece", "grandmother"), -1),
    **dict.fromkeys(("husband", "father", "brother", "son", "uncle", "nephew", "grandfather"), 1),
    "cousin": 0,
}
"""Kinships, and the sex that each says: 1 a man's, -1 a woman's."""
# What the first is to the second, when that one is this to the first: for a man, for a woman.
_INVERSE = {
    "wife": ("husband", "husband"),
    "husband": ("wife", "wife"),
    **dict.fromkeys(("mother", "father"), ("son", "daughter")),
    **dict.fromkeys(("son", "daughter"), ("father", "mother")),
    **dict.fromkeys(("sister", "brother"), ("brother", "sister")),
    **dict.fromkeys(("aunt", "uncle"), ("nephew", "niece")),
    **dict.fromkeys(("nephew", "niece"), ("uncle", "aunt")),
    **dict.fromkeys(("grandmother", "grandfather"), ("grandson", "granddaughter")),
    "cousin": ("cousin", "cousin"),
}
_WORD = rf"(?P<kin>{'|'.join(SEX)})(?![\w-])"  # "sister-in-law" is something else
_ADJECTIVES = (
    r"(?:(?:own|dear|dearest|eldest|elder|older|youngest|younger|second|only|poor|good|late|beloved|little) )*"
)
_POSSESSED = re.compile(rf"['\u2019]s? {_ADJECTIVES}{_WORD}")
_OF = re.compile(rf"(?:,| is| was) (?:the )?{_ADJECTIVES}{_WORD} of ")
_PRONOUN = re.compile(rf"\b(?P<whose>her|his|my|Her|His|My) {_ADJECTIVES}{_WORD},? ")
_COUPLE = re.compile(r"\b(?:Mr\.? and Mrs\.?) (?=[A-Z])")
_BEFORE_IS = re.compile(r"(?:,| is| was) $")
_SENTENCE = re.compile(r"[.!?\u201d\u201c\"](?:\s|$)|\n\n")
KOREAN = {
    **dict.fromkeys(("아내", "마누라", "부인"), "wife"),
    "남편": "husband",
    **dict.fromkeys(("어머니", "엄마"), "mother"),
    **dict.fromkeys(("아버지", "아빠"), "father"),
    **dict.fromkeys(("언니", "누나", "누이"), "sister"),
    **dict.fromkeys(("오빠", "형"), "brother"),
    "딸": "daughter",
    "아들": "son",
    "사촌": "cousin",
}
"""The Korean words for them."""
_KOREAN_POSSESSED = re.compile(rf"의 (?P<kin>{'|'.join(KOREAN)})(?:인)? ")


def kinships(passages: Sequence[str], names: Sequence[Name], spotter: Spotter, said: Sequence[Speech]) -> Kinds:
    """Kinships that the text states, both ways where the other way has a word.

    Args:
        passages: the novel's.
        names: the people.
        spotter: finds them.
        said: who says what.
    """
    votes: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    guesses: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    first: dict[tuple[int, int], int] = {}

    def vote(where: Mapping[tuple[int, int], Counter[str]], whose: int, who: int, kin: str, position: int) -> None:
        if whose != who and names[who].sex * SEX[kin] >= 0:
            where[whose, who][kin] += 1
            first[whose, who] = min(first.get((whose, who), position), position)

    for position, passage in enumerate(passages):
        for whose, who, kin in _plain(passage, spotter):
            vote(votes, whose, who, kin, position)
        for whose, who, kin in _by_pronoun(passage, spotter, names):
            vote(guesses, whose, who, kin, position)
    for speech in said:
        for quotation in speech.quotations:
            for match in _PRONOUN.finditer(quotation):
                if match["whose"].lower() == "my" and (spot := spotter.at(quotation, match.end())):
                    vote(votes, speech.person, spot.person, match["kin"], speech.position)
    for pair, kinds in guesses.items():
        votes[pair].update({kin: count for kin, count in kinds.items() if count >= MIN_PRONOUN_VOTES})
    stated = {pair: (_most(kinds), first[pair]) for pair, kinds in votes.items() if kinds}
    return {**inverted(stated, names), **stated}


def _plain(passage: str, spotter: Spotter) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    spots = list(spotter.spots(passage))
    for at, spot in enumerate(spots):
        if passage.endswith("late ", 0, spot.start):
            continue  # "the late Mr. Lake's daughter" is another Mr. Lake's
        before = spots[at - 1] if at and spots[at - 1].end + 8 >= spot.start else None
        if possessed := _POSSESSED.match(passage, spot.end):
            found += _possessed(passage, possessed, spot, before, spotter)
        elif (of := _OF.match(passage, spot.end)) and (whose := spotter.at(passage, of.end())):
            found.append((whose.person, spot.person, of["kin"]))
        elif (korean := _KOREAN_POSSESSED.match(passage, spot.end)) and (who := spotter.at(passage, korean.end())):
            found.append((spot.person, who.person, KOREAN[korean["kin"]]))
    for couple in _COUPLE.finditer(passage):
        surname = re.match(r"[\w.]+", passage[couple.end() :])
        pair = [spotter.at(f"{title} {surname.group()}", 0) for title in ("Mr.", "Mrs.")] if surname else [None]
        if None not in pair:
            husband, wife = (spot.person for spot in pair if spot)
            found.append((husband, wife, "wife"))
    return found


def _possessed(
    passage: str, possessed: re.Match[str], spot: Spot, before: Spot | None, spotter: Spotter
) -> list[tuple[int, int, str]]:
    """`Jane's sister Mary`, and `Mary was Jane's sister`."""
    behind = re.compile(r",? ").match(passage, possessed.end())
    who = spotter.at(passage, behind.end()) if behind else None
    if who is not None:
        return [(spot.person, who.person, possessed["kin"])]
    if before is not None and _BEFORE_IS.fullmatch(passage[before.end : spot.start]):
        return [(spot.person, before.person, possessed["kin"])]
    return []


def _by_pronoun(passage: str, spotter: Spotter, names: Sequence[Name]) -> list[tuple[int, int, str]]:
    """`Jane ... her sister Mary`, where Jane is the only person before it in its sentence."""
    found = []
    for match in _PRONOUN.finditer(passage):
        if match["whose"].lower() == "my" or (who := spotter.at(passage, match.end())) is None:
            continue
        start = max((stop.end() for stop in _SENTENCE.finditer(passage, 0, match.start())), default=0)
        before = {spot.person for spot in spotter.spots(passage[start : match.start()])} - {who.person}
        sex = 1 if match["whose"].lower() == "his" else -1
        if len(before) == 1 and names[whose := before.pop()].sex * sex >= 0:
            found.append((whose, who.person, match["kin"]))
    return found


def _most(kinds: Counter[str]) -> str:
    return max(kinds, key=lambda kin: (kinds[kin], kin))


def inverted(stated: Kinds, names: Sequence[Name]) -> dict[tuple[int, int], tuple[str, int]]:
    """What the first of each pair is to the second, where there is a word for it."""
    found = {}
    for (whose, who), (kin, position) in stated.items():
        man, woman = _INVERSE[kin]
        if names[whose].sex or man == woman:
            found[who, whose] = (man if names[whose].sex > 0 else woman, position)
    return found
