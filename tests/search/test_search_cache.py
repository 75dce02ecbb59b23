"""Answers through a real cache: given out once computed, never wrong, and never needed."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as cache_pb
from gaji.cache.v1 import cache_service_pb2_grpc as cache_rpc
from gaji.search.v1 import search_service_pb2 as pb

from mesh.client import open_channel
from services.cache.__main__ import serving as serving_cache
from services.cache.config import CacheSettings
from services.search.config import SearchSettings
from tests.search.conftest import Stub, as_user, ingested, opened
from tests.search.stories import STORY


class Cached(NamedTuple):
    """The search room, and the cache that it uses."""

    search: Stub
    cache: Any


@pytest.fixture
async def cached(
    search_settings: Callable[..., SearchSettings], redis_url: str, jwt_keys: Any
) -> AsyncIterator[Cached]:
    settings = CacheSettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        redis_url=redis_url,
        jwt_public_key_file=jwt_keys.public,
        drain_seconds=0.5,
    )
    async with (
        serving_cache(settings) as server,
        open_channel(server.address, settings) as channel,
        # Without values of its own process, so that each answer is the cache's.
        opened(search_settings(cache_target=server.address, cache_patience=10, near_cache_bytes=0)) as stub,
    ):
        await channel.channel_ready()
        yield Cached(stub, cache_rpc.CacheServiceStub(channel))


async def counts(cached: Cached, kind: str) -> tuple[int, int]:
    """Hits and values stored of a kind."""
    stats = await cached.cache.GetStats(cache_pb.GetStatsRequest())
    return next(((row.hits, row.stores) for row in stats.kinds if row.kind == kind), (0, 0))


async def test_the_second_search_is_a_hit(cached: Cached) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(cached.search, novel_id)
    request = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp")
    first = await cached.search.SearchPassages(request)
    assert await counts(cached, "passages") == (0, 1)
    assert await cached.search.SearchPassages(request) == first
    padded = pb.SearchPassagesRequest(novel_id=novel_id, query="  the lamp\n", top_k=10)
    assert await cached.search.SearchPassages(padded) == first
    assert await counts(cached, "passages") == (2, 1)


async def test_every_parameter_has_an_answer_of_its_own(cached: Cached) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(cached.search, novel_id)
    variants: list[dict[str, Any]] = [
        {},
        {"top_k": 3},
        {"until_chapter": 0},
        {"until_chapter": 1},
        {"until_chapter": 2},
        {"query": "the ring"},
    ]
    for _ in range(2):
        for variant in variants:
            given = {"novel_id": novel_id, "query": "the lamp"} | variant
            answer = await cached.search.SearchPassages(pb.SearchPassagesRequest(**given))
            limit = variant.get("until_chapter", 3)
            assert all(passage.chapter <= limit for passage in answer.passages)
            assert bool(answer.passages) == (limit > 0)
    assert await counts(cached, "passages") == (len(variants), len(variants))


async def test_a_private_answer_is_not_given_to_others(cached: Cached, bearer: Any) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(cached.search, novel_id, owner_id=owner, public=False)
    query = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp")
    mine = as_user(bearer(owner))
    assert (await cached.search.SearchPassages(query, metadata=mine)).passages
    people = await cached.search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id), metadata=mine)
    character = pb.GetCharacterRequest(character_id=people.characters[0].character_id)
    for _ in range(2):
        assert await cached.search.GetCharacter(character, metadata=mine)
    assert await counts(cached, "character") == (1, 1)
    for metadata in (as_user(bearer()), ()):
        for call, request in ((cached.search.SearchPassages, query), (cached.search.GetCharacter, character)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request, metadata=metadata)
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_new_ingestion_and_a_deletion_end_old_answers(cached: Cached) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(cached.search, novel_id, owner_id=owner)
    query = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp", top_k=50)
    people = await cached.search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
    request = pb.GetCharacterRequest(character_id=people.characters[0].character_id)
    before = await cached.search.SearchPassages(query), await cached.search.GetCharacter(request)
    longer = STORY + "\n\nMarian kept the lamp, and Marian was never afraid again, said Marian."
    await ingested(cached.search, novel_id, longer, owner_id=owner)
    after = await cached.search.SearchPassages(query), await cached.search.GetCharacter(request)
    assert after[0] != before[0]
    assert after[1].character.mentions == before[1].character.mentions + 3
    await cached.search.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
    for call in (cached.search.SearchPassages(query), cached.search.GetCharacter(request)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_no_cache_is_no_error(search: Stub, story_id: str) -> None:
    request = pb.SearchPassagesRequest(novel_id=story_id, query="the lamp")
    assert await search.SearchPassages(request) == await search.SearchPassages(request)
