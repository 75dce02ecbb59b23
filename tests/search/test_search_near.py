"""Answers of the process itself, and searches that many ask for at once."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb

from services.cache.__main__ import serving as serving_cache
from services.cache.config import CacheSettings
from services.search.config import SearchSettings
from services.search.domain.searching import Searching
from tests.fixtures.cache_process import read_through
from tests.search.conftest import Stub, as_user, ingested, opened
from tests.search.stories import STORY

Settings = Callable[..., SearchSettings]


@pytest.fixture
def open_cached(search_settings: Settings, redis_url: str, jwt_keys: Any) -> Callable[[int], Any]:
    @asynccontextmanager
    async def opened_with(replicas: int) -> AsyncIterator[list[Stub]]:
        settings = CacheSettings(
            listen="127.0.0.1:0",
            admin_listen="127.0.0.1:0",
            redis_url=redis_url,
            jwt_public_key_file=jwt_keys.public,
            drain_seconds=0.5,
        )
        async with AsyncExitStack() as stack:
            cache = await stack.enter_async_context(serving_cache(settings))
            room = search_settings(cache_target=cache.address, cache_patience=10, limit=False)
            yield [await stack.enter_async_context(opened(room)) for _ in range(replicas)]

    return opened_with


async def near(stub: Stub, request: Any, metadata: Any = ()) -> Any:
    """The answer, once it comes from the process itself."""
    while True:
        before = read_through("passages", "near")
        answer = await stub.SearchPassages(request, metadata=metadata)
        if read_through("passages", "near") > before:
            return answer
        await asyncio.sleep(0.01)


async def test_a_private_answer_that_is_near_is_not_given_to_others(open_cached: Any, bearer: Any) -> None:
    async with open_cached(1) as (stub,):
        novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
        await ingested(stub, novel_id, owner_id=owner, public=False)
        request = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp", until_chapter=1)
        mine = as_user(bearer(owner))
        answer = await near(stub, request, mine)
        assert {passage.chapter for passage in answer.passages} <= {0, 1}
        for metadata in (as_user(bearer()), ()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.SearchPassages(request, metadata=metadata)
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        further = pb.SearchPassagesRequest(novel_id=novel_id, query="the lamp", until_chapter=2)
        assert {passage.chapter for passage in (await near(stub, further, mine)).passages} <= {0, 1, 2}
        assert await near(stub, request, mine) == answer


async def test_a_character_that_was_not_there_is_found_once_it_is(open_cached: Any) -> None:
    async with open_cached(1) as (stub,):
        novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
        await ingested(stub, novel_id, owner_id=owner)
        people = await stub.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
        request = pb.GetCharacterRequest(character_id=people.characters[0].character_id)
        await stub.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
        before = read_through("character", "absent")
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetCharacter(request)
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert read_through("character", "absent") - before == 2
        await ingested(stub, novel_id, STORY, owner_id=owner)  # its characters have the same ids again
        assert (await stub.GetCharacter(request)).character.character_id == request.character_id


async def test_a_thousand_equal_searches_are_one_query_of_the_index(
    open_cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = 0
    computed = Searching.search

    async def counted(self: Searching, *arguments: Any, **more: Any) -> Any:
        nonlocal queries
        queries += 1
        return await computed(self, *arguments, **more)

    monkeypatch.setattr(Searching, "search", counted)
    async with open_cached(2) as stubs:
        novel_id = str(uuid.uuid4())
        await ingested(stubs[0], novel_id)
        request = pb.SearchPassagesRequest(novel_id=novel_id, query="who kept the lamp?")
        answers = await asyncio.gather(*(stubs[n % 2].SearchPassages(request, timeout=60) for n in range(1000)))
    assert queries == 1
    assert answers[0].passages
    assert all(answer == answers[0] for answer in answers)
