"""Finds where a text names known people: by all of their names at once, the longest first."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.search.models import Name

PARTICLES = (
    *("에게서는", "에게서", "에게는", "에게도", "에게로", "에게", "한테서", "한테", "께서는", "께서", "더러"),
    *("이라는", "라는", "이나", "까지", "부터", "처럼", "하고", "이랑", "랑"),
    *("은", "는", "이", "가", "을", "를", "의", "와", "과", "도", "만", "야", "아"),
)
"""What stands behind a Korean noun, the longest first."""

_LATIN = re.compile(r"[A-Z\u00c0-\u00de][^\W\d_]*")
_HANGUL = re.compile(r"[\uac00-\ud7a3]{2}")
_LATIN_END = re.compile(r"(?!\w)")
_HANGUL_END = re.compile(rf"(?:{'|'.join(PARTICLES)})?(?![\uac00-\ud7a3])")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where somebody is named.

    Attributes:
        person: index of the person.
        start, end: of the name, without a particle or a possessive behind it.
    """

    person: int
    start: int
    end: int


class Spotter:
    """Finds people by their names.

    Args:
        names: the people; a name that several have means nobody.
        korean: whether particles may follow a name without a space.
    """

    def __init__(self, names: Sequence[Name], *, korean: bool) -> None:
        self._begin = _HANGUL if korean else _LATIN
        self._end = _HANGUL_END if korean else _LATIN_END
        bearers: dict[str, list[int]] = defaultdict(list)
        for person, name in enumerate(names):
            for form in name.forms:
                bearers[form].append(person)
        self._bearers = {form: people[0] for form, people in bearers.items() if len(people) == 1}
        # By lengths, of which there are few, however many names begin alike.
        lengths: dict[str, set[int]] = defaultdict(set)
        for form in self._bearers:
            if start := self._begin.match(form):
                lengths[start.group()].add(len(form))
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}

    def at(self, text: str, position: int) -> Spot | None:
        """Who is named from a position on."""
        start = self._begin.match(text, position)
        return self._known(text, start) if start else None

    def spots(self, text: str) -> Iterator[Spot]:
        """All who are named, in order."""
        end = 0
        for start in self._begin.finditer(text):
            if start.start() >= end and (spot := self._known(text, start)) is not None:
                end = spot.end
                yield spot

    def _known(self, text: str, start: re.Match[str]) -> Spot | None:
        begin = start.start()
        if begin and text[begin - 1].isalnum():
            return None
        for length in self._lengths.get(start.group(), ()):
            person = self._bearers.get(text[begin : begin + length])
            if person is not None and self._end.match(text, begin + length):
                return Spot(person, begin, begin + length)
        return None
