"""Ingestions, whoever asks for them, and those who watch."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import grpc
import pytest
import redis.asyncio
from gaji.gateway.v1 import stream_events_pb2 as events_pb
from gaji.library.v1 import novel_service_pb2 as pb

from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.streamlog.redis_log import names
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeJobs, FakeSearch, LibraryClient, OpenLibrary, eventually, serve_search

UNKNOWN = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


def percents(events: list[pb.WatchIngestionResponse]) -> list[int]:
    return [event.progress.progress for event in events if event.WhichOneof("event") == "progress"]


def cursor(novel_id: str, epoch: int, sequence: int) -> str:
    return f"{UUID(novel_id).hex}.{epoch}.{sequence}"


async def test_progress_rises_and_ends_with_the_novel(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    watching = asyncio.create_task(library.watch(ada, novel_id))
    await eventually(lambda: novel_id in search.stored)
    search.gate.set()
    events = await watching
    logged = [event for event in events if event.cursor]
    assert [event.sequence for event in logged] == list(range(1, len(logged) + 1))
    assert all(event.cursor == cursor(novel_id, 1, event.sequence) for event in logged)
    assert events[-1] in logged
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
    await events.aclose()
    search.gate.set()


async def test_of_one_that_has_ended_the_end_is_told(library: LibraryClient) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    events = await library.watch(bo, novel_id)
    assert percents(events)[-1] == 100
    assert [event.WhichOneof("event") for event in events][-2:] == ["progress", "complete"]
    assert all(event.cursor for event in events), "they come from the log"


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
    search.language = "\0"  # which the database refuses to keep
    novel_id = await library.novel(ada)
    events = await library.watch(ada, novel_id)
    assert (events[-1].failed.code, events[-1].failed.reason) == ("INTERNAL", "INGESTION_BROKE")
    assert search.ingested == [novel_id]
    search.language = "en"
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


async def test_two_replicas_never_ingest_one_novel_together(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        novel_id = await first.novel(ada)
        await eventually(lambda: search.running == 1)
        asked = [asyncio.create_task(library.ingest(novel_id)) for library in (first, second, second)]
        await asyncio.sleep(2.0)  # longer than a lease: it is renewed, so the other replica keeps away
        assert search.ingested == [novel_id]
        assert not any(task.done() for task in asked)
        search.gate.set()
        assert (await second.watch(ada, novel_id))[-1].WhichOneof("event") == "complete"
        assert await asyncio.gather(*asked) == [pb.INGESTION_STATUS_COMPLETE] * 3
        assert search.most_running == 1


async def test_a_replica_ingests_one_novel_at_a_time(
    open_client: OpenLibrary, search: FakeSearch, jobs: FakeJobs
) -> None:
    jobs.drives = False
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        ids = [await first.novel(ada, title=f"Novel {number}") for number in range(4)]
        asked = [asyncio.create_task(library.ingest(i)) for i, library in zip(ids, [first, second] * 2, strict=True)]
        await eventually(lambda: search.running == 2)
        search.gate.set()
        await asyncio.gather(*asked)
        assert sorted(search.ingested) == sorted(ids)
        assert search.most_running == 2


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


async def test_an_ingestion_outlives_the_call_that_began_it(
    library: LibraryClient, search: FakeSearch, jobs: FakeJobs
) -> None:
    jobs.drives = False
    ada = await library.guest()
    search.gate.clear()
    novel_id = await library.novel(ada)
    asked = asyncio.create_task(library.ingest(novel_id))
    await eventually(lambda: search.running == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    search.gate.set()
    assert (await library.watch(ada, novel_id))[-1].WhichOneof("event") == "complete"
    assert search.ingested == [novel_id]
    assert await library.ingest(novel_id) == pb.INGESTION_STATUS_COMPLETE
    assert search.ingested == [novel_id], "what has ended is not begun again"


async def test_transient_trouble_is_the_caller_s_to_try_again(
    library: LibraryClient, search: FakeSearch, jobs: FakeJobs
) -> None:
    jobs.drives = False
    ada = await library.guest()
    search.ingest_trouble = [Unavailable("busy", reason="SEARCH_BUSY")]
    novel_id = await library.novel(ada)
    with pytest.raises(Unavailable) as caught:
        await library.ingest(novel_id)
    assert caught.value.reason == "SEARCH_BUSY"
    novel = (await ada.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=novel_id))).novel
    assert novel.status == pb.INGESTION_STATUS_PENDING
    assert await library.ingest(novel_id) == pb.INGESTION_STATUS_COMPLETE
    search.ingest_trouble = [InvalidArgument("no chapter was found", reason="NO_CHAPTERS")]
    assert await library.ingest(await library.novel(ada)) == pb.INGESTION_STATUS_FAILED


async def test_a_replica_that_stops_says_so_to_those_who_wait(
    open_client: OpenLibrary, search: FakeSearch, jobs: FakeJobs
) -> None:
    jobs.drives = False
    search.gate.clear()
    async with AsyncExitStack() as longer:
        async with open_client(drain_seconds=60) as library:
            ada = await library.guest()
            novel_id = await library.novel(ada)
            channel = await longer.enter_async_context(grpc.aio.insecure_channel(library.server.address))
            asked = asyncio.create_task(LibraryClient(library.server, channel).ingest(novel_id))
            await eventually(lambda: search.running == 1)
        with pytest.raises(Unavailable) as caught:
            await asked
    assert caught.value.reason == "REPLICA_STOPS"


async def test_waiting_novels_are_listed_and_given_up(
    open_client: OpenLibrary, search: FakeSearch, jobs: FakeJobs, postgres_url: str
) -> None:
    jobs.trouble = Unavailable("no queue")
    async with open_client(ingestion_backoff=600) as library:
        ada = await library.guest()
        ids = [await library.novel(ada, title=f"Novel {number}") for number in range(3)]
        assert await waiting(library) == ids
        assert await waiting(library, 2) == ids[:2]
        assert await library.ingest(ids[0]) == pb.INGESTION_STATUS_COMPLETE
        search.ingest_trouble = [Unavailable("busy")]
        with pytest.raises(Unavailable):
            await library.ingest(ids[1])
        assert await waiting(library) == ids[2:], "one that was given back waits for its time"
        search.gate.clear()
        asked = asyncio.create_task(library.ingest(ids[2]))
        await eventually(lambda: search.running == 1)
        for novel_id in ids:
            await abandon(library, novel_id)
        statuses = [(await ada.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=i))).novel.status for i in ids]
        assert statuses == [
            pb.INGESTION_STATUS_COMPLETE,
            pb.INGESTION_STATUS_FAILED,
            pb.INGESTION_STATUS_RUNNING,
        ], "what has ended, and what somebody is at, is left alone"
        events = await library.watch(ada, ids[1])
        assert (events[-1].failed.reason, events[-1].failed.message) == ("TRIED_TOO_OFTEN", "nobody could")
        assert events[-1].cursor
        assert await library.watch(ada, ids[1], events[-1].cursor) == []
        search.gate.set()
        assert await asked == pb.INGESTION_STATUS_COMPLETE


async def test_what_jobs_ask_names_what_is_wrong(library: LibraryClient) -> None:
    nobody, client = library.nobody, library.novels
    for act, error, named in (
        (nobody.call(client.RunIngestion, pb.RunIngestionRequest(novel_id="17")), InvalidArgument, "novel_id"),
        (nobody.call(client.RunIngestion, pb.RunIngestionRequest(novel_id=UNKNOWN)), NotFound, "novel_id"),
        (nobody.call(client.AbandonIngestion, pb.AbandonIngestionRequest()), InvalidArgument, "novel_id"),
        (nobody.call(client.ListWaitingNovels, pb.ListWaitingNovelsRequest(limit=-1)), InvalidArgument, "limit"),
        (nobody.call(client.ListWaitingNovels, pb.ListWaitingNovelsRequest(limit=1001)), InvalidArgument, "limit"),
    ):
        with pytest.raises(error) as caught:
            await act
        assert list(caught.value.fields) == [named]
    await abandon(library, UNKNOWN)


async def test_without_a_queue_a_novel_is_stored_all_the_same(
    open_client: OpenLibrary, jobs: FakeJobs, search: FakeSearch
) -> None:
    jobs.gate.clear()  # it does not answer
    async with open_client() as library:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        assert jobs.novels == []
        assert await waiting(library) == [novel_id]


def kinds(events: list[pb.WatchIngestionResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def waiting(library: LibraryClient, limit: int = 0) -> list[str]:
    request = pb.ListWaitingNovelsRequest(limit=limit)
    return list((await library.nobody.call(library.novels.ListWaitingNovels, request)).novel_ids)


async def abandon(library: LibraryClient, novel_id: str) -> None:
    failure = events_pb.Failure(code="UNAVAILABLE", reason="TRIED_TOO_OFTEN", message="nobody\0 could")
    await library.nobody.call(
        library.novels.AbandonIngestion, pb.AbandonIngestionRequest(novel_id=novel_id, failure=failure)
    )


async def test_a_watcher_goes_on_after_a_cursor(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    events = await library.watch(ada, novel_id)
    for number, event in enumerate(events):
        assert await library.watch(ada, novel_id, event.cursor) == events[number + 1 :]


@pytest.mark.parametrize("after", ["1", "not a cursor", cursor(UNKNOWN, 1, 1)])
async def test_a_wrong_cursor_is_named(library: LibraryClient, after: str) -> None:
    ada = await library.guest()
    with pytest.raises(InvalidArgument) as caught:
        await library.watch(ada, await library.novel(ada), after)
    assert list(caught.value.fields) == ["after"]


async def test_without_its_log_an_ingestion_is_told_from_the_row(library: LibraryClient, redis_url: str) -> None:
    ada = await library.guest()
    novel_id = await library.novel(ada)
    logged = await library.watch(ada, novel_id)
    logged = await library.watch(ada, novel_id)
    async with redis.asyncio.Redis.from_url(
        redis_url
    ) as store:  # watchers beside the writer hear of the end before Redis does
        while not await store.hget(names(UUID(novel_id))[1], "end"):
            await asyncio.sleep(0.01)
    await flush(redis_url)
    events = await library.watch(ada, novel_id)
    assert kinds(events) == ["progress", "complete"]
    assert (percents(events), events[0].cursor) == ([100], "")
    assert events[-1] == logged[-1]
    assert await library.watch(ada, novel_id, logged[-1].cursor) == []
    resumed = await library.watch(ada, novel_id, logged[1].cursor)
    assert kinds(resumed) == ["gap", "progress", "complete"]
    gap = resumed[0].gap
    assert (gap.first_sequence, gap.last_sequence) == (3, logged[-1].sequence - 1)
    assert resumed[0].cursor == ""


async def test_without_redis_novels_are_ingested_and_watched(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client(redis_url="redis://127.0.0.1:1/0") as library:
        ada = await library.guest()
        search.gate.clear()
        novel_id = await library.novel(ada)
        watching = asyncio.create_task(library.watch(ada, novel_id))
        await eventually(lambda: search.running == 1)
        search.gate.set()
        events = await watching
        assert events[-1].WhichOneof("event") == "complete"
        assert percents(events) == sorted(percents(events))
        assert await library.watch(ada, novel_id, events[-1].cursor) == []


async def test_another_replica_tells_what_this_one_does(open_client: OpenLibrary, search: FakeSearch) -> None:
    async with open_client() as first, open_client() as second:
        ada = await first.guest()
        search.gate.clear()
        novel_id = await first.novel(ada)
        watching = [asyncio.create_task(library.watch(ada, novel_id)) for library in (first, second)]
        await eventually(lambda: search.running == 1)
        search.gate.set()
        here, there = [[event for event in events if event.cursor] for events in await asyncio.gather(*watching)]
        assert here == there
        assert kinds(here)[-1] == "complete"


async def flush(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushall()
