"""The driver that takes novels into search, and those who watch it."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import grpc
import pytest
from gaji.library.v1 import novel_service_pb2 as pb

from mesh.errors import InvalidArgument, NotFound, Unavailable
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, eventually, serve_search


def percents(events: list[pb.WatchIngestionResponse]) -> list[int]:
    return [event.progress.progress for event in events if event.WhichOneof("event") == "progress"]


async def test_progress_rises_and_ends_with_the_novel(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    watching = asyncio.create_task(library.watch(ada, novel_id))
    await eventually(lambda: novel_id in search.stored)
    search.gate.set()
    events = await watching
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = percents(events)
    assert told == sorted(told)
    assert told[-1] == 100
    assert events[-1].complete.novel_id == novel_id
    assert events[-1].complete.status == pb.INGESTION_STATUS_COMPLETE


async def test_the_present_state_comes_at_once(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    await eventually(lambda: novel_id in search.stored)
    events = ada.stream(library.novels.WatchIngestion, pb.WatchIngestionRequest(novel_id=novel_id))
    first = await anext(events)
    assert first.WhichOneof("event") == "progress"
    assert first.sequence == 1
    await events.aclose()
    search.gate.set()


async def test_of_one_that_has_ended_the_end_is_told(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    events = await library.watch(bo, novel_id)
    assert percents(events) == [100]
    assert [event.WhichOneof("event") for event in events] == ["progress", "complete"]


async def test_many_watch_through_one_connection(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client(pool_max=2) as library:
        ada = await library.guest()
        search.gate.clear()
        novel_id = await library.novel(ada)
        watching = [asyncio.create_task(library.watch(ada, novel_id)) for _ in range(40)]
        await eventually(lambda: novel_id in search.stored)
        search.gate.set()
        for events in await asyncio.gather(*watching):
            assert events[-1].WhichOneof("event") == "complete"


async def test_a_failure_is_stored_and_told(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.ingest_trouble = [InvalidArgument("no chapter was found", reason="NO_CHAPTERS")]
    novel_id = await library.novel(ada)
    events = await library.watch(ada, novel_id)
    failed = events[-1].failed
    assert (failed.code, failed.reason, failed.message) == ("INVALID_ARGUMENT", "NO_CHAPTERS", "no chapter was found")
    assert not failed.retryable
    assert search.ingested == [novel_id]
    novel = (await ada.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=novel_id))).novel
    assert novel.status == pb.INGESTION_STATUS_FAILED
    assert novel.failure == failed


async def test_transient_trouble_is_tried_again_and_progress_never_falls(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    search.ingest_trouble = [Unavailable("busy"), Unavailable("busy")]
    novel_id = await library.novel(ada)
    events = await library.watch(ada, novel_id)
    assert events[-1].WhichOneof("event") == "complete"
    assert search.ingested == [novel_id] * 3
    told = percents(events)
    assert told == sorted(told)


async def test_trouble_that_does_not_end_fails_in_the_end(open_client: OpenLibrary, search: FakeSearch) -> None:
    search.ingest_trouble = [Unavailable("busy") for _ in range(9)]
    async with open_client(ingestion_attempts=3) as library:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        events = await library.watch(ada, novel_id)
        assert (events[-1].failed.code, events[-1].failed.retryable) == ("UNAVAILABLE", True)
        assert search.ingested == [novel_id] * 3


async def test_a_mistake_of_ours_fails_the_novel_and_not_the_driver(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.remark = "\0"  # which the database refuses to keep
    novel_id = await library.novel(ada)
    events = await library.watch(ada, novel_id)
    assert (events[-1].failed.code, events[-1].failed.reason) == ("INTERNAL", "INGESTION_BROKE")
    assert search.ingested == [novel_id]
    search.remark = ""
    assert (await library.watch(ada, await library.novel(ada)))[-1].WhichOneof("event") == "complete"


async def test_a_novel_that_ends_its_drivers_is_given_up(
    open_client: OpenLibrary, search: FakeSearch, postgres_url: str
) -> None:
    search.gate.clear()
    async with open_client() as library:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        await eventually(lambda: search.running == 1)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE novels SET status = 'running', lease_expires_at = now(), attempts = 3")
    await connection.close()
    async with open_client(ingestion_attempts=3) as library:
        events = await library.watch(ada, novel_id)
    assert (events[-1].failed.reason, events[-1].failed.retryable) == ("INGESTION_CUT", True)
    assert search.ingested == [novel_id]


async def test_search_may_start_later(open_client: OpenLibrary, jwt_keys: JwtKeys) -> None:
    fake = FakeSearch()
    async with serve_search(fake, jwt_keys) as address:
        pass  # only to learn a free port
    async with open_client(search_target=address) as library:
        ada = await library.guest()
        watching = asyncio.create_task(library.watch(ada, await library.novel(ada)))
        await asyncio.sleep(0.2)
        async with serve_search(fake, jwt_keys, address):
            assert (await watching)[-1].WhichOneof("event") == "complete"


async def test_a_stopped_driver_gives_back_and_a_restart_resumes(open_client: OpenLibrary, search: FakeSearch) -> None:
    search.gate.clear()
    async with open_client(ingestion_lease_seconds=600) as library:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        await eventually(lambda: search.running == 1)
    await eventually(lambda: search.running == 0)
    search.gate.set()
    async with open_client(ingestion_lease_seconds=600) as library:
        events = await library.watch(ada, novel_id)
    assert events[-1].WhichOneof("event") == "complete"
    assert search.ingested == [novel_id] * 2


async def test_two_drivers_never_ingest_one_novel_together(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        novel_id = await first.novel(ada)
        await eventually(lambda: search.running == 1)
        await asyncio.sleep(2.0)  # longer than a lease: it is renewed, so the other driver keeps away
        assert search.ingested == [novel_id]
        search.gate.set()
        assert (await second.watch(ada, novel_id))[-1].WhichOneof("event") == "complete"
        assert search.most_running == 1


async def test_drivers_share_the_queue(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        ids = [await first.novel(ada, title=f"Novel {number}") for number in range(4)]
        await eventually(lambda: search.running == 2)
        search.gate.set()
        for novel_id in ids:
            assert (await second.watch(ada, novel_id))[-1].WhichOneof("event") == "complete"
        assert sorted(search.ingested) == sorted(ids)


async def test_deletion_while_ingesting_leaves_nothing_behind(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    await eventually(lambda: novel_id in search.stored)
    watching = asyncio.create_task(library.watch(ada, novel_id))
    await ada.call(library.novels.DeleteNovel, pb.DeleteNovelRequest(novel_id=novel_id))
    with pytest.raises(NotFound) as caught:
        await watching
    assert list(caught.value.fields) == ["novel_id"]
    search.gate.set()
    await eventually(lambda: search.running == 0)
    await eventually(lambda: novel_id not in search.stored)
    # The next novel is not held up by it.
    assert (await library.watch(ada, await library.novel(ada)))[-1].WhichOneof("event") == "complete"


async def test_a_watcher_is_let_go_when_the_replica_stops(open_client: OpenLibrary, search: FakeSearch) -> None:
    search.gate.clear()
    async with AsyncExitStack() as longer:
        async with open_client(drain_seconds=60) as library:
            ada = await library.guest()
            novel_id = await library.novel(ada)
            channel = await longer.enter_async_context(grpc.aio.insecure_channel(library.server.address))
            watching = asyncio.create_task(LibraryClient(library.server, channel).watch(ada, novel_id))
            await eventually(lambda: novel_id in search.stored)
            await asyncio.sleep(0.2)
        with pytest.raises(Unavailable) as caught:
            await watching
    search.gate.set()
    assert caught.value.reason == "REPLICA_STOPS"
