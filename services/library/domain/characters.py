"""Whom a conversation is with: asked of search, and while that is away, found among the characters that are kept."""

from dataclasses import replace
from uuid import UUID

from prometheus_client import Counter

from mesh.errors import DeadlineExceeded, InvalidArgument, MeshError, ResourceExhausted, Unavailable
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import REGISTRY
from services.library.domain.errors import not_found
from services.library.domain.reads import Reads
from services.library.models import Character
from services.library.ports import CharacterStore, EditStore, Search

log = get_logger(__name__)

_AWAY = (Unavailable, DeadlineExceeded, ResourceExhausted)  # an open circuit is Unavailable as well
_USED = Counter(
    "gaji_kept_characters_used",
    "Conversations begun with a kept character, since search did not answer.",
    registry=REGISTRY,
)


class Characters:
    """Finds characters.

    Args:
        search: who knows them.
        kept: those that are kept here.
        edits: what their novels' owners have changed about them.
        reads: who sees a novel.
        seconds: how long search is waited for.
    """

    def __init__(self, search: Search, kept: CharacterStore, edits: EditStore, reads: Reads, seconds: float) -> None:
        self._search = search
        self._kept = kept
        self._edits = edits
        self._reads = reads
        self._seconds = seconds

    async def of_novel(self, user_id: UUID, novel_id: UUID, character_id: UUID) -> Character:
        """A character of a novel that the user sees.

        Raises:
            InvalidArgument: it is of another novel.
            NotFound: there is no such character in any novel that the user sees.
            Unavailable, DeadlineExceeded, ResourceExhausted: search does not answer, and what is kept does not tell.
        """
        try:
            found = await self._search.character(character_id, self._seconds)
        except _AWAY as error:
            found = await self._without_search(user_id, novel_id, character_id, error)
        if found is None:
            raise not_found("character_id", character_id, "character")
        if found.novel_id != novel_id:
            text = "is not a character of the scenario's novel"
            raise InvalidArgument(f"character_id {text}", reason="INVALID_FIELD", fields={"character_id": text})
        edit = await self._edits.get(character_id)  # search may not have been told yet, what is kept never is
        return edit.applied(found) if edit is not None else found

    async def named_within(self, character: Character, until_chapter: int) -> Character:
        """A character under the name that the chapters up to a limit give them: a later one may tell who they are.

        Who first appears later, or is looked for while search is away, has the name that the caller knows them by.
        """
        try:
            known = await self._search.character(character.character_id, self._seconds, until_chapter)
        except _AWAY as error:
            log.info("a character is not looked for within a limit", extra={"reason": error.reason})
            return character
        return character if known is None else replace(character, name=known.name)

    async def _without_search(
        self, user_id: UUID, novel_id: UUID, character_id: UUID, error: MeshError
    ) -> Character | None:
        """The kept character; None: search would know none either.

        Raises:
            MeshError: the given one, where not all of the novel's characters are kept.
        """
        found = await self._kept.get(character_id)
        if found is None:
            novel = await self._reads.novel(novel_id)
            ready = novel is not None and novel.searchable
            if novel is None or not ready or await self._kept.count(novel_id) < novel.characters:
                raise error
            return None
        if found.novel_id != novel_id:  # it may be of a novel that the user must not hear of
            novel = await self._reads.novel(found.novel_id)
            if novel is None or not novel.visible_to(user_id):
                return None
        else:
            _USED.inc()
            log.info("a conversation begins without search", extra={"reason": error.reason})
        return found
