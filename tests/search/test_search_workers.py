"""Novels whose passages are read by workers: real processes on a real Valkey, which die, lie or are not there."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from services.search.config import SearchSettings
from services.search.fleet.app import TASK, create_app
from services.search.fleet.dispatch import closed
from services.search.fleet.mailbox import PREFIX, open_mailbox, replies_of
from services.search.fleet.versions import queue_of, versions_here
from services.search.fleet.wire import Batch, Kind, packed_batch, reply_of
from services.search.stores.chroma import open_chroma
from stack.embedded.valkey import open_valkey
from tests.fixtures.servers import temporary_folder
from tests.search.conftest import ingested, opened, request
from tests.search.stories import STORY, long_story
from tests.search.workers import SECONDS, Worker, handed_out, running_worker, until

Settings = Callable[..., SearchSettings]
TEXT = f"{STORY}\n\n{long_story(30)}"
VERSION = versions_here()["minilm"]
CALL = 4
"""Passages that the model reads in one call."""


@pytest.fixture(scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    """A worker on a Valkey of its own."""
    log = tmp_path_factory.mktemp("worker") / "log"
    with temporary_folder() as folder:
        async with open_valkey(folder / "valkey") as valkey, running_worker(valkey.url, log) as running:
            yield running


def spread(settings: Settings, url: str, **changes: Any) -> SearchSettings:
    patient = {"embedding_wait": SECONDS, "embedding_deadline": SECONDS, "embedding_batch": CALL}
    return settings(embedding="workers", redis_url=url, **(patient | changes))


async def index(settings: SearchSettings, novel_id: str) -> list[tuple[str, bytes, bytes, bytes]]:
    """What is stored of each passage: its text, vector, tokens and their states, in the novel's order."""
    async with open_chroma(settings) as store:
        novel = await store.novel(novel_id)
        assert novel is not None
        assert await store.count(novel_id) == novel.passages + novel.characters, "rows of one generation only"
        contents = await store.contents(novel)
    assert len(contents.passages) == novel.passages
    assert contents.reading.tokens is not None
    return [
        (passage.content, vector.tobytes(), tokens.ids.tobytes(), tokens.states.tobytes())
        for passage, vector, tokens in zip(
            contents.passages, contents.reading.vectors, contents.reading.tokens, strict=True
        )
    ]


async def made_here(settings: Settings, text: str = TEXT) -> list[tuple[str, bytes, bytes, bytes]]:
    novel_id = str(uuid.uuid4())
    async with opened(settings()) as stub:
        await ingested(stub, novel_id, text)
    return await index(settings(), novel_id)


async def test_an_index_made_by_workers_is_the_one_made_here(worker: Worker, search_settings: Settings) -> None:
    expected, novel_id = await made_here(search_settings), str(uuid.uuid4())
    read, here, counted = handed_out("read"), handed_out("read here"), await worker.counted("read")
    async with opened(spread(search_settings, worker.url, embedding_batch=CALL + 1)) as stub:
        events = await ingested(stub, novel_id, TEXT)
    assert await index(search_settings(), novel_id) == expected
    batches = -(-len(expected) // CALL)
    assert handed_out("read") - read == await worker.counted("read") - counted == batches > 3
    assert handed_out("read here") == here
    told = [event.progress.message for event in events if event.progress.stage == "embedding"]
    assert told[-1] == f"Read {len(expected)} of {len(expected)} passages"


async def test_nothing_stays_in_valkey(worker: Worker, search_settings: Settings) -> None:
    async with opened(spread(search_settings, worker.url)) as stub:
        await ingested(stub, str(uuid.uuid4()))
    async with redis.asyncio.Redis.from_url(worker.url) as client:
        keys = {key.decode().removeprefix(PREFIX).partition(":")[0] async for key in client.scan_iter(f"{PREFIX}*")}
    assert not keys & {"batch", "replies"}
    assert "alive" in keys


async def test_workers_that_are_killed_leave_a_whole_index(
    redis_url: str, search_settings: Settings, tmp_path: Path
) -> None:
    text, novel_id = f"{STORY}\n\n{long_story(60)}", str(uuid.uuid4())
    expected = await made_here(search_settings, text)
    settings = spread(search_settings, redis_url, embedding_wait=3.0, embedding_deadline=2.0, embedding_in_flight=4)
    read, here = handed_out("read"), handed_out("read here")
    async with (
        running_worker(redis_url, tmp_path / "log", 2.0) as one,
        running_worker(redis_url, tmp_path / "log", 2.0) as another,
        opened(settings) as stub,
    ):
        await ingested(stub, novel_id)  # an old index, which nothing of may be left
        doomed = [(60, another), (30, one)]
        async for event in stub.IngestNovel(request(novel_id, text)):
            while doomed and event.progress.stage == "embedding" and event.progress.progress >= doomed[-1][0]:
                doomed.pop()[1].kill()
    assert not doomed
    assert await index(search_settings(), novel_id) == expected
    assert handed_out("read") > read
    assert handed_out("read here") > here


async def test_a_batch_of_a_worker_that_was_killed_is_read_by_another(
    redis_url: str, search_settings: Settings, tmp_path: Path
) -> None:
    settings = spread(search_settings, redis_url, embedding_deadline=2.0, embedding_batch=4 * CALL)
    lost = handed_out("lost")
    async with (
        running_worker(redis_url, tmp_path / "log") as first,
        running_worker(redis_url, tmp_path / "other") as second,
        opened(settings) as stub,
    ):
        call = stub.IngestNovel(request(str(uuid.uuid4()), long_story(100)))
        async for event in call:
            if event.progress.stage == "embedding" and event.progress.progress > 10:
                await asyncio.sleep(0.1)  # enough to begin with the next batch, and too little to end it
                first.kill()
                break
        events = [event async for event in call]
        assert await second.counted("read") > 0
    assert events[-1].WhichOneof("event") == "complete"
    assert handed_out("lost") > lost


async def test_without_a_worker_search_reads_itself_and_asks_once(redis_url: str, search_settings: Settings) -> None:
    expected, novel_id = await made_here(search_settings), str(uuid.uuid4())
    unanswered, here = handed_out("unanswered"), handed_out("read here")
    async with opened(spread(search_settings, redis_url, embedding_wait=0.2, embedding_in_flight=2)) as stub:
        await ingested(stub, novel_id, TEXT)
    assert await index(search_settings(), novel_id) == expected
    assert 1 <= handed_out("unanswered") - unanswered <= 2
    assert handed_out("read here") - here == -(-len(expected) // CALL)


async def test_without_valkey_search_reads_itself(search_settings: Settings) -> None:
    here, novel_id = handed_out("read here"), str(uuid.uuid4())
    async with opened(spread(search_settings, "redis://127.0.0.1:1/0")) as stub:
        events = await ingested(stub, novel_id)
    assert events[-1].complete.passages == len(await index(search_settings(), novel_id))
    assert handed_out("read here") > here


async def test_what_is_out_is_bounded_and_taken_back(redis_url: str, search_settings: Settings, tmp_path: Path) -> None:
    queue = queue_of("minilm", VERSION)
    async with (
        redis.asyncio.Redis.from_url(redis_url) as client,
        opened(spread(search_settings, redis_url, embedding_in_flight=3)) as stub,
    ):

        async def batches() -> int:
            return len([key async for key in client.scan_iter(f"{PREFIX}batch:*")])

        async def all_out() -> bool:
            return int(await client.llen(f"{PREFIX}{queue}")) == 3

        async def none_out() -> bool:
            return await batches() == 0

        call = stub.IngestNovel(request(str(uuid.uuid4()), TEXT))
        async for event in call:
            if event.progress.stage == "embedding":
                break
        await until(all_out)
        assert await batches() == 3
        call.cancel()
        await until(none_out)
        # Their ids are in the queue still; a worker that comes finds that nobody wants them.
        async with running_worker(redis_url, tmp_path / "log") as late:

            async def all_gone() -> bool:
                return await late.counted("gone") == 3

            await until(all_gone)
            assert await late.counted("read") == 0


async def test_a_worker_refuses_what_is_for_another_version(worker: Worker, search_settings: Settings) -> None:
    batch, replies = uuid.uuid4().hex, replies_of(uuid.uuid4().hex)
    queue = queue_of("minilm", VERSION)
    app = await asyncio.to_thread(create_app, spread(search_settings, worker.url), [queue])
    async with open_mailbox(worker.url, 1) as mailbox:
        await mailbox.put(batch, packed_batch(Batch(replies, ["A passage."])))
        await asyncio.to_thread(app.send_task, TASK, (batch, "minilm", "0123456789ab"), queue=queue)
        async with asyncio.timeout(SECONDS):
            while (data := await mailbox.next_reply(replies)) is None:
                pass
        await mailbox.drop(batch)
    await asyncio.to_thread(closed, app)
    reply = reply_of(data)
    assert (reply.batch, reply.kind) == (batch, Kind.REFUSED)
    assert reply.body.decode() == f"this worker has minilm {VERSION}, and the batch is for minilm 0123456789ab"


async def test_a_search_of_another_version_does_without(
    worker: Worker, search_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.search.fleet.fleet.versions_here", lambda: {"minilm": "0123456789ab"})
    taken, unanswered = await worker.counted("read"), handed_out("unanswered")
    async with opened(spread(search_settings, worker.url, embedding_wait=0.2)) as stub:
        events = await ingested(stub, str(uuid.uuid4()))
    assert events[-1].WhichOneof("event") == "complete"
    assert handed_out("unanswered") > unanswered
    assert await worker.counted("read") == taken


async def test_a_stop_ends_the_batch_in_hand(redis_url: str, search_settings: Settings, tmp_path: Path) -> None:
    read, here, lost = handed_out("read"), handed_out("read here"), handed_out("lost")
    async with (
        running_worker(redis_url, tmp_path / "log", 1.0) as stopped,
        opened(spread(search_settings, redis_url, embedding_in_flight=1, embedding_wait=1.0)) as stub,
    ):
        async for event in stub.IngestNovel(request(str(uuid.uuid4()), TEXT)):
            if event.progress.stage == "embedding" and event.progress.progress > 10:
                with suppress(ProcessLookupError):
                    stopped.process.terminate()
        assert await asyncio.wait_for(stopped.process.wait(), SECONDS) == 0
    assert handed_out("read") > read
    assert handed_out("read here") > here
    assert handed_out("lost") == lost
