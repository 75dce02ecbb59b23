"""A novel's characters as somebody knows them who has read its first chapters and no more.

What is kept of a character is gathered from the whole novel: the excerpts that show it best, the name most used, how
often it is named. Nothing of that may reach a reader in the middle of the book, so it is gathered anew from the
chapters that were read. Who first appears later is left out, and whatever else is known of a character, of which
nobody can say where it stands, with it: what is not made here is not told.
"""

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from itertools import accumulate

from mesh.errors import NotFound
from services.search.domain.characters import shown
from services.search.models import Character, Name, Novel, Passage
from services.search.ports import NovelStore

_BETWEEN = "\n\n"


class LimitedCharacters:
    """Gathers what a novel's first chapters tell of its characters.

    Args:
        store: where both are.
    """

    def __init__(self, store: NovelStore) -> None:
        self._store = store

    async def of(self, novel: Novel, until_chapter: int) -> list[Character]:
        """The characters of a novel up to a chapter, those named most often within it first.

        Raises:
            Unavailable: the store does not answer.
        """
        characters, passages = await self._read(novel, until_chapter)
        return await asyncio.to_thread(known_by, characters, passages, until_chapter)

    async def one(self, novel: Novel, character_id: str, until_chapter: int) -> Character:
        """One of them.

        Raises:
            NotFound: reason CHARACTER_BEYOND_LIMIT: it first appears later.
            Unavailable: the store does not answer.
        """
        characters, passages = await self._read(novel, until_chapter)
        known = await asyncio.to_thread(known_by, characters, passages, until_chapter, only=character_id)
        if not known:
            raise beyond_limit(character_id, until_chapter)
        return known[0]

    async def _read(self, novel: Novel, until_chapter: int) -> tuple[list[Character], list[Passage]]:
        return await asyncio.gather(
            self._store.characters(novel, 0, novel.characters), self._store.passages_up_to(novel, until_chapter)
        )


def known_by(
    characters: Sequence[Character], passages: Sequence[Passage], until_chapter: int, *, only: str = ""
) -> list[Character]:
    """Characters as the chapters up to a limit show them, those named most often first.

    Args:
        characters: of the whole novel, most important first.
        passages: the novel's, in its order; those beyond the limit do not count.
        until_chapter: the last chapter that may be told of.
        only: the id of the one that is asked for; empty: all of them.
    """
    passages = [passage for passage in passages if passage.chapter <= until_chapter]
    wanted = {
        rank
        for rank, character in enumerate(characters)
        if character.first_chapter <= until_chapter and only in {"", character.id}
    }
    seen = _seen(characters, wanted, passages)
    known = [_described(characters[rank], seen[rank], passages) for rank in sorted(wanted) if seen[rank]]
    return sorted(known, key=lambda character: -character.mentions)  # stable: the more important one first


def beyond_limit(character_id: str, until_chapter: int) -> NotFound:
    """The character first appears in a later chapter."""
    return NotFound(
        f"character {character_id} does not appear up to chapter {until_chapter}",
        reason="CHARACTER_BEYOND_LIMIT",
        fields={"character_id": f"does not appear up to chapter {until_chapter}; give a later until_chapter"},
    )


def _seen(
    characters: Sequence[Character], wanted: Set[int], passages: Sequence[Passage]
) -> list[dict[str, Counter[int]]]:
    """Where each of the wanted characters is named: form -> passage -> how often.

    A form within a longer one does not count: in "Mrs. Bennet" nobody is called "Bennet".
    """
    owners: dict[str, list[int]] = defaultdict(list)
    for rank, character in enumerate(characters):
        for form in dict.fromkeys((character.name, *character.aliases)):
            if form:
                owners[form].append(rank)
    # Of the others only those names count that hold one of theirs.
    theirs = [form for form, ranks in owners.items() if not wanted.isdisjoint(ranks)]
    owners = {form: ranks for form, ranks in owners.items() if any(each in form for each in theirs)}
    text = _BETWEEN.join(passage.content for passage in passages)
    ends = list(accumulate(len(passage.content) + len(_BETWEEN) for passage in passages))
    spelled = [(form, spelling) for form in owners for spelling in {form, form.replace(". ", " ")}]  # "Mr Grey" as well
    found = sorted((at, -len(spelling), form) for form, spelling in spelled for at in _places(text, spelling))
    seen: list[dict[str, Counter[int]]] = [defaultdict(Counter) for _ in characters]
    free = 0
    for at, minus_length, form in found:
        if at >= free:
            free = at - minus_length
            for rank in owners[form]:
                seen[rank][form][bisect_right(ends, at)] += 1
    return seen


def _places(text: str, form: str) -> Iterator[int]:
    """Where a form stands as words of its own; particles may follow a Korean one."""
    open_ended = "\uac00" <= form[-1] <= "\ud7a3"
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        begins = at == 0 or not text[at - 1].isalnum()
        if begins and (open_ended or end == len(text) or not text[end].isalnum()):
            yield at
        at = text.find(form, end)


def _described(character: Character, seen: dict[str, Counter[int]], passages: Sequence[Passage]) -> Character:
    counts = sorted(((form, places.total()) for form, places in seen.items()), key=lambda one: -one[1])
    forms = dict(counts)
    name = character.name if character.name in forms else counts[0][0]
    places: Counter[int] = sum(seen.values(), Counter())
    aliases = tuple(form for form in forms if form != name)
    last = passages[-1].chapter
    positions, description = shown(Name(name, forms, places), passages)
    return Character(
        id=character.id,
        name=name,
        aliases=aliases,
        description=description,
        mentions=places.total(),
        first_chapter=passages[min(places)].chapter,
        passage_ids=tuple(passages[position].id for position in positions),
        alias_chapters=tuple(passages[min(seen[alias])].chapter for alias in aliases),
        samples=tuple(sample for sample in character.samples if sample.chapter <= last),
    )
