"""A novel's characters: the people that it names, each shown by the passages that show it best."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid5

from services.search.domain import english_names, korean_names
from services.search.domain.importance import importance
from services.search.domain.kinship import Kinds, kinships
from services.search.domain.languages import primary
from services.search.domain.relations import relations
from services.search.domain.samples import chosen
from services.search.domain.sentences import sentences
from services.search.domain.speech import Speech, speeches
from services.search.domain.spotting import Spotter
from services.search.models import Character, Name, Passage

MAX_CHARACTERS = 100
MAX_ALIASES = 12
EXCERPTS = 3
MAX_EXCERPT = 320
"""Characters of an excerpt at most, unless its first sentence is longer."""
MAX_SENTENCE = 600

_FINDERS: dict[str, Callable[[Sequence[str]], list[Name]]] = {
    "en": english_names.find_names,
    "ko": korean_names.find_names,
}


def find_characters(novel_id: str, language: str, passages: Sequence[Passage]) -> list[Character]:
    """The characters of a novel, most important first; an empty list for a language without rules.

    Ids depend on the novel and the name alone.
    """
    return characters_of(novel_id, language, passages, find_names(language, passages))


def find_names(language: str, passages: Sequence[Passage]) -> list[Name]:
    """The people that a novel names, named most first; an empty list for a language without rules."""
    finder = _FINDERS.get(primary(language))
    return [] if finder is None else finder([passage.content for passage in passages])[:MAX_CHARACTERS]


def characters_of(
    novel_id: str, language: str, passages: Sequence[Passage], names: Sequence[Name], told: Kinds | None = None
) -> list[Character]:
    """The characters that people of a novel are, most important first.

    Args:
        novel_id: the novel's UUID.
        language: its BCP 47 tag.
        passages: its passages.
        names: the people.
        told: who is whose kin, by their places in that list, where the text does not say it so that the rules see it.
    """
    korean = primary(language) == "ko"
    texts = [passage.content for passage in passages]
    ids = [str(uuid5(UUID(novel_id), f"character:{name.name}")) for name in names]
    spotter = Spotter(names, korean=korean)
    said = speeches(texts, spotter, korean=korean)
    of_person: dict[int, list[Speech]] = defaultdict(list)
    for speech in said:
        of_person[speech.person].append(speech)
    related = relations(names, ids, passages, {**(told or {}), **kinships(texts, names, spotter, said)})
    weights = _importances(names, of_person, passages)
    found = [
        replace(
            _character(ids[person], name, passages),
            importance=weights[person],
            relations=related[person],
            samples=chosen(of_person[person], passages),
        )
        for person, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: (-one.importance, -one.mentions, one.name))


def _importances(names: Sequence[Name], of_person: dict[int, list[Speech]], passages: Sequence[Passage]) -> list[float]:
    words = [sum(speech.words for speech in of_person[person]) for person in range(len(names))]
    most_named = max((name.mentions for name in names), default=0)
    most_said = max(words, default=0)
    chapters = len({passage.chapter for passage in passages})
    return [
        importance(
            name.mentions / most_named,
            len({passages[position].chapter for position in name.places}) / chapters,
            words[person] / most_said if most_said else None,
        )
        for person, name in enumerate(names)
    ]


def shown(name: Name, passages: Sequence[Passage]) -> tuple[list[int], str]:
    """Where somebody is shown best, as places in `passages`, and excerpts from there."""
    positions = sorted(_showing(name, passages))
    return positions, "\n\n".join(_excerpt(passages[position].content, name) for position in positions)


def _character(character_id: str, name: Name, passages: Sequence[Passage]) -> Character:
    positions, description = shown(name, passages)
    first = min(name.places)
    aliases = tuple(form for form in name.forms if form != name.name)[:MAX_ALIASES]
    return Character(
        id=character_id,
        name=name.name,
        aliases=aliases,
        description=description,
        mentions=name.mentions,
        first_chapter=passages[first].chapter,
        passage_ids=tuple(passages[position].id for position in positions),
        alias_chapters=tuple(passages[name.firsts.get(alias, first)].chapter for alias in aliases),
    )


def _showing(name: Name, passages: Sequence[Passage]) -> list[int]:
    """The positions of the passages that show somebody best: where the name is dense, the earlier the better."""
    first, last = min(name.places), max(name.places)

    def worth(position: int) -> tuple[float, int]:
        late = (position - first) / (last - first) if last > first else 0.0
        described = sum(
            f"{form} {verb} " in passages[position].content
            for form in name.forms
            for verb in ("was", "is", "had", "has", "looked")
        )
        return name.places[position] + 1.5 * described + 1.5 * (position == first) - 1.5 * late, -position

    return sorted(name.places, key=worth, reverse=True)[:EXCERPTS]


def _excerpt(content: str, name: Name) -> str:
    """The sentences from the first that bears the name on, as far as they fit."""
    parts = sentences(content)
    start = next((at for at, part in enumerate(parts) if any(form in part for form in name.forms)), 0)
    excerpt = parts[start] if len(parts[start]) <= MAX_SENTENCE else parts[start][:MAX_SENTENCE].rsplit(" ", 1)[0] + "…"
    for part in parts[start + 1 :]:
        if len(excerpt) + len(part) >= MAX_EXCERPT:
            break
        excerpt += " " + part
    return excerpt
