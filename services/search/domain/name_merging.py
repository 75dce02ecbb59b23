"""Brings the forms of one person's name together.

Rather two entries for one person than one for two: forms are joined where the text leaves one bearer, one who stands
out, or one near whom the form stands markedly more often than chance has it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.search.domain import lexicon
from services.search.domain.nicknames import long_forms

_DOMINANT = 3
"""One bearer of a name must be named so many times as often as the next to be meant by it."""
_SURNAME = 3
"""A word that stands so many times as often as a surname as it stands before one is no forename."""
_NEAR = 1.25
"""How many times as often as by chance, and as near the next bearer, a form must stand near the one it means."""
_MIN_PLACES = 5
"""Passages in which form and bearer must stand for that to tell anything."""
_REACH = 2
"""Passages from one in which a short form stands to one with the long form."""
_SURE_SEX = 5
"""Votes for a man or a woman that are no accident."""


@dataclass(frozen=True, slots=True)
class Form:
    """A name as it is written.

    Attributes:
        title: "Mr", "Lady", ...; empty: none.
        words: the names after it, at least one.
    """

    title: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        dot = "." if self.title in lexicon.DOTTED_TITLES else ""
        return " ".join(([self.title + dot] if self.title else []) + list(self.words))

    @property
    def surname(self) -> str:
        """The last name with what belongs to it, e.g. ``de Bourgh`` or ``Van Helsing``."""
        for at, word in enumerate(self.words):
            if word.lower() in lexicon.JOINERS:
                return " ".join(self.words[at:])
        return self.words[-1]

    @property
    def forename(self) -> str:
        """What stands before the surname; empty when nothing does."""
        return "" if self.surname == " ".join(self.words) else self.words[0]

    @property
    def group(self) -> str:
        """What the title says of the bearer: man, wife, maiden, lady, or nothing."""
        for group, titles in _GROUPS.items():
            if self.title in titles:
                return group
        return ""

    @property
    def rank(self) -> str:
        """What kind of man the title speaks of: nobody is both a Mr. and a Colonel to the same people."""
        return "military" if self.title in lexicon.MILITARY_TITLES else self.group


_GROUPS = {
    "boy": frozenset({"Master"}),
    "man": lexicon.MALE_TITLES,
    "wife": lexicon.WIFE_TITLES,
    "maiden": lexicon.MAIDEN_TITLES,
    "lady": lexicon.LADY_TITLES,
}


class _People:
    """Sets of forms, joined two by two."""

    def __init__(self, forms: Mapping[Form, int], places: Mapping[Form, Iterable[int]]) -> None:
        self.forms = forms
        self._places = {form: frozenset(places[form]) for form in forms}
        self._passages = len(frozenset[int]().union(*self._places.values()))
        self._sets = {form: [form] for form in forms}
        self.by_surname: dict[str, list[Form]] = defaultdict(list)
        self.by_forename: dict[str, list[Form]] = defaultdict(list)
        for form in forms:
            self.by_surname[form.surname].append(form)
            if form.forename:
                self.by_forename[form.forename].append(form)

    def root(self, form: Form) -> Form:
        """The form that stands for the set."""
        return self._sets[form][0]

    def join(self, one: Form, other: Form) -> None:
        """Says that two forms mean one person, unless their titles say that one is a man and one a woman."""
        kept, moved = self._sets[other], self._sets[one]
        if kept is not moved and self.sex(one) * self.sex(other) >= 0:
            kept.extend(moved)
            self._sets.update(dict.fromkeys(moved, kept))

    def sex(self, form: Form) -> int:
        """1 where a title of the form's set is a man's, -1 where one is a woman's, else 0."""
        groups = {member.group for member in self._sets[form]} - {""}
        return 0 if not groups else 1 if groups & {"man", "boy"} else -1

    def groups(self) -> list[list[Form]]:
        """The sets."""
        return [members for form, members in self._sets.items() if members[0] == form]

    def members(self, form: Form) -> list[Form]:
        """The forms of the form's set."""
        return self._sets[form]

    def count(self, form: Form) -> int:
        """Mentions of the form's set."""
        return sum(self.forms[member] for member in self._sets[form])

    def meant(self, form: Form, bearers: Iterable[Form]) -> Form | None:
        """Which of the bearers a form means: the only one, one who stands out, or one who is near; None: nobody knows.

        Nearness is the share of the form's passages that name the bearer otherwise, over the share of all passages
        that do (the lift of the two).
        """
        found = Counter({self.root(bearer): self.count(bearer) for bearer in bearers if bearer != form})
        return _dominant(found) or self._nearest(form, found)

    def meet(self, one: Form, other: Form) -> bool:
        """Whether two sets are ever named within a few passages of each other."""
        theirs = {place for member in self._sets[other] for place in self._places[member]}
        return any(place + step in theirs for place in self._places[one] for step in range(-_REACH, _REACH + 1))

    def _nearest(self, form: Form, bearers: Iterable[Form]) -> Form | None:
        own = self._places[form]
        lifts: Counter[Form] = Counter()
        for bearer in bearers:
            theirs = frozenset[int]().union(*(self._places[member] for member in self._sets[bearer] if member != form))
            if min(len(own), len(theirs)) >= _MIN_PLACES:
                lifts[bearer] = len(own & theirs) * self._passages / (len(own) * len(theirs))  # type: ignore[assignment] # a Counter ranks floats as well
        ranked = lifts.most_common(2)
        if len(ranked) == 2 and ranked[0][1] >= _NEAR * max(1, ranked[1][1]):
            return ranked[0][0]
        return None


def merged(
    forms: Mapping[Form, int], gender: Mapping[str, int], places: Mapping[Form, Iterable[int]]
) -> list[list[Form]]:
    """Groups forms by person.

    Args:
        forms: form -> mentions.
        gender: forename -> more than 0 for a man, less for a woman.
        places: form -> the passages that it stands in.
    """
    people = _People(forms, places)
    _same_words(people)
    _marriages(people, gender)
    _forenames(people)
    _titled_surnames(people, gender)
    _bare_surnames(people, gender)
    _offices(people)
    _short_forms(people, gender)
    return people.groups()


def _same_words(people: _People) -> None:
    """Forms that are the same but for the title, or for the end.

    "Miss Elizabeth Bennet" is "Elizabeth Bennet", "Lady Catherine" is "Lady Catherine de Bourgh".
    """
    by_words: dict[tuple[str, str], Form] = {}
    for form in sorted(people.forms, key=lambda form: -len(form.words)):
        plain = Form("", form.words)
        if form.forename and plain in people.forms:
            people.join(form, plain)
        if form.group:
            people.join(form, by_words.setdefault((form.rank, " ".join(form.words)), form))
        if form.title and form.forename:
            whole = by_words.setdefault((form.title, form.forename), form)
            short = Form(form.title, (form.forename,))
            if short in people.forms and form.title in lexicon.FORENAME_TITLES:
                people.join(short, whole)


def _marriages(people: _People, gender: Mapping[str, int]) -> None:
    """Names before and after a wedding: "Mina Murray" and "Mina Harker", a Miss Murray, a Mrs. Harker."""
    wives = {form.surname for form in people.forms if form.group == "wife"}
    maidens = {form.surname for form in people.forms if form.group == "maiden"}
    for one in people.forms:
        if one.title or not one.forename or gender.get(one.forename, 0) >= 0 or one.surname not in maidens - wives:
            continue
        for other in people.by_forename[one.forename]:
            if not other.title and other.surname in wives:
                people.join(one, other)


def _forenames(people: _People) -> None:
    """Forenames: "Elizabeth" is the "Elizabeth Bennet" of the text, if she is the only or the dominant one."""
    before: Counter[str] = Counter()
    behind: Counter[str] = Counter()
    for form, count in people.forms.items():
        if form.forename:
            before[form.forename] += count
        if form.forename or (form.group in {"man", "wife"} and form.title not in lexicon.FORENAME_TITLES):
            behind[form.surname] += count
    for form in people.forms:
        name = form.words[0]
        # "Colonel Fitzwilliam" is not Fitzwilliam Darcy: to him it is a surname.
        if len(form.words) > 1 or form.group == "lady" or not before[name] or behind[name] > _SURNAME * before[name]:
            continue
        # Nobody calls Lady Catherine de Bourgh "Catherine".
        bearers = [one for one in people.by_forename[name] if form.title or one.title not in lexicon.BY_TITLE]
        found = people.meant(form, bearers)
        if found is not None:
            people.join(form, found)
        elif form.group in {"wife", "maiden"} and Form("", form.words) in people.forms:
            people.join(form, Form("", form.words))


def _titled_surnames(people: _People, gender: Mapping[str, int]) -> None:
    """Titles: "Mr. Darcy" is Fitzwilliam Darcy and "Miss Lucas" Charlotte Lucas, if one bearer stands out."""
    titled = [form for form in people.forms if form.group and form.group != "lady" and not form.forename]
    groups = {(form.surname, form.group) for form in titled}
    for form in sorted(titled, key=lambda form: (form.group != "boy", -people.forms[form])):
        if form.group == "wife" and (form.surname, "maiden") in groups:
            continue
        sign = 1 if form.group in {"man", "boy"} else -1
        bearers = [
            other
            for other in people.by_surname[form.surname]
            if other.forename
            and gender.get(other.forename, 0) * sign >= 0
            and other.group in {"", form.group}
            and not _differs(people, form, other)
        ]
        found = people.meant(form, bearers)
        if found is not None and (
            form.group != "wife" or (len(set(map(people.root, bearers))) == 1 and not _is_maiden(people, found, form))
        ):
            people.join(form, found)


def _differs(people: _People, form: Form, other: Form) -> bool:
    """Whether the titles of the other's set speak of another kind of man, or of another sex."""
    ranks = {member.rank for member in people.members(other)} - {""}
    if form.group in {"man", "boy"}:
        return bool(ranks) and form.rank not in ranks
    return bool(ranks & {"man", "boy", "military"})


def _is_maiden(people: _People, person: Form, wife: Form) -> bool:
    return any(member.group == "maiden" and member.surname == wife.surname for member in people.members(person))


def _bare_surnames(people: _People, gender: Mapping[str, int]) -> None:
    """Surnames alone: "Darcy" is Mr. Darcy; failing a man, the only other bearer."""
    for form in people.forms:
        if form.title or form.forename or len(people.members(form)) > 1:
            continue
        # "Toller" is not Mrs. Toller, and William nobody's surname in "Sir William".
        others = [
            other
            for other in people.by_surname[form.surname]
            if other != form and other.group != "wife" and (other.forename or other.title not in {"Sir", "Lady"})
        ]
        men = [
            other for other in others if people.sex(other) > 0 or gender.get(other.forename, 0) > 0 <= people.sex(other)
        ]
        found = people.meant(form, men or others)
        if found is not None:
            people.join(form, found)


def _offices(people: _People) -> None:
    """Offices: "the Count" is Count Dracula, if there is no other count."""
    for form in people.forms:
        if form.title or form.words[0] not in lexicon.OFFICES or len(form.words) > 1:
            continue
        holders = Counter(
            {people.root(other): people.forms[other] for other in people.forms if other.title == form.words[0]}
        )
        found = _dominant(holders)
        if found is not None:
            people.join(form, found)


def _short_forms(people: _People, gender: Mapping[str, int]) -> None:
    """Short forms: "Lizzy" is Elizabeth, "Jack Seward" John Seward."""
    for form in people.forms:
        short = form.words[0]
        if form.group in {"man", "lady"}:
            continue
        longs = [Form("", (long, *form.words[1:])) for long in long_forms(short) if not _other_sex(gender, short, long)]
        known = [long for long in longs if long in people.forms]
        if len({people.root(long) for long in known}) != 1:
            continue
        target = known[0]
        if (
            people.count(target) >= people.forms[form] / 10
            and all(member.title not in {"Sir", "Lady"} for member in people.members(target))
            and (form.forename or people.meet(form, target))
        ):
            people.join(form, target)


def _other_sex(gender: Mapping[str, int], one: str, other: str) -> bool:
    votes = gender.get(one, 0), gender.get(other, 0)
    return votes[0] * votes[1] < 0 and min(map(abs, votes)) >= _SURE_SEX


def _dominant(bearers: Counter[Form]) -> Form | None:
    ranked = bearers.most_common(2)
    if ranked and (len(ranked) == 1 or ranked[0][1] >= _DOMINANT * ranked[1][1]):
        return ranked[0][0]
    return None
