"""A novel's characters: the people that it names, each shown by the passages that show it best."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid5

from services.search.domain import english_names, korean_names
from services.search.domain.languages import primary
from services.search.domain.sentences import sentences
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
    finder = _FINDERS.get(primary(language))
    if finder is None:
        return []
    names = finder([passage.content for passage in passages])
    return [_character(UUID(novel_id), name, passages) for name in names[:MAX_CHARACTERS]]


def shown(name: Name, passages: Sequence[Passage]) -> tuple[list[int], str]:
    """Where somebody is shown best, as places in `passages`, and excerpts from there."""
    positions = sorted(_showing(name, passages))
    return positions, "\n\n".join(_excerpt(passages[position].content, name) for position in positions)


def _character(novel: UUID, name: Name, passages: Sequence[Passage]) -> Character:
    positions, description = shown(name, passages)
    return Character(
        id=str(uuid5(novel, f"character:{name.name}")),
        name=name.name,
        aliases=tuple(form for form in name.forms if form != name.name)[:MAX_ALIASES],
        description=description,
        mentions=name.mentions,
        first_chapter=passages[min(name.places)].chapter,
        passage_ids=tuple(passages[position].id for position in positions),
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
