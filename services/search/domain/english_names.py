"""Finds the people of an English text by how their names are written; no model is used.

A word that is capitalised in the middle of sentences and hardly ever small is a name. Titles, verbs of speech and the
words around tell people from places. Then the forms of one person's name are brought together: "Mr. Darcy", "Darcy" and
"Fitzwilliam Darcy" are one, "Mr. Bennet", "Mrs. Bennet" and "Elizabeth Bennet" are three.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from services.search.domain import lexicon
from services.search.domain.name_merging import Form, merged
from services.search.models import Name

MIN_MENTIONS = 3
"""People named less often are not worth a talk."""
MAX_FORMS = 3_000
"""Forms that are brought together, the most used ones; a novel has a few hundred."""
MIN_PERSONHOOD = 0.12
"""Share of mentions in which a form must look like a person's."""

_TOKEN = re.compile(
    r"(?P<word>[A-Za-z\u00c0-\u024f]+(?:['\u2019-][A-Za-z\u00c0-\u024f]+)*)(?P<dot>\.(?=\s))?|(?P<mark>[.!?;:,()\"\u201c\u201d\u2018\u2019'*\u2014\n]|--)"
)
_FEW_MENTIONS = 8  # fewer are not enough to tell by pronouns
_POSSESSIVE = re.compile(r"['\u2019]s?$")
_PAUSES = frozenset({".", ","})
_PRONOUN_REACH = 14  # words after a name in which a pronoun speaks of its bearer


@dataclass(slots=True)
class _Token:
    text: str
    initial: bool  # begins a sentence or a quotation
    dot: bool = False
    possessive: bool = False


@dataclass(slots=True)
class _Evidence:
    mentions: int = 0
    person: float = 0.0
    place: float = 0.0
    articles: int = 0
    male: int = 0
    female: int = 0
    places: Counter[int] = field(default_factory=Counter)

    def add(self, other: "_Evidence") -> None:
        """Counts the other's as well, places apart."""
        self.mentions += other.mentions
        self.person += other.person
        self.place += other.place
        self.articles += other.articles
        self.male += other.male
        self.female += other.female


def find_names(passages: Sequence[str]) -> list[Name]:
    """The people that the passages name, most named first."""
    texts = [list(_tokens(passage)) for passage in passages]
    known = _name_words(texts)
    evidence: dict[Form, _Evidence] = defaultdict(_Evidence)
    for position, tokens in enumerate(texts):
        for start, end, form in _mentions(tokens, known):
            evidence[form].places[position] += 1
            _note(evidence[form], tokens, start, end, titled=bool(form.title))
    people = _people(evidence)
    used = sorted(people, key=lambda form: -people[form].mentions)[:MAX_FORMS]
    forms = {form: people[form].mentions for form in used}
    gender = _genders(people)
    names = []
    for group in merged(forms, gender, {form: people[form].places for form in forms}):
        places: Counter[int] = Counter()
        spelled: Counter[str] = Counter()
        firsts: dict[str, int] = {}
        for form in group:
            places.update(people[form].places)
            spelled[str(form)] += people[form].mentions
            firsts[str(form)] = min(people[form].places)
        ordered = dict(spelled.most_common())
        if places.total() >= MIN_MENTIONS:
            sex = _sex_of(group, people, gender)
            names.append(Name(next(iter(ordered)), ordered, dict(places), firsts, sex))
    return sorted(names, key=lambda name: (-name.mentions, name.name))


def _tokens(text: str) -> Iterator[_Token]:
    initial = True
    for match in _TOKEN.finditer(text):
        word = match["word"]
        if word is None:
            # A quotation mark or dash may or may not begin a sentence: what follows proves nothing.
            initial = initial or match["mark"] not in ",'\u2019;)"
            if match["mark"] in ",;":
                yield _Token(match["mark"], initial=False)
            elif match["mark"] in ".!?\n":
                yield _Token(".", initial=False)
            continue
        bare = _POSSESSIVE.sub("", word)
        dotted = match["dot"] is not None
        yield _Token(bare, initial, dotted, bare != word)
        title = bare in lexicon.DOTTED_TITLES or bare == "St" or len(bare) == 1
        initial = dotted and not title
        if initial:
            yield _Token(".", initial=False)


def _name_words(texts: Sequence[Sequence[_Token]]) -> frozenset[str]:
    """Words that are names: capitalised inside sentences, hardly ever small."""
    inside: Counter[str] = Counter()
    small: Counter[str] = Counter()
    titled: Counter[str] = Counter()
    for tokens in texts:
        for before, token in zip([None, *tokens], tokens, strict=False):
            word = token.text
            if word[0].isupper() and not word.isupper():
                if before is not None and before.text in lexicon.TITLES:
                    titled[word] += 1
                elif not token.initial:
                    inside[word] += 1
            elif word.islower():
                small[word] += 1
    return frozenset(
        word
        for word in inside | titled
        if word not in lexicon.NOT_NAMES
        and len(word) > 1
        and (inside[word] + titled[word] >= 2)
        and small[word.lower()] <= 0.5 * (inside[word] + 2 * titled[word])
    )


def _mentions(tokens: Sequence[_Token], known: frozenset[str]) -> Iterator[tuple[int, int, Form]]:
    """The names in a text: first token, token after, form."""
    at = 0
    while at < len(tokens):
        start, token = at, tokens[at]
        title = token.text if token.text in lexicon.TITLES and not token.possessive else ""
        at += bool(title)
        while title and at < len(tokens) and tokens[at].text in lexicon.TITLES:
            at += 1  # "Mrs. Colonel Dent"
        words, at = _words_of_name(tokens, at, known, titled=bool(title))
        if words:
            yield start, at, Form(title, tuple(words))
        elif title in lexicon.OFFICES and start and tokens[start - 1].text.lower() == "the":
            yield start, at, Form("", (title,))
        else:
            at = start + 1


def _words_of_name(tokens: Sequence[_Token], at: int, known: frozenset[str], *, titled: bool) -> tuple[list[str], int]:
    """The words of a name that begins here, and the token after it: "Sherlock Holmes", "de Bourgh", "St. Simon"."""
    words: list[str] = []
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.text == "St" and following is not None and following.text[0].isupper():
            words.append(f"St. {following.text}")
            at += 2
        elif (
            (words or titled)
            and token.text.lower() in lexicon.JOINERS
            and following is not None
            and following.text in known
        ):
            words.append(token.text)
            at += 1
            continue
        elif _goes_on(token, following, known, titled=titled, inside=bool(words)):
            words.append(token.text)
            at += 1
        else:
            break
        if tokens[at - 1].possessive:
            break
    return words, at


def _goes_on(token: _Token, following: _Token | None, known: frozenset[str], *, titled: bool, inside: bool) -> bool:
    if inside and token.initial:
        return False
    if token.text in known:
        return True
    capital = token.text[0].isupper() and len(token.text) > 1 and not token.initial and not token.text.isupper()
    if titled and not inside:
        return capital and token.text not in lexicon.NOT_NAMES
    # "March Hare", "White Rabbit": what is no name by itself belongs to the name that follows it.
    usable = token.text in lexicon.EPITHETS or token.text not in lexicon.NOT_NAMES
    return capital and usable and following is not None and following.text in known and not following.initial


def _note(found: _Evidence, tokens: Sequence[_Token], start: int, end: int, *, titled: bool) -> None:
    article = start > 0 and tokens[start - 1].text.lower() in lexicon.ARTICLES
    first = start - 1 if article else start
    before = tokens[first - 1].text if first else "."
    after = tokens[end].text if end < len(tokens) else "."
    possessive = tokens[end - 1].possessive
    found.mentions += 1
    found.articles += article
    told = before in lexicon.SPEECH or before.lower() in lexicon.ENDEARMENTS
    if titled or told or (after in lexicon.SPEECH and not possessive):
        found.person += 1
    elif not possessive and before in _PAUSES and after in _PAUSES and not article:
        found.person += 0.4  # spoken to, or one of a list
    elif not possessive and after in lexicon.DEEDS:
        found.person += 0.5
    if before.lower() in lexicon.PLACE_WORDS and not titled and not possessive:
        found.place += 1
    if not possessive:
        sex = _sex_of_pronoun(tokens[end : end + _PRONOUN_REACH])
        found.male += sex > 0
        found.female += sex < 0


def _sex_of_pronoun(tokens: Sequence[_Token]) -> int:
    """1 when the next pronoun is a man's, -1 when a woman's, 0 when a sentence or another name ends the search."""
    for token in tokens:
        if token.text == "." or (token.text[0].isupper() and token.text not in lexicon.NOT_NAMES):
            return 0
        if token.text in lexicon.HE:
            return 1
        if token.text in lexicon.SHE:
            return -1
    return 0


def _people(evidence: dict[Form, _Evidence]) -> dict[Form, _Evidence]:
    """The forms that look like people's, by the company they keep."""
    words: dict[str, _Evidence] = defaultdict(_Evidence)
    for form, found in evidence.items():
        for word in form.words:
            words[word].add(found)
    people = {}
    titled = {form.words[-1] for form in evidence if form.title not in {"", "Miss"}}  # "Mrs. Phillips"
    for form, found in evidence.items():
        last = form.words[-1]
        if last in lexicon.PLACE_NOUNS or (_is_plural(last, words) and last not in titled):
            continue  # a place, or a family
        if form.title:
            people[form] = found
            continue
        known = [words[word] for word in form.words]
        mentions, person = max(one.mentions for one in known), max(one.person for one in known)
        place, articles = max(one.place for one in known), max(one.articles for one in known)
        placed = place / mentions > 0.2 and place > person
        office = form.words[0] in lexicon.OFFICES
        thing = articles / mentions > 0.4 and person / mentions < 0.2 and not office
        sure = MIN_PERSONHOOD if mentions >= 15 or office else 2 * MIN_PERSONHOOD
        if (
            (person / mentions >= sure and person >= 1 and not placed and not thing)
            or _acts(found)
            or _acts(words[last])
        ):
            people[form] = found
    return people


def _acts(found: _Evidence) -> bool:
    """Whether somebody is rather told of than spoken with: never "in" him, no article, a "he" or "she" behind.

    The bounds are where the eight novels' people and places part.
    """
    rate = (found.person + 0.25 * (found.male + found.female)) / found.mentions
    if found.mentions < _FEW_MENTIONS or found.place > 0.05 * found.mentions:
        return False
    if found.articles > 0.4 * found.mentions:  # "the Knave"
        return rate >= 2 * MIN_PERSONHOOD
    return rate >= MIN_PERSONHOOD and found.articles <= 0.1 * found.mentions


def _is_plural(word: str, words: Container[str]) -> bool:
    return (word.endswith("s") and word[:-1] in words) or (word.endswith("es") and word[:-2] in words)


def _genders(people: dict[Form, _Evidence]) -> dict[str, int]:
    """Forename -> more than 0 for a man, less for a woman."""
    pronouns: Counter[str] = Counter()
    titles: Counter[str] = Counter()
    for form, found in people.items():
        forename = form.words[0]
        pronouns[forename] += found.male - found.female - 3 * forename.endswith(lexicon.WOMANLY_ENDINGS)
        if form.title:
            titles[forename] += found.mentions * (-1 if form.title in lexicon.FEMALE_TITLES else 1)
    return {forename: titles[forename] or votes for forename, votes in pronouns.items()}


def _sex_of(group: Sequence[Form], people: dict[Form, _Evidence], gender: dict[str, int]) -> int:
    """1 for a man, -1 for a woman, 0 where neither titles nor pronouns tell."""
    titles = pronouns = 0
    for form in group:
        if form.title:
            titles += people[form].mentions * (-1 if form.title in lexicon.FEMALE_TITLES else 1)
        pronouns += people[form].male - people[form].female
    told = titles or gender.get(group[0].words[0], 0) or pronouns
    return (told > 0) - (told < 0)
