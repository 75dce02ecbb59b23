"""What owners do to ingestions: stopping them, and having them made anew while the old index is searched."""

import asyncio
from uuid import uuid4

import pytest
from gaji.library.v1 import novel_service_pb2 as pb

from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader, eventually

RUNNING, COMPLETE, FAILED = (
    pb.INGESTION_STATUS_RUNNING,
    pb.INGESTION_STATUS_COMPLETE,
    pb.INGESTION_STATUS_FAILED,
)


async def cancel(library: LibraryClient, reader: Reader, novel_id: str) -> pb.Novel:
    request = pb.CancelIngestionRequest(novel_id=novel_id)
    return (await reader.call(library.novels.CancelIngestion, request)).novel


async def again(library: LibraryClient, reader: Reader, novel_id: str) -> pb.Novel:
    return (await reader.call(library.novels.ReingestNovel, pb.ReingestNovelRequest(novel_id=novel_id))).novel


async def get(library: LibraryClient, reader: Reader, novel_id: str) -> pb.Novel:
    return (await reader.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=novel_id))).novel


async def test_a_cancelled_ingestion_ends_at_once_and_leaves_nothing(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    await eventually(lambda: search.running == 1)
    watching = asyncio.create_task(library.watch(ada, novel_id))
    await asyncio.sleep(0.1)
    novel = await cancel(library, ada, novel_id)
    assert (novel.status, novel.failure.reason, novel.failure.retryable) == (FAILED, "INGESTION_CANCELLED", True)
    assert (await watching)[-1].failed.reason == "INGESTION_CANCELLED"
    await eventually(lambda: search.running == 0)
    await eventually(lambda: novel_id not in search.stored)
    assert await cancel(library, ada, novel_id) == novel, "what has ended is left alone"
    search.gate.set()
    # The next novel is not held up by it, and it may be taken up again itself.
    assert (await library.watch(ada, await library.novel(ada)))[-1].WhichOneof("event") == "complete"
    await again(library, ada, novel_id)
    assert (await library.watch(ada, novel_id))[-1].complete.status == COMPLETE


async def test_one_that_another_replica_has_is_cancelled_too(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        novel_id = await first.novel(ada)
        await eventually(lambda: search.running == 1)
        assert (await cancel(second, ada, novel_id)).status == FAILED
        await eventually(lambda: search.running == 0)
        search.gate.set()


async def test_one_that_waits_is_cancelled_before_it_begins(
    open_client: OpenLibrary, search: FakeSearch, redis_url: str
) -> None:
    async with open_client(jobs_target="127.0.0.1:1") as library:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        assert (await cancel(library, ada, novel_id)).status == FAILED
        assert await library.ingest(novel_id) == FAILED
    assert search.ingested == []


async def test_a_novel_is_whole_while_it_is_ingested_anew(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    first = await library.watch(ada, novel_id)
    search.gate.clear()
    waiting = await again(library, ada, novel_id)
    assert waiting.status != COMPLETE
    assert waiting.passages == 2
    await eventually(lambda: search.running == 1)
    watching = asyncio.create_task(library.watch(ada, novel_id))
    assert (await again(library, ada, novel_id)).status == RUNNING, "it is not begun twice"
    search.gate.set()
    events = await watching
    told = [event.progress.progress for event in events if event.WhichOneof("event") == "progress"]
    assert told[0] < 100
    assert events[-1].complete.status == COMPLETE
    assert search.ingested == [novel_id] * 2
    assert events[-1].cursor > first[-1].cursor
    assert await library.watch(ada, novel_id, events[-1].cursor) == []


async def test_what_becomes_of_a_new_ingestion_leaves_the_old_one(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    search.ingest_trouble = [InvalidArgument("no such model", reason="NO_MODEL")]
    await again(library, ada, novel_id)
    assert (await library.watch(ada, novel_id))[-1].failed.reason == "NO_MODEL"
    novel = await get(library, ada, novel_id)
    assert (novel.status, novel.failure.reason, novel.passages) == (COMPLETE, "NO_MODEL", 2)
    search.gate.clear()
    await again(library, ada, novel_id)
    await eventually(lambda: search.running == 1)
    novel = await cancel(library, ada, novel_id)
    assert (novel.status, novel.failure.reason, novel.passages) == (COMPLETE, "INGESTION_CANCELLED", 2)
    await eventually(lambda: search.running == 0)
    assert novel_id in search.stored, "the index of before is not taken away"
    search.gate.set()
    await again(library, ada, novel_id)
    assert not (await library.watch(ada, novel_id))[-1].complete.HasField("failure")


async def test_owners_alone_do(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    for act in (cancel, again):
        for reader, target, error in (
            (bo, novel_id, PermissionDenied),
            (ada, str(uuid4()), NotFound),
            (ada, "17", InvalidArgument),
            (library.nobody, novel_id, Unauthenticated),
        ):
            with pytest.raises(error):
                await act(library, reader, target)


async def test_what_is_left_is_told_as_it_comes(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.remaining = [None, 40, 0]
    events = await library.watch(ada, await library.novel(ada))
    said = [event.progress for event in events if event.progress.stage in {"embedding", "characters"}]
    assert [one.remaining_seconds for one in said] == [40, 0]
    assert all(one.HasField("remaining_seconds") for one in said)
    assert not any(
        event.progress.HasField("remaining_seconds") for event in events if event.progress.stage == "reading"
    )
