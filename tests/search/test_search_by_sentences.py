"""Searches that look at a novel's second reading, over real gRPC with the real models, Chroma and cache."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as pb

from mesh.telemetry.metrics import REGISTRY
from services.cache.__main__ import serving as serving_cache
from services.cache.config import CacheSettings
from services.search.config import SearchSettings
from services.search.domain.second_readings import SecondReadings
from services.search.models import Novel
from services.search.providers import PROVIDERS
from services.search.providers.use import USE
from services.search.stores.chroma import ChromaStore, open_chroma
from tests.fixtures.cache_process import read_through
from tests.search.conftest import Stub, ingested, opened
from tests.search.stories import STORY

Settings = Callable[..., SearchSettings]
SECONDS = 60.0
RING = "She found a ring in the seaweed"


@pytest.fixture(scope="module", autouse=True)
def one_model() -> Iterator[None]:
    """The model is loaded once for all rooms of these tests."""
    models: list[USE] = []

    def loaded(settings: SearchSettings) -> USE:
        if not models:
            models.append(USE(settings))
        return models[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROVIDERS, "use", loaded)
        yield


async def found(stub: Stub, novel_id: str, query: str = RING, **fields: Any) -> list[pb.Passage]:
    request = pb.SearchPassagesRequest(novel_id=novel_id, query=query, **fields)
    return list((await stub.SearchPassages(request)).passages)


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("gaji_search_sentence_searches_total", {"result": result}) or 0.0


async def until_by_sentences(stub: Stub, novel_id: str) -> None:
    """Searches until a search is by sentences."""
    before = counted("found")
    async with asyncio.timeout(SECONDS):
        while counted("found") == before:
            await found(stub, novel_id, f"{RING} {uuid.uuid4()}")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def the_story(settings: SearchSettings) -> AsyncIterator[tuple[Stub, str]]:
    """The story, ingested."""
    async with opened(settings) as stub:
        novel_id = str(uuid.uuid4())
        await ingested(stub, novel_id)
        yield stub, novel_id


async def test_a_novel_is_read_again_after_its_ingestion(
    search_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = search_settings(sentences="all")
    async with the_story(settings) as (stub, novel_id):
        await until_by_sentences(stub, novel_id)
        with_them = await found(stub, novel_id, top_k=50)
        assert "picked it out of the weed" in " ".join(with_them[0].content.split())
        assert all(0 <= one.distance <= 2 and 0 < one.score < 1 for one in with_them)
        # what lies beyond a limit has no part in it
        assert {one.chapter for one in await found(stub, novel_id, until_chapter=2)} == {1, 2}
        assert not await found(stub, novel_id, until_chapter=0)
    async with opened(settings) as stub:  # it is stored: nobody reads it anew
        builds = REGISTRY.get_sample_value("gaji_search_foreign_build_seconds_count")
        await until_by_sentences(stub, novel_id)
        assert await found(stub, novel_id, top_k=50) == with_them
        assert REGISTRY.get_sample_value("gaji_search_foreign_build_seconds_count") == builds
    lost = 0

    async def is_lost(self: ChromaStore, novel: Novel) -> None:
        nonlocal lost
        lost += 1

    monkeypatch.setattr(ChromaStore, "sentences", is_lost)
    async with opened(settings) as stub, asyncio.timeout(SECONDS):
        without = await found(stub, novel_id, top_k=50)
        while not lost:  # it was there when the search began, and costs no answer
            assert await found(stub, novel_id, top_k=50) == without
    assert {one.id for one in without} == {one.id for one in with_them}
    assert [one.score for one in without] != [one.score for one in with_them]


async def test_it_goes_with_its_novel(search_settings: Settings) -> None:
    settings = search_settings(sentences="all")
    async with the_story(settings) as (stub, novel_id):
        await until_by_sentences(stub, novel_id)
        async with open_chroma(settings) as store:
            old = await store.novel(novel_id)
            assert old is not None
            kept = await store.sentences(old)
            assert kept is not None
            assert len(kept.counts) == old.passages
            assert kept.counts.sum() == len(kept.lengths) == len(kept.rows)
            await ingested(stub, novel_id, STORY.replace("goats", "sheep"), owner_id=old.owner_id)
            await until_by_sentences(stub, novel_id)
            assert await store.sentences(old) is None
        async with open_chroma(settings) as store:  # the other one remembers the record
            new = await store.novel(novel_id)
            assert new is not None
            assert await store.has_sentences(new)
            await stub.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
            assert await store.sentences(new) is None


async def test_answers_with_and_without_it_are_kept_apart(
    search_settings: Settings, redis_url: str, jwt_keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = False

    async def is_there(self: SecondReadings, novel: Novel) -> bool:
        return there

    cache = CacheSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        redis_url=redis_url,
        jwt_public_key_file=jwt_keys.public,
        drain_seconds=0.5,
    )
    async with (
        serving_cache(cache) as server,
        the_story(
            search_settings(sentences="all", cache_target=server.address, cache_patience=10, near_cache_bytes=0)
        ) as (stub, novel_id),
    ):
        await until_by_sentences(stub, novel_id)
        monkeypatch.setattr(SecondReadings, "there", is_there)
        answers = []
        for there in (False, True, False, True):  # noqa: B007 - `is_there` reads it
            stored = read_through("passages", "stored")
            answers.append(await found(stub, novel_id))
            assert read_through("passages", "stored") - stored == (len(answers) <= 2)
        assert answers[:2] == answers[2:]
        assert [one.score for one in answers[0]] != [one.score for one in answers[1]]
