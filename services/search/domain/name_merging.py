"""Brings the forms of one person's name together."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from services.search.domain import lexicon

_DOMINANT = 3
"""One bearer of a name must be named so many times as often as the next to be meant by it."""
_SURNAME = 5
"""A word that follows Mr. or Mrs. so many times as often as it comes before a surname is a surname itself."""


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


_GROUPS = {
    "man": lexicon.MALE_TITLES,
    "wife": lexicon.WIFE_TITLES,
    "maiden": lexicon.MAIDEN_TITLES,
    "lady": lexicon.LADY_TITLES,
}


class _People:
    """Sets of forms, joined two by two."""

    def __init__(self, forms: Mapping[Form, int]) -> None:
        self.forms = forms
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
        """Says that two forms mean one person."""
        kept, moved = self._sets[other], self._sets[one]
        if kept is not moved:
            kept.extend(moved)
            self._sets.update(dict.fromkeys(moved, kept))

    def groups(self) -> list[list[Form]]:
        """The sets."""
        return [members for form, members in self._sets.items() if members[0] == form]

    def members(self, form: Form) -> list[Form]:
        """The forms of the form's set."""
        return self._sets[form]

    def count(self, form: Form) -> int:
        """Mentions of the form's set."""
        return sum(self.forms[member] for member in self._sets[form])


def merged(forms: Mapping[Form, int], gender: Mapping[str, int]) -> list[list[Form]]:
    """Groups forms by person.

    Args:
        forms: form -> mentions.
        gender: forename -> more than 0 for a man, less for a woman.
    """
    people = _People(forms)
    _same_words(people)
    _marriages(people, gender)
    _forenames(people)
    _titled_surnames(people, gender)
    _bare_surnames(people)
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
            people.join(form, by_words.setdefault((form.group, " ".join(form.words)), form))
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
    bearers: dict[str, Counter[Form]] = defaultdict(Counter)
    titled: Counter[str] = Counter()
    for form, count in people.forms.items():
        if form.forename:
            bearers[form.forename][people.root(form)] += count
        elif form.group in {"man", "wife"}:
            titled[form.words[0]] += count
    for form in people.forms:
        name = form.words[0]
        if len(form.words) > 1 or form.group == "lady" or name not in bearers:
            continue
        # "Colonel Fitzwilliam" is not Fitzwilliam Darcy: to him it is a surname.
        found = _dominant(bearers[name])
        if found is not None and titled[name] <= _SURNAME * bearers[name].total():
            people.join(form, found)
        elif form.group in {"wife", "maiden"} and Form("", form.words) in people.forms:
            people.join(form, Form("", form.words))


def _titled_surnames(people: _People, gender: Mapping[str, int]) -> None:
    """Titles: "Mr. Darcy" is Fitzwilliam Darcy and "Miss Lucas" Charlotte Lucas, if one bearer stands out."""
    titled = [form for form in people.forms if form.group and form.group != "lady" and not form.forename]
    groups = {(form.surname, form.group) for form in titled}
    for form in titled:
        if form.group == "wife" and (form.surname, "maiden") in groups:
            continue
        sign = 1 if form.group == "man" else -1
        bearers = Counter(
            {
                people.root(other): people.count(other)
                for other in people.by_surname[form.surname]
                if other.forename and gender.get(other.forename, 0) * sign >= 0 and other.group in {"", form.group}
            }
        )
        found = _dominant(bearers)
        if found is not None and (form.group != "wife" or (len(bearers) == 1 and not _is_maiden(people, found, form))):
            people.join(form, found)


def _is_maiden(people: _People, person: Form, wife: Form) -> bool:
    return any(member.group == "maiden" and member.surname == wife.surname for member in people.members(person))


def _bare_surnames(people: _People) -> None:
    """Surnames alone: "Darcy" is Mr. Darcy; failing a man, the only other bearer."""
    for form in people.forms:
        if form.title or form.forename or len(people.members(form)) > 1:
            continue
        others = [other for other in people.by_surname[form.surname] if other != form]
        men = [other for other in others if other.group == "man"]
        found = _dominant(Counter({people.root(other): people.count(other) for other in men or others}))
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
        long = lexicon.SHORT_FORMS.get(form.words[0])
        if long is None or form.group in {"man", "lady"} or gender.get(long, 0) * gender.get(form.words[0], 0) < 0:
            continue
        target = Form("", (long, *form.words[1:]))
        if target not in people.forms or people.count(target) < people.forms[form] / 2:
            continue
        if all(member.group != "lady" for member in people.members(target)):
            people.join(form, target)


def _dominant(bearers: Counter[Form]) -> Form | None:
    ranked = bearers.most_common(2)
    if ranked and (len(ranked) == 1 or ranked[0][1] >= _DOMINANT * ranked[1][1]):
        return ranked[0][0]
    return None
