"""Reading: who may see which novel, its passages and its characters."""

import asyncio
import hashlib
from collections.abc import Sequence

from mesh.errors import Aborted, FailedPrecondition, NotFound, PermissionDenied
from services.search.domain.calm import Calm
from services.search.domain.indexes import Indexes
from services.search.domain.novel_index import NovelIndex
from services.search.domain.second_reading import Asked
from services.search.domain.second_readings import SecondReadings, UnreadError
from services.search.models import Character, Edits, Found, Novel, Passage
from services.search.ports import Embedder, NovelStore

NOT_READY_SECONDS = 5.0
"""When to ask again for a novel that is being ingested for the first time."""
_ATTEMPTS = 3


class Searching:
    """Answers about ingested novels.

    Args:
        store: where they are.
        embedder: reads queries, each by the provider of its novel.
        indexes: what novels are searched in.
        second: the novels' second readings; None: there are none.
        calm: is told of searches.
    """

    def __init__(
        self,
        store: NovelStore,
        embedder: Embedder,
        indexes: Indexes,
        second: SecondReadings | None = None,
        calm: Calm | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._indexes = indexes
        self._second = second
        self._calm = calm or Calm()

    async def novel(self, novel_id: str, user_id: str | None) -> Novel:
        """A novel that can be searched.

        Args:
            novel_id: its id.
            user_id: who asks; None: an anonymous caller.

        Raises:
            NotFound: reason NOVEL_NOT_FOUND: there is none, or none that the caller may see.
            FailedPrecondition: reason NOVEL_NOT_READY: it is being ingested for the first time.
        """
        novel = await self._store.novel(novel_id)
        if novel is None or not novel.visible_to(user_id):
            raise novel_not_found(novel_id)
        if not novel.ready:
            raise FailedPrecondition(
                "the novel is still being read in; try again shortly",
                reason="NOVEL_NOT_READY",
                fields={"novel_id": "is still being read in; try again shortly"},
                retry_after=NOT_READY_SECONDS,
            )
        return novel

    async def check_owner(self, novel_id: str, user_id: str | None) -> None:
        """Whether the caller may change a novel, which need not be there.

        Raises:
            PermissionDenied: reason NOT_THE_OWNER: it is somebody else's, and public.
            NotFound: reason NOVEL_NOT_FOUND: it is somebody else's, and private.
        """
        novel = await self._store.novel(novel_id)
        if novel is not None and user_id is not None:
            if not novel.visible_to(user_id):
                raise novel_not_found(novel_id)
            check_owner(novel.owner_id, user_id)

    async def by_sentences(self, novel: Novel, query: str) -> bool:
        """Whether a query is to look at the novel's second reading, and can."""
        second = self._second
        return second is not None and second.concern(novel, query) != "none" and await second.there(novel)

    async def search(
        self, novel: Novel, query: str, top_k: int, until_chapter: int | None, *, by_sentences: bool | None = None
    ) -> list[Found]:
        """The passages of a novel that fit a query best, best first, none beyond the chapter limit.

        Args:
            novel: the novel.
            query: what is looked for.
            top_k: how many at most.
            until_chapter: the last chapter that may be seen; None: no limit.
            by_sentences: what the method of that name has said; None: whatever can be looked at now.

        Raises:
            UnreadError: it had said so, and the second reading is not to be had any more.
            NotFound: the novel was removed meanwhile.
            Aborted: it is replaced again and again.
            Unavailable: the embedding provider or the store does not answer.
        """
        with self._calm.searching():
            for _ in range(_ATTEMPTS):
                try:
                    return await self._searched(novel, query, top_k, until_chapter, by_sentences)
                except Aborted as error:
                    replaced = error
                # Its generation was replaced between reading its record and this.
                current = await self._store.novel(novel.id)
                if current is None or not current.ready:
                    raise novel_not_found(novel.id)
                novel, by_sentences = current, None
            raise replaced

    async def _searched(
        self, novel: Novel, query: str, top_k: int, until_chapter: int | None, by_sentences: bool | None
    ) -> list[Found]:
        sure = by_sentences is not None
        if by_sentences is None:
            by_sentences = await self.by_sentences(novel, query)
        reading: asyncio.Task[Asked | None] | None = None
        try:
            async with asyncio.TaskGroup() as all_at_once:
                loading = all_at_once.create_task(self._indexes.get(novel))
                asking = all_at_once.create_task(self._embedder.ask(novel.embedder, query))
                if by_sentences:
                    reading = all_at_once.create_task(self._asked(novel, query, until_chapter, loading, sure=sure))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        index, question, second = loading.result(), asking.result(), reading.result() if reading is not None else None
        if second is None and self._second is not None:
            second = await self._second.missed(novel, index.passages, query)
        return await self._indexes.run(lambda: index.search(query, question, top_k, until_chapter, second))

    async def _asked(
        self, novel: Novel, query: str, until_chapter: int | None, loading: asyncio.Task[NovelIndex], *, sure: bool
    ) -> Asked | None:
        """A query of the second reading, its part of the work done while the first model reads the query."""
        if self._second is None:
            return None
        try:
            asked = await self._second.asked(novel, query)
        except UnreadError:
            if sure:
                raise
            return None
        if first := (await asyncio.shield(loading)).visible(until_chapter):
            await self._indexes.run(lambda: asked.views(first))
        return asked

    def key(
        self, novel: Novel, query: str, top_k: int, until_chapter: int | None, *, by_sentences: bool = False
    ) -> str:
        """The cache key of a search. What is found without a second reading is not found again with it."""
        return search_key(novel, query, top_k, until_chapter, by_sentences=by_sentences)

    async def passages(self, novel: Novel, ids: Sequence[str], until_chapter: int | None) -> list[Passage]:
        """Passages by id in the order asked for; unknown ones and those beyond the chapter limit are left out."""
        found = await self._store.passages(novel, list(dict.fromkeys(ids)), until_chapter)
        return [found[passage_id] for passage_id in ids if passage_id in found]

    async def characters(self, novel: Novel, start: int, count: int) -> tuple[list[Character], bool]:
        """Characters from a rank on, and whether there are more."""
        found = await self._store.characters(novel, start, count)
        return found, start + count < novel.characters

    async def character(self, character_id: str) -> tuple[Novel, Character]:
        """A character and its novel, whoever may see it.

        Raises:
            NotFound: reason CHARACTER_NOT_FOUND.
        """
        found = await self._store.character(character_id)
        if found is None:
            raise character_not_found(character_id)
        return found

    async def edits(self, novel_id: str) -> Edits:
        """What a novel's owner has changed about its characters."""
        return await self._store.edits(novel_id)

    async def edit(self, novel_id: str, edits: Edits) -> None:
        """Takes over what a novel's owner has changed, unless something newer was taken over before.

        Raises:
            NotFound: reason NOVEL_NOT_FOUND.
        """
        if await self._store.novel(novel_id) is None:
            raise novel_not_found(novel_id)
        await self._store.put_edits(novel_id, edits)


def check_owner(owner_id: str, user_id: str | None) -> None:
    """Whether the caller may act for an owner; services of the mesh that act for nobody (None) may.

    Raises:
        PermissionDenied: reason NOT_THE_OWNER.
    """
    if user_id not in {None, owner_id}:
        raise PermissionDenied("only its owner may change a novel", reason="NOT_THE_OWNER")


def novel_not_found(novel_id: str) -> NotFound:
    """There is no such novel, or none that the caller may see."""
    return NotFound(
        f"there is no novel {novel_id} that you can see",
        reason="NOVEL_NOT_FOUND",
        fields={"novel_id": "names no novel that you can see"},
    )


def character_not_found(character_id: str) -> NotFound:
    """There is no such character, or none that the caller may see."""
    return NotFound(
        f"there is no character {character_id} that you can see",
        reason="CHARACTER_NOT_FOUND",
        fields={"character_id": "names no character that you can see"},
    )


def search_key(novel: Novel, query: str, top_k: int, until_chapter: int | None, *, by_sentences: bool = False) -> str:
    """The cache key of a search: its hash covers all that changes the answer, the spoiler limit above all."""
    limit = "" if until_chapter is None else str(until_chapter)
    parts = (novel.embedder, str(novel.generation), limit, query, *(["sentences"] if by_sentences else []))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"passages:{novel.id}:{digest[:32]}:{top_k}"


def answer_key(novel: Novel, name: str, *parts: object) -> str:
    """The cache key of another answer about a novel, by all that changes it; it goes when the novel changes."""
    digest = hashlib.sha256("\0".join(map(str, (novel.generation, name, *parts))).encode()).hexdigest()
    return f"passages:{novel.id}:{name}-{digest[:32]}:1"
