"""Ingestion over gRPC: progress, replacing, cancelling, deleting, racing, and surviving a restart."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb
from gaji.search.v1 import search_service_pb2_grpc as rpc

from mesh.errors import MeshError, from_rpc_error
from services.search.config import SearchSettings
from services.search.stores.chroma import open_chroma
from tests.search.conftest import Stub, as_user, ingested, opened, request
from tests.search.stories import STORY, long_story

Settings = Callable[..., SearchSettings]


async def error_of(call: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    return from_rpc_error(caught.value)


async def contents(stub: Stub, novel_id: str) -> set[str]:
    answer = await stub.SearchPassages(pb.SearchPassagesRequest(novel_id=novel_id, query="the sea", top_k=50))
    return {passage.content for passage in answer.passages}


async def contents_or_reason(stub: Stub, novel_id: str) -> str:
    try:
        return "some" if len(await contents(stub, novel_id)) > 1 else "next to none"
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason


async def search_error(stub: Stub, novel_id: str) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await contents(stub, novel_id)
    return from_rpc_error(caught.value)


@asynccontextmanager
async def embedding(stub: Stub, novel_id: str, text: str | None = None) -> AsyncIterator[Any]:
    """An ingestion that has come to embedding."""
    call = stub.IngestNovel(request(novel_id, text or long_story(300)))
    try:
        async for event in call:
            if event.progress.stage == "embedding":
                break
        yield call
    finally:
        call.cancel()


async def test_progress(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    events = await ingested(search, novel_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.WhichOneof("event") for event in events] == ["progress"] * (len(events) - 1) + ["complete"]
    percents = [event.progress.progress for event in events[:-1]]
    assert percents == sorted(percents)
    assert percents[0] >= 0
    assert percents[-1] <= 100
    stages = list(dict.fromkeys(event.progress.stage for event in events[:-1]))
    assert stages == ["chapters", "passages", "characters", "embedding", "storing"]
    assert all(event.progress.message for event in events[:-1])
    complete = events[-1].complete
    assert (complete.novel_id, complete.language, complete.chapters) == (novel_id, "en", 3)
    assert complete.words == len(STORY.split())
    assert complete.passages == len(await contents(search, novel_id))
    assert complete.characters == 3
    listed = await search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
    assert list(complete.found_characters) == list(listed.characters)


async def test_a_later_novel_knows_how_long_it_takes(search: Stub) -> None:
    for _ in range(2):
        events = await ingested(search, str(uuid.uuid4()))
    progress = [event.progress for event in events if event.WhichOneof("event") == "progress"]
    told = {one.stage: one.HasField("remaining_seconds") for one in progress}
    assert told == {"chapters": False, "passages": False, "characters": False, "embedding": True, "storing": True}
    assert progress[-1].remaining_seconds == 0


async def test_a_second_ingestion_replaces_the_first(search: Stub) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner)
    before = await contents(search, novel_id)
    await ingested(search, novel_id, owner_id=owner)
    assert await contents(search, novel_id) == before
    await ingested(search, novel_id, "Chapter 1\n\nQuite another text, said Olga.", owner_id=owner)
    assert await contents(search, novel_id) == {"Quite another text, said Olga."}
    assert not (await search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))).characters


async def test_the_same_text_has_the_same_ids(search: Stub) -> None:
    novel_id = str(uuid.uuid4())

    async def ids() -> tuple[list[str], list[str]]:
        await ingested(search, novel_id)
        found = await search.SearchPassages(pb.SearchPassagesRequest(novel_id=novel_id, query="lamp", top_k=50))
        people = await search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
        return [passage.id for passage in found.passages], [one.character_id for one in people.characters]

    assert await ids() == await ids()


async def test_a_novel_in_its_first_ingestion_is_not_ready(search: Stub, bearer: Any) -> None:
    novel_id = str(uuid.uuid4())
    async with embedding(search, novel_id):
        error = await search_error(search, novel_id)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOVEL_NOT_READY")
        assert error.retryable
        assert list(error.fields) == ["novel_id"]
    private = pb.IngestNovelRequest(
        novel_id=str(uuid.uuid4()), owner_id=str(uuid.uuid4()), text=long_story(300), title="t"
    )
    call = search.IngestNovel(private)
    async for event in call:
        if event.progress.stage == "embedding":
            break
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        query = pb.SearchPassagesRequest(novel_id=private.novel_id, query="sheep")
        await search.SearchPassages(query, metadata=as_user(bearer()))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    call.cancel()


async def test_leaving_undoes_a_first_ingestion(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    async with embedding(search, novel_id):
        pass
    for _ in range(200):
        error = await search_error(search, novel_id)
        if error.code == grpc.StatusCode.NOT_FOUND:
            break
        await asyncio.sleep(0.05)
    assert error.code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("stop", ["chapters", "passages", "characters", "embedding"])
async def test_leaving_keeps_the_old_index(search_settings: Settings, stop: str) -> None:
    settings = search_settings()
    novel_id = str(uuid.uuid4())
    async with opened(settings) as stub:
        await ingested(stub, novel_id)
        before = await contents(stub, novel_id)
        call = stub.IngestNovel(request(novel_id, long_story(100)))
        async for event in call:
            if event.progress.stage == stop:
                break
        call.cancel()
        assert await contents(stub, novel_id) == before
    async with open_chroma(settings) as store:
        novel = await store.novel(novel_id)
        assert novel is not None
        assert await store.count(novel_id) == novel.passages + novel.characters


async def test_the_second_of_two_is_aborted(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    async with embedding(search, novel_id):
        error = await error_of(search.IngestNovel(request(novel_id)))
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "INGESTION_RUNNING")
        assert error.retryable


async def test_two_novels_are_ingested_side_by_side(search: Stub) -> None:
    ids = [str(uuid.uuid4()) for _ in range(2)]
    await asyncio.gather(*(ingested(search, novel_id) for novel_id in ids))
    assert await contents(search, ids[0]) == await contents(search, ids[1])


async def test_a_search_does_not_wait_for_an_ingestion(search: Stub, story_id: str) -> None:
    async with embedding(search, str(uuid.uuid4()), long_story(600)) as call:
        for number in range(5):
            query = pb.SearchPassagesRequest(novel_id=story_id, query=f"lamp {number}")
            assert (await search.SearchPassages(query)).passages
        assert (await anext(aiter(call))).progress.stage == "embedding"


async def test_deleting(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(search, novel_id)
    people = await search.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
    for _ in range(2):
        await search.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
    assert (await search_error(search, novel_id)).code == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await search.GetCharacter(pb.GetCharacterRequest(character_id=people.characters[0].character_id))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_deleting_aborts_an_ingestion(search: Stub) -> None:
    novel_id = str(uuid.uuid4())
    async with embedding(search, novel_id) as call:
        await search.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
        error = await error_of(call)
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "NOVEL_DELETED")
    assert (await search_error(search, novel_id)).code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "\ufeff"}, "text"),
        ({"text": "Chapter 1\0"}, "text"),
        ({"text": "가" * (3 * 1024 * 1024)}, "text"),
        ({"novel_id": "x"}, "novel_id"),
        ({"owner_id": ""}, "owner_id"),
        ({"language": "English, mostly"}, "language"),
    ],
)
async def test_wrong_requests(search: Stub, fields: dict[str, str], wrong: str) -> None:
    given: dict[str, Any] = {
        "novel_id": str(uuid.uuid4()),
        "owner_id": str(uuid.uuid4()),
        "text": "Some text.",
    } | fields
    error = await error_of(search.IngestNovel(pb.IngestNovelRequest(**given)))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert list(error.fields) == [wrong]
    if wrong != "novel_id":
        assert (await search_error(search, given["novel_id"])).code == grpc.StatusCode.NOT_FOUND


async def test_nobody_ingests_for_others(search: Stub, bearer: Any) -> None:
    call = search.IngestNovel(request(str(uuid.uuid4())), metadata=as_user(bearer()))
    assert (await error_of(call)).code == grpc.StatusCode.PERMISSION_DENIED


async def test_a_failed_provider_leaves_the_old_index(search_settings: Settings) -> None:
    settings = search_settings()
    novel_id = str(uuid.uuid4())
    async with opened(settings) as stub:
        await ingested(stub, novel_id)
        before = await contents(stub, novel_id)
    async with opened(settings.model_copy(update={"embedder": "gemini"})) as stub:
        error = await error_of(stub.IngestNovel(request(novel_id)))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDER_NEEDS_KEY")
        assert "GEMINI_API_KEY" in error.message
        assert await contents(stub, novel_id) == before  # by the model that it was ingested with


@asynccontextmanager
async def process(folder: Path, *, killed: bool = False) -> AsyncIterator[Stub]:
    """The room as a process of its own, its port found in its log; asked to stop in the end, or killed."""
    settings = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0", "CHROMA_PATH": str(folder)}
    settings["CACHE_TARGET"] = "127.0.0.1:1"
    environment = os.environ | {f"GAJI_{name}": value for name, value in settings.items()}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.search", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert running.stderr is not None
    try:
        line = b""
        while b'"address"' not in line:
            line = await asyncio.wait_for(running.stderr.readline(), 60)
            assert line, "the process has ended"
        address = line.split(b'"address":"')[1].split(b'"')[0].decode()
        async with grpc.aio.insecure_channel(address) as channel:
            yield rpc.SearchServiceStub(channel)
    finally:
        running.kill() if killed else running.terminate()
        await running.stderr.read()
        assert await asyncio.wait_for(running.wait(), 30) == (-signal.SIGKILL if killed else 0)


async def test_novels_survive_a_restart(tmp_path: Path) -> None:
    novel_id = str(uuid.uuid4())
    async with process(tmp_path / "chroma") as stub:
        await ingested(stub, novel_id)
        before = await contents(stub, novel_id)
    async with process(tmp_path / "chroma") as stub:
        assert await contents(stub, novel_id) == before
        people = await stub.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
        assert [one.name for one in people.characters] == ["Marian", "Mr. Tolliver", "Captain Brandt"]


async def test_a_killed_ingestion_leaves_the_old_index_or_none(search_settings: Settings, tmp_path: Path) -> None:
    old, new = str(uuid.uuid4()), str(uuid.uuid4())
    async with process(tmp_path / "chroma", killed=True) as stub:
        await ingested(stub, old)
        before = await contents(stub, old)
        calls = [stub.IngestNovel(request(novel_id, long_story(40))) for novel_id in (old, new)]
        for call in calls:
            async for event in call:
                if event.progress.stage == "storing" and event.progress.progress == 99:
                    break  # all rows are there: only the switch is left to do
    async with opened(search_settings()) as stub:
        found = await contents(stub, old)
        assert found == before or not found & before, "the old index or the new one, never some of each"
        # It may have been faster than the kill; else it is not ready, and never searched.
        assert await contents_or_reason(stub, new) in {"NOVEL_NOT_READY", "some"}
        for novel_id in (old, new):
            await ingested(stub, novel_id)
            assert await contents(stub, novel_id) == before
    async with open_chroma(search_settings()) as store:
        for novel_id in (old, new):
            novel = await store.novel(novel_id)
            assert novel is not None
            assert await store.count(novel_id) == novel.passages + novel.characters, "nothing of the killed one is left"
