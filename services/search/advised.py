"""Answers of searches that a language model has looked at, through the cache, and what it takes to ask one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mesh import deadlines
from mesh.limiter import waits
from mesh.process import ended
from mesh.read_through import always
from services.search.clients import Answers
from services.search.config import SearchSettings
from services.search.domain.advising import RESERVE_SECONDS, Advising, Bounds, UnadvisedError
from services.search.domain.asking import Asking, telling
from services.search.domain.people import People
from services.search.domain.searching import Searching
from services.search.models import Found, Novel
from services.search.providers.language_models import open_model

_SLACK_SECONDS = 1.0
"""What a search may take beside the model's time; longer than that it waits for another caller's answer in vain."""

Pack = Callable[[Sequence[Found], str], bytes]
"""An answer for the cache, of what is found and the name of the model that has put it into order."""


class AdvisedAnswers:
    """Answers with advice, cached apart from those without: what a model in trouble leaves undone is not remembered.

    Args:
        advising: makes them.
        answers: keeps them.
    """

    def __init__(self, advising: Advising, answers: Answers) -> None:
        self._advising = advising
        self._answers = answers
        self._asked: dict[str, _Asked] = {}

    async def get(
        self,
        plain: str,
        novel: Novel,
        query: str,
        *,
        top_k: int,
        until_chapter: int | None,
        pack: Pack,
        by_sentences: bool | None = None,
    ) -> bytes | None:
        """The answer of a search, packed.

        Args:
            plain: the cache key of the same search without advice.
            novel: the novel.
            query: what is looked for.
            top_k: how many passages at most.
            until_chapter: the last chapter that may be seen; None: no limit.
            pack: packs it.
            by_sentences: as for `Searching.search`; the key says so too.

        Returns:
            None: there is no advice.

        Raises:
            MeshError: as `Searching.search`.
            UnreadError: likewise.
        """

        async def compute() -> bytes:
            with telling(asked.event.set):
                found = await self._advising.search(novel, query, top_k, until_chapter, by_sentences=by_sentences)
            return pack(found, self._advising.name)

        key = self._advising.key(plain)
        asked = self._asked.setdefault(key, _Asked())
        asked.callers += 1
        try:
            return await self._in_time(self._answers.get(key, compute, always), asked.event)
        except (UnadvisedError, TimeoutError):
            return None
        finally:
            asked.callers -= 1
            if not asked.callers:
                del self._asked[key]

    async def _in_time(self, answer: Coroutine[Any, Any, bytes], asked: asyncio.Event) -> bytes:
        """What is worth waiting for, be it this caller's own work or another's.

        Once the model is asked, the call takes nothing of this process.
        """
        left = deadlines.remaining()
        longest = self._advising.bounds.seconds + _SLACK_SECONDS
        task, asking = asyncio.create_task(answer), asyncio.create_task(_set(asked))
        try:
            async with asyncio.timeout(longest if left is None else min(longest, left - RESERVE_SECONDS / 2)):
                await asyncio.wait({task, asking}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    waits()
                return await task
        finally:
            await ended(task, asking)


@dataclass(slots=True)
class _Asked:
    """Whether the model is asked for a key, and how many wait for its answer in this process."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    callers: int = 0


async def _set(event: asyncio.Event) -> None:
    await event.wait()


@asynccontextmanager
async def open_asking(settings: SearchSettings) -> AsyncIterator[Asking | None]:
    """The model of the settings within its bounds; None: there is none.

    Raises:
        ValueError: it is not set up; the message says what to do.
    """
    async with open_model(settings) as model:
        yield None if model is None else Asking(model, settings.search_model_calls)


def advised_answers(
    settings: SearchSettings, searching: Searching, asking: Asking | None, answers: Answers
) -> AdvisedAnswers | None:
    """Searches with advice; None: there is no model."""
    return None if asking is None else AdvisedAnswers(Advising(searching, asking, bounds_of(settings)), answers)


def bounds_of(settings: SearchSettings) -> Bounds:
    """What the settings let advice take."""
    return Bounds(
        seconds=settings.search_model_seconds,
        candidates=settings.search_model_candidates,
        context=settings.search_model_context,
        rewrites=settings.search_model_rewrites,
    )


def people_of(settings: SearchSettings, asking: Asking | None) -> People | None:
    """Who looks for a novel's characters with the model's help; None: nobody does."""
    if asking is None or not settings.search_character_seconds:
        return None
    return People(asking, settings.search_character_seconds, settings.search_model_context)
