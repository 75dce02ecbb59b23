"""Indexes in memory: loaded once, replaced with their novel, bounded."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mesh.errors import Aborted, Unavailable
from services.search.domain.indexes import Indexes
from services.search.models import Novel, Passage
from services.search.ports import Contents, Reading

NOVEL = Novel("a-novel", "an-owner", public=True, generation=1, language="en", embedder="minilm", passages=3)


class Shelf:
    """A store that counts what is asked of it, and answers when it is let to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.passages = 3

    async def contents(self, novel: Novel) -> Contents:
        self.asked.append((novel.id, novel.generation))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        passages = [Passage(f"{novel.generation}-{at}", "some text", 1, "", at) for at in range(self.passages)]
        return Contents(passages, Reading(np.eye(self.passages, dtype=np.float32)))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def indexes(shelf: Shelf) -> AsyncIterator[Indexes]:
    made = Indexes(_store(shelf), max_bytes=12_000)  # two of these novels
    yield made
    await made.close()


def _store(shelf: Shelf) -> Any:
    return shelf


async def test_a_rush_loads_once(indexes: Indexes, shelf: Shelf) -> None:
    shelf.go.clear()
    rush = [asyncio.create_task(indexes.get(NOVEL)) for _ in range(1_000)]
    await asyncio.sleep(0)
    rush[0].cancel()  # who leaves does not stop the loading
    shelf.go.set()
    found = await asyncio.gather(*rush[1:])
    assert len({id(index) for index in found}) == 1
    assert await indexes.get(NOVEL) is found[0]
    assert shelf.asked == [("a-novel", 1)]


async def test_a_new_generation_takes_the_place_of_the_old(indexes: Indexes, shelf: Shelf) -> None:
    old = await indexes.get(NOVEL)
    new = await indexes.get(replace(NOVEL, generation=2))
    assert new.passages[0].id == "2-0"
    assert await indexes.get(replace(NOVEL, generation=2)) is new
    assert await indexes.get(NOVEL) is not old  # a search that began before: loaded, and not kept
    assert await indexes.get(replace(NOVEL, generation=2)) is new
    assert shelf.asked == [("a-novel", 1), ("a-novel", 2), ("a-novel", 1)]


async def test_the_least_used_goes_first(indexes: Indexes, shelf: Shelf) -> None:
    novels = [replace(NOVEL, id=name) for name in "abc"]
    await indexes.get(novels[0])
    await indexes.get(novels[1])
    await indexes.get(novels[0])
    await indexes.get(novels[2])
    await indexes.get(novels[0])
    await indexes.get(novels[1])
    assert [name for name, _ in shelf.asked] == ["a", "b", "c", "b"]


async def test_forgotten(indexes: Indexes, shelf: Shelf) -> None:
    await indexes.get(NOVEL)
    indexes.forget(NOVEL.id)
    await indexes.get(NOVEL)
    assert len(shelf.asked) == 2


async def test_half_a_novel_is_never_searched(indexes: Indexes, shelf: Shelf) -> None:
    shelf.passages = 2
    with pytest.raises(Aborted) as caught:
        await indexes.get(NOVEL)
    assert caught.value.reason == "NOVEL_REPLACED"
    shelf.passages = 3
    assert len(await indexes.get(NOVEL)) == 3


async def test_a_failure_is_not_remembered(indexes: Indexes, shelf: Shelf) -> None:
    shelf.error = Unavailable("no", reason="STORE_UNAVAILABLE")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await indexes.get(NOVEL)
    shelf.error = None
    assert len(await indexes.get(NOVEL)) == 3
