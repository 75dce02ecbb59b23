"""Answers of searches through the cache, each under a key that says what had a part in it."""

from collections.abc import Callable, Sequence

from mesh.read_through import always
from services.search.advised import AdvisedAnswers
from services.search.clients import Answers
from services.search.domain.searching import Searching
from services.search.domain.second_readings import UnreadError
from services.search.models import Found, Novel

Pack = Callable[[Sequence[Found]], bytes]


class FoundAnswers:
    """Searches, and keeps what they find.

    Args:
        searching: searches.
        answers: keeps.
        advised: asks a language model too; None: nobody is asked.
    """

    def __init__(self, searching: Searching, answers: Answers, advised: AdvisedAnswers | None) -> None:
        self._searching = searching
        self._answers = answers
        self._advised = advised

    async def get(
        self, novel: Novel, query: str, *, top_k: int, until_chapter: int | None, pack: Callable[..., bytes]
    ) -> bytes:
        """The answer of a search, packed.

        Args:
            novel: the novel.
            query: what is looked for.
            top_k: how many passages at most.
            until_chapter: the last chapter that may be seen; None: no limit.
            pack: packs what is found, and with it the name of the model that has put it into order, if one has.

        Raises:
            MeshError: as `Searching.search`.
        """
        by_sentences = await self._searching.by_sentences(novel, query)
        try:
            return await self._answer(novel, query, top_k, until_chapter, pack, by_sentences=by_sentences)
        except UnreadError:  # it was there a moment ago: what is found without it has a key of its own
            return await self._answer(novel, query, top_k, until_chapter, pack, by_sentences=False)

    async def _answer(
        self,
        novel: Novel,
        query: str,
        top_k: int,
        until_chapter: int | None,
        pack: Callable[..., bytes],
        *,
        by_sentences: bool,
    ) -> bytes:
        if self._advised is not None:
            key = self._searching.key(novel, query, top_k, until_chapter, by_sentences=by_sentences)
            answer = await self._advised.get(
                key, novel, query, top_k=top_k, until_chapter=until_chapter, pack=pack, by_sentences=by_sentences
            )
            if answer is not None:
                return answer
        return await self._plain(novel, query, top_k, until_chapter, pack, by_sentences=by_sentences)

    async def _plain(
        self, novel: Novel, query: str, top_k: int, until_chapter: int | None, pack: Pack, *, by_sentences: bool
    ) -> bytes:
        async def compute() -> bytes:
            return pack(await self._searching.search(novel, query, top_k, until_chapter, by_sentences=by_sentences))

        key = self._searching.key(novel, query, top_k, until_chapter, by_sentences=by_sentences)
        return await self._answers.get(key, compute, always)
