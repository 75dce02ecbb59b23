"""Long forms of short names: "Lizzy" is Elizabeth."""

from functools import cache

from nicknames import NickNamer

from services.search.domain import lexicon


@cache
def _names() -> NickNamer:
    return NickNamer()


def long_forms(name: str) -> frozenset[str]:
    """The forenames that a name may be short for; an empty set where it is none's.

    From a list of our own (`lexicon.SHORT_FORMS`: what English novels use) and the `nicknames` dataset (Apache-2.0),
    which was gathered for genealogists and is wide: whoever asks must have reasons beside it.
    """
    if own := lexicon.SHORT_FORMS.get(name):
        return frozenset({own})
    if _names().nicknames_of(name.lower()):  # a name that has short forms is rarely one: John is not Jonathan
        return frozenset()
    return frozenset(long.capitalize() for long in _names().canonicals_of(name.lower()))
