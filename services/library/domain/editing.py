"""What a novel's owner changes about its characters.

The truth is here. Search, which shows characters, is told all of a novel's changes after each and lays them over what
it has found; while it is away they wait (`services.library.domain.telling`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from mesh import plain_text
from mesh.errors import InvalidArgument, MeshError, NotFound
from mesh.telemetry.logs import get_logger
from mesh.validation import Violations
from services.library.domain.errors import not_found, not_owner
from services.library.domain.kept import DESCRIPTION, NAME
from services.library.domain.novels import Novels
from services.library.models import Character, CharacterEdit
from services.library.ports import CharacterStore, EditStore, Search

T = TypeVar("T")

log = get_logger(__name__)

MAX_ALIASES = 12
_RESETS = frozenset({"name", "aliases", "description"})
_TELL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CharacterChange:
    """What is to change; None: stays as it is.

    Attributes:
        merged_into_id: a UUID; empty: nobody.
        reset: fields that are to be as in the book.
    """

    name: str | None = None
    aliases: Sequence[str] | None = None
    description: str | None = None
    hidden: bool | None = None
    merged_into_id: str | None = None
    reset: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """A character that was changed.

    Attributes:
        name: as it is now.
        shown: whether search shows it already.
    """

    edit: CharacterEdit
    name: str
    shown: bool


class Editing:
    """Changes characters.

    Args:
        novels: whose they are.
        characters: those that are kept here.
        edits: where changes are kept.
        search: who finds characters and shows them.
        seconds: how long search is waited for when a character is not kept here.
    """

    def __init__(
        self, novels: Novels, characters: CharacterStore, edits: EditStore, search: Search, *, seconds: float
    ) -> None:
        self._novels = novels
        self._characters = characters
        self._edits = edits
        self._search = search
        self._seconds = seconds

    async def change(self, user_id: UUID, character_id: UUID, change: CharacterChange) -> Edited:
        """Changes what is not None, for everybody.

        Raises:
            InvalidArgument: a field breaks the contract.
            NotFound: there is no such character in any novel that the user sees.
            PermissionDenied: it is of another's novel.
            Unavailable, DeadlineExceeded: the character is not kept here, and search does not answer.
        """
        change = _checked(character_id, change)
        character = await self._own(user_id, character_id)
        into = UUID(change.merged_into_id) if change.merged_into_id else None
        if into is not None:
            other = await self._known(into)
            if other is None or other.novel_id != character.novel_id:
                raise _refused("names no other character of this novel")
        edits = await self._edits.change(
            character.novel_id, lambda made: _changed(made, character_id, character.novel_id, change, into)
        )
        if edits is None:
            raise not_found("character_id", character_id, "character")
        shown = True
        try:
            await self._search.set_character_edits(edits, _TELL_SECONDS)
            await self._edits.told(edits.novel_id, edits.revision)
        except MeshError as error:
            shown = False
            log.info("search is told of a change later", extra={"reason": error.reason})
        edit = next(edit for edit in edits.edits if edit.character_id == character_id)
        return Edited(edit, edit.applied(character).name, shown)

    async def _own(self, user_id: UUID, character_id: UUID) -> Character:
        character = await self._known(character_id)
        if character is None:
            raise not_found("character_id", character_id, "character")
        try:
            novel = await self._novels.get(user_id, character.novel_id)
        except NotFound:
            raise not_found("character_id", character_id, "character") from None
        if novel.owner_id != user_id:
            raise not_owner("character_id", "character")
        return character

    async def _known(self, character_id: UUID) -> Character | None:
        return await self._characters.get(character_id) or await self._search.character(character_id, self._seconds)


def _checked(character_id: UUID, change: CharacterChange) -> CharacterChange:
    """The change with tidy texts.

    Raises:
        InvalidArgument: with every field that breaks the contract.
    """
    check = Violations()
    name = None if change.name is None else plain_text.line(change.name)
    aliases = None if change.aliases is None else list(dict.fromkeys(map(plain_text.line, change.aliases)))
    description = None if change.description is None else plain_text.text(change.description).strip()
    if name is not None:
        check.text("name", name, 1, NAME)
    if aliases is not None and len(aliases) > MAX_ALIASES:
        check.add("aliases", f"has {len(aliases)} names; give at most {MAX_ALIASES}")
    for alias in aliases or ():
        check.text("aliases", alias, 1, NAME)
    if description is not None:
        check.text("description", description, 0, DESCRIPTION)
    if change.merged_into_id:
        check.uuid("merged_into_id", change.merged_into_id)
        if change.merged_into_id == str(character_id):
            check.add("merged_into_id", "is the character itself; give another one, or leave it empty")
    if unknown := sorted(set(change.reset) - _RESETS):
        check.add("reset", f"names {unknown[0][:40]!r}; give name, aliases or description")
    for field in sorted(_RESETS & set(change.reset)):
        if getattr(change, field) is not None:
            check.add("reset", f"names {field}, which is given as well; do one of the two")
    check.raise_if_any()
    return replace(change, name=name, aliases=aliases, description=description)


def _changed(
    made: Mapping[UUID, CharacterEdit], character_id: UUID, novel_id: UUID, change: CharacterChange, into: UUID | None
) -> CharacterEdit:
    """The edit after a change, if what else is changed in the novel allows it."""
    if into is not None:
        if into in made and made[into].merged_into is not None:
            raise _refused("names a character that is joined with another one itself; give that one")
        if any(edit.merged_into == character_id for edit in made.values()):
            raise _refused("cannot be given: others are joined with this character; join them with the other one first")
    edit = made.get(character_id, CharacterEdit(character_id, novel_id))
    return replace(
        edit,
        name=None if "name" in change.reset else _or(change.name, edit.name),
        aliases=None if "aliases" in change.reset else _or(change.aliases, edit.aliases),
        description=None if "description" in change.reset else _or(change.description, edit.description),
        hidden=edit.hidden if change.hidden is None else change.hidden,
        merged_into=edit.merged_into if change.merged_into_id is None else into,
    )


def _or(given: T | None, before: T | None) -> T | None:
    return before if given is None else given


def _refused(text: str) -> InvalidArgument:
    return InvalidArgument(f"merged_into_id {text}", reason="INVALID_FIELD", fields={"merged_into_id": text})
