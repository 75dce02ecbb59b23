"""Characters as their novel's owner has changed them.

What was found stays as it is, in the store and in the cache, which is therefore right whatever is changed; the changes
are laid over it when it is shown. So they outlive a new ingestion, whose characters have the same ids.
"""

from collections.abc import Sequence

from gaji.search.v1 import search_service_pb2 as pb

from services.search.models import CharacterEdit, Edits

MAX_ALIASES, MAX_SAMPLES, MAX_RELATIONS = 24, 8, 8


def edits_of(request: pb.SetCharacterEditsRequest) -> Edits:
    """What a request says."""
    return Edits(
        request.revision,
        tuple(
            CharacterEdit(
                character_id=edit.character_id,
                name=edit.name if edit.HasField("name") else None,
                aliases=tuple(edit.aliases.names) if edit.HasField("aliases") else None,
                description=edit.description if edit.HasField("description") else None,
                hidden=edit.hidden,
                merged_into=edit.merged_into_id,
            )
            for edit in request.edits
        ),
    )


def edited(characters: Sequence[pb.Character], edits: Edits, *, limited: bool = False) -> list[pb.Character]:
    """The characters with what is changed, in the same order; also those that lists leave out.

    Args:
        characters: as found; whoever is joined with one of them counts only if it is among them.
        edits: what is changed.
        limited: whether they are for a reader with a spoiler limit: what an owner writes about somebody has no chapter,
            so such a reader is shown the book's excerpts.
    """
    made = {edit.character_id: edit for edit in edits.edits}
    changed: dict[str, pb.Character] = {}
    for character in characters:
        copy = changed[character.character_id] = pb.Character()
        copy.CopyFrom(character)
    for character in characters:
        into = made[character.character_id].merged_into if character.character_id in made else ""
        if into in changed and into != character.character_id:
            _join(changed[into], character)
    for character_id, edit in made.items():
        if character_id in changed:
            _apply(changed[character_id], edit, limited=limited)
    names = {character_id: character.name for character_id, character in changed.items()}
    joined = {character_id: edit.merged_into for character_id, edit in made.items() if edit.merged_into in changed}
    for character in changed.values():
        _relate(character, names, joined)
    return list(changed.values())


def listed(characters: Sequence[pb.Character], edits: Edits, *, limited: bool = False) -> list[pb.Character]:
    """The same without those whom lists leave out."""
    shown = edited(characters, edits, limited=limited)
    return [character for character in shown if not character.hidden and not character.merged_into_id]


def _join(target: pb.Character, other: pb.Character) -> None:
    """Adds what is known of another to a character."""
    chapters = dict(zip(target.aliases, target.alias_chapters, strict=False))
    theirs = {other.name: other.first_chapter, **dict(zip(other.aliases, other.alias_chapters, strict=False))}
    aliases = list(dict.fromkeys([*target.aliases, other.name, *other.aliases]))[:MAX_ALIASES]
    aliases = [alias for alias in aliases if alias != target.name]
    del target.aliases[:], target.alias_chapters[:]
    target.aliases.extend(aliases)
    target.alias_chapters.extend(chapters.get(alias, theirs.get(alias, other.first_chapter)) for alias in aliases)
    target.mentions += other.mentions
    target.first_chapter = min(target.first_chapter, other.first_chapter)
    target.importance = max(target.importance, other.importance)
    samples = sorted([*target.speech_samples, *other.speech_samples], key=lambda sample: sample.chapter)
    relations = [*target.relations, *other.relations]
    del target.speech_samples[:], target.relations[:]
    target.speech_samples.extend(samples[:: -(-len(samples) // MAX_SAMPLES) or 1])
    target.relations.extend(relations)


def _apply(character: pb.Character, edit: CharacterEdit, *, limited: bool) -> None:
    character.edited = True
    character.hidden = edit.hidden
    character.merged_into_id = edit.merged_into
    if edit.name is not None and edit.name != character.name:
        if edit.name in character.aliases:
            at = list(character.aliases).index(edit.name)
            del character.aliases[at]
            del character.alias_chapters[at : at + 1]
        character.aliases.insert(0, character.name)
        character.alias_chapters.insert(0, character.first_chapter)
        character.name = edit.name
    if edit.aliases is not None:
        chapters = dict(zip(character.aliases, character.alias_chapters, strict=False))
        del character.aliases[:], character.alias_chapters[:]
        character.aliases.extend(edit.aliases)
        character.alias_chapters.extend(chapters.get(alias, 0) for alias in edit.aliases)
    if edit.description is not None and not limited:
        character.description = edit.description


def _relate(character: pb.Character, names: dict[str, str], joined: dict[str, str]) -> None:
    """Relations to those who are shown, each once, under the names that they have now."""
    strongest: dict[str, pb.Relation] = {}
    for relation in sorted(character.relations, key=lambda one: (not one.kind, -one.strength)):
        relation.character_id = joined.get(relation.character_id, relation.character_id)
        relation.name = names.get(relation.character_id, relation.name)
        if relation.character_id != character.character_id:
            strongest.setdefault(relation.character_id, relation)
    kept = sorted(list(strongest.values())[:MAX_RELATIONS], key=lambda one: -one.strength)
    del character.relations[:]
    character.relations.extend(kept)
