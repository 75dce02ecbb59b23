import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
import redis.asyncio

from mesh.errors import InvalidArgument, Unavailable
from mesh.redis_client import open_redis
from mesh.streamlog import COMPLETE, STOPPED, Cursor, Entry, FencedError, Hub, Lapse, Stream, open_hub
from mesh.streamlog.redis_log import Append, RedisLog, Taken, names
from stack.embedded.valkey import open_valkey
from tests.fixtures.servers import temporary_folder
from tests.streamlog.conftest import OpenHub, Texts

SOME = UUID(int=7, version=4)


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def texts(stream: Stream[str], after: Cursor | None = None) -> list[str]:
    """What is read up to the end; a lapse is shown as ``!stand``."""
    return [f"!{item.stand}" if isinstance(item, Lapse) else item.event async for item in stream.read(after)]


async def read_all(hub: Hub[str], stream_id: UUID, after: Cursor | None = None) -> list[str]:
    async with hub.watching(stream_id) as stream:
        return await texts(stream, after)


async def test_what_one_writes_another_reads(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as writer, open_texts() as reader:
        producer = await writer.produce(stream_id, 1, "fresh")
        reading = asyncio.create_task(read_all(reader, stream_id))
        nearby = asyncio.create_task(read_all(writer, stream_id))
        for n in range(5):
            assert producer.append(f"e{n}").sequence == n + 1
            await asyncio.sleep(0)
        producer.end("end", COMPLETE)
        assert await reading == await nearby == ["e0", "e1", "e2", "e3", "e4", "end"]
        state = await reader.state(stream_id)
        assert state is not None
        assert (state.epoch, state.sequence, state.end) == (1, 6, COMPLETE)
        late = await read_all(reader, stream_id, Cursor(stream_id, 1, 4))
        assert late == ["e4", "end"]
        assert await read_all(reader, stream_id, Cursor(stream_id, 1, 6)) == []


async def test_a_stream_nobody_has_begun_does_not_exist(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub:
        async with hub.watching(stream_id) as stream:
            assert not stream.exists
        assert await hub.state(stream_id) is None


async def test_a_later_epoch_fences_and_continues(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as old, open_texts() as new:
        zombie = await old.produce(stream_id, 1, "fresh")
        zombie.append("a")
        zombie.note("context", b"facts")
        assert await zombie.flushed(5)
        successor = await new.produce(stream_id, 2)
        assert [entry.event for entry in successor.stream.entries] == ["a"]
        assert successor.notes == {"context": b"facts"}
        watching = asyncio.create_task(read_all(old, stream_id, Cursor(stream_id, 1, 1)))
        zombie.append("lost")
        await asyncio.wait_for(zombie.fenced.wait(), 5)
        successor.append("b")
        successor.end("end", COMPLETE)
        assert [item for item in await watching if item != "lost"][-2:] == ["b", "end"]
        assert await read_all(new, stream_id) == ["a", "b", "end"]
        with pytest.raises(FencedError):
            await old.produce(stream_id, 1)


async def test_a_reader_of_what_died_with_its_producer_is_told_where_the_log_stands(
    open_texts: OpenHub, stream_id: UUID
) -> None:
    async with open_texts() as old, open_texts() as new:
        producer = await old.produce(stream_id, 1, "fresh")
        producer.append("a")
        assert await producer.flushed(5)
        successor = await new.produce(stream_id, 2)
        successor.append("b")
        successor.append("c")
        successor.end("end", COMPLETE)
        seen_more = Cursor(stream_id, 1, 3)
        assert await read_all(new, stream_id, seen_more) == ["!1", "b", "c", "end"]
        assert await read_all(new, stream_id, Cursor(stream_id, 1, 9)) == ["!1", "b", "c", "end"]


async def test_a_dead_producer_is_noticed(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts(lease_seconds=0.3) as old, open_texts(lease_seconds=0.3) as watcher:
        lapsed: list[tuple[UUID, int]] = []
        watcher.on_lapsed = lambda *facts: lapsed.append(facts)
        producer = await old.produce(stream_id, 3, "fresh")
        producer.append("a")
        await producer.flushed(5)
        async with watcher.watching(stream_id) as stream:
            await eventually(lambda: len(stream.entries) == 1)
            assert not lapsed, "it is alive"
            producer.close()
            await eventually(lambda: bool(lapsed))
        assert lapsed[0] == (stream_id, 3)


async def test_a_lease_given_back_is_noticed_at_once(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts(lease_seconds=60) as old, open_texts(lease_seconds=60) as watcher:
        lapsed = asyncio.Event()
        watcher.on_lapsed = lambda *_: lapsed.set()
        producer = await old.produce(stream_id, 1, "fresh")
        producer.append("a")
        async with watcher.watching(stream_id) as stream:
            await eventually(lambda: len(stream.entries) == 1)
            await old.release(producer)
            await asyncio.wait_for(lapsed.wait(), 10)


async def test_a_missing_log_counts_as_dead_after_a_lease(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts(lease_seconds=0.2) as hub:
        lapsed: list[int] = []
        hub.on_lapsed = lambda _id, epoch: lapsed.append(epoch)
        async with hub.watching(stream_id):
            await eventually(lambda: bool(lapsed))
        assert lapsed[0] == 0


async def test_a_stop_reaches_the_producer_wherever_it_is(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as writer, open_texts() as other:
        producer = await writer.produce(stream_id, 1, "fresh")
        producer.append("a")
        await producer.flushed(5)
        await other.stop(stream_id)
        await asyncio.wait_for(producer.stop_requested.wait(), 5)
        producer.end("stopped", STOPPED)
        assert await read_all(other, stream_id) == ["a", "stopped"]
        await other.stop(stream_id)


async def test_redis_that_lost_everything_gets_it_again(open_texts: OpenHub, stream_id: UUID, redis_url: str) -> None:
    async with open_texts(lease_seconds=0.3) as writer, open_texts(lease_seconds=30) as reader:
        producer = await writer.produce(stream_id, 1, "fresh")
        for n in range(700):
            producer.append(f"e{n} ")
        await producer.flushed(5)
        async with reader.watching(stream_id) as stream:
            reading = asyncio.create_task(texts(stream))
            await eventually(lambda: len(stream.entries) == 700)
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                await client.flushall()
                await client.script_flush()
            producer.append("more")
            producer.end("end", COMPLETE)
            assert await reading == [*(f"e{n} " for n in range(700)), "more", "end"]
        assert (await read_all(reader, stream_id))[-1] == "end"


async def test_without_redis_a_new_log_goes_on_in_memory(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts(redis_url="redis://127.0.0.1:1/0", timeout=0.2) as hub:
        producer = await hub.produce(stream_id, 1, "fresh")
        reading = asyncio.create_task(read_all(hub, stream_id))
        producer.append("a")
        producer.end("end", COMPLETE)
        assert await reading == ["a", "end"]
        with pytest.raises(Unavailable):
            await hub.produce(uuid4(), 2)
        with pytest.raises(Unavailable):
            await read_all(hub, uuid4())
        assert not await producer.flushed(0.05)


async def test_a_log_begins_anew_after_its_end(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub, open_texts() as other:
        first = await hub.produce(stream_id, 1, "fresh")
        first.end("failed", "failed")
        await first.flushed(5)
        second = await other.produce(stream_id, 2, "fresh")
        second.append("again")
        second.end("end", COMPLETE)
        await second.flushed(5)
        assert await read_all(hub, stream_id) == ["again", "end"]


async def test_a_log_is_forgotten_after_its_time(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts(ttl_seconds=0.2) as hub:
        producer = await hub.produce(stream_id, 1, "fresh")
        producer.end("end", COMPLETE)
        await producer.flushed(5)
        async with asyncio.timeout(10):
            while await hub.state(stream_id) is not None:
                await asyncio.sleep(0.02)


async def test_closing_a_hub_ends_its_readers_and_hands_over(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as other:
        async with open_texts(lease_seconds=60) as hub:
            producer = await hub.produce(stream_id, 1, "fresh")
            producer.append("a")
            reading = asyncio.create_task(read_all(hub, stream_id))
            await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await reading
        assert caught.value.reason == "REPLICA_STOPS"
        state = await other.state(stream_id)
        assert state is not None
        assert state.lease_left <= 0
        assert state.sequence == 1


@pytest.mark.parametrize("text", ["", "1", "x.1.1", f"{SOME.hex}.0.1", f"{SOME.hex}.1.-1", f"{SOME}.1.1"])
def test_what_is_no_cursor_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Cursor.parse(text)
    assert "after" in caught.value.fields


def test_a_cursor_of_another_stream_is_refused(stream_id: UUID) -> None:
    cursor = Cursor(stream_id, 2, 30)
    assert Cursor.parse(str(cursor), stream_id) == cursor
    with pytest.raises(InvalidArgument) as caught:
        Cursor.parse(str(cursor), uuid4())
    assert caught.value.reason == "CURSOR_OF_ANOTHER_STREAM"


async def test_an_entry_is_shared_by_all_readers(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub:
        producer = await hub.produce(stream_id, 1, "fresh")
        entry = producer.end("end", COMPLETE)
        async with hub.watching(stream_id) as stream:
            seen = [item async for item in stream.read() if isinstance(item, Entry)]
        assert seen[0] is entry


async def test_a_reading_is_called_and_takes_what_simply_follows() -> None:
    stream, seen = Stream[str](SOME), list[str]()
    stream.extend([Entry(1, 1, "a")], 1)
    reading = stream.reading(since=1)

    def heard() -> None:
        while (entry := reading.take()) is not None:
            seen.append(entry.event)

    reading.listen(heard)
    heard()
    assert (seen, reading.over) == ([], True)  # where it stands is not known before it has asked
    assert await reading.next() is reading
    heard()
    stream.extend([Entry(1, 2, "b")], 1)
    assert (seen, reading.over) == (["a", "b"], False)

    stream.rewrite([Entry(1, 1, "a"), Entry(2, 2, "c")], 2)
    assert (seen, reading.over) == (["a", "b"], True)
    assert await reading.next() == Lapse(2, 2, 1)
    assert await reading.next() is reading
    heard()
    stream.extend([Entry(2, 3, "end", COMPLETE)], 2)
    assert (seen, reading.over) == (["a", "b", "c", "end"], True)
    assert await reading.next() is None

    reading.leave(heard)
    stream.rewrite([], 3)
    stream.close(Unavailable("closed"))
    assert await reading.next() == Lapse(1, 3, 0)
    with pytest.raises(Unavailable):
        await reading.next()


async def test_a_log_that_ended_under_an_earlier_epoch_counts_as_missing(open_texts: OpenHub, stream_id: UUID) -> None:
    """Somebody has taken the work up and died before he could take the log."""
    async with open_texts(lease_seconds=0.2) as hub:
        lapsed: list[int] = []
        hub.on_lapsed = lambda _id, epoch: lapsed.append(epoch)
        first = await hub.produce(stream_id, 1, "fresh")
        first.end("failed", "failed")
        await first.flushed(5)
        async with hub.watching(stream_id) as stream:
            reading = asyncio.create_task(anext(stream.read(since=2)))
            await eventually(lambda: bool(lapsed))
            assert lapsed[0] == 2
            second = await hub.produce(stream_id, 3, "restart")
            second.append("again")
            entry = await reading
            assert isinstance(entry, Entry)
            assert (entry.event, entry.epoch) == ("again", 3)


async def test_a_log_that_has_ended_stays_so_for_whoever_keeps_it(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub, open_texts() as other:
        first = await hub.produce(stream_id, 1, "fresh")
        first.append("a")
        first.end("end", COMPLETE)
        await first.flushed(5)
        second = await other.produce(stream_id, 2)
        assert second.ended
        second.close()
        state = await hub.state(stream_id)
        assert state is not None
        assert (state.epoch, state.end) == (2, COMPLETE)
        assert await read_all(hub, stream_id) == ["a", "end"]


@pytest.fixture
async def redis_log(redis_url: str) -> AsyncIterator[RedisLog[str]]:
    async with open_redis(redis_url, timeout=5, connections=2, name="test") as client:
        log = RedisLog(client, Texts(), timeout=5, lease_seconds=60, ttl_seconds=60)
        while (await log.append([appending(uuid4(), 1, 0, "a")]))[0] is None:  # until the server has the script
            pass
        yield log


def appending(stream_id: UUID, epoch: int, base: int, *events: str, end: str = "", reset: str = "") -> Append[str]:
    entries = [Entry(epoch, base + n, event) for n, event in enumerate(events, 1)]
    if end:
        entries[-1].end = end
    return Append(stream_id, epoch, base, entries, {}, reset)


async def test_a_reset_takes_a_log_that_an_earlier_epoch_has_ended(redis_log: RedisLog[str], stream_id: UUID) -> None:
    await redis_log.open(stream_id, 1, "keep")
    await redis_log.append([appending(stream_id, 1, 0, "failed", end="failed")])
    assert await redis_log.append([appending(stream_id, 2, 1, "b")]) == [Taken(b"behind")]
    assert await redis_log.append([appending(stream_id, 2, 0, "a", "b", reset="a")]) == [Taken(b"ok")]
    found = await redis_log.read(stream_id, 1)
    assert found is not None
    state, entries = found
    assert (state.epoch, state.sequence, state.end) == (2, 2, "")
    assert state.lease_left > 0
    assert [entry.event for entry in entries] == ["a", "b"]


async def test_a_reset_that_comes_late_changes_nothing(redis_log: RedisLog[str], stream_id: UUID) -> None:
    reset = appending(stream_id, 1, 0, "a", "b", reset="a")
    await redis_log.append([reset])
    await redis_log.append([appending(stream_id, 1, 2, "c", "end", end=COMPLETE)])
    assert await redis_log.append([reset]) == [Taken(b"ok")]
    found = await redis_log.read(stream_id, 1)
    assert found is not None
    assert [entry.event for entry in found[1]] == ["a", "b", "c", "end"]
    assert found[0].end == COMPLETE


async def test_a_reset_takes_what_another_of_the_same_epoch_has_written(
    redis_log: RedisLog[str], stream_id: UUID
) -> None:
    await redis_log.append([appending(stream_id, 1, 0, "a", "b", reset="a")])
    assert await redis_log.append([appending(stream_id, 1, 0, "c", reset="b")]) == [Taken(b"ok")]
    found = await redis_log.read(stream_id, 1)
    assert found is not None
    assert [entry.event for entry in found[1]] == ["c"]


async def test_what_goes_wrong_with_one_log_leaves_the_others_alone(
    redis_log: RedisLog[str], stream_id: UUID, redis_url: str
) -> None:
    sound = uuid4()
    wrong, right = appending(stream_id, 1, 0, "a"), appending(sound, 1, 0, "a", "end", end=COMPLETE)
    await redis_log.open(stream_id, 1, "keep")
    await redis_log.open(sound, 1, "keep")
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.set(names(stream_id)[0], "no stream", ex=60)
    assert await redis_log.append([wrong, right]) == [None, Taken(b"ok")]
    state = await redis_log.read(sound, None)
    assert state is not None
    assert state[0].end == COMPLETE
    with pytest.raises(Unavailable):  # alone it looks as if the server took nothing
        await redis_log.append([wrong])


async def test_a_log_that_redis_refuses_is_tried_again_after_a_while(
    open_texts: OpenHub, stream_id: UUID, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_texts() as hub, redis.asyncio.Redis.from_url(redis_url) as client:
        wrong, right = await hub.produce(stream_id, 1, "fresh"), await hub.produce(uuid4(), 1, "fresh")
        for producer in (wrong, right):
            producer.append("one")
            assert await producer.flushed(5)
        await client.set(names(stream_id)[0], "no stream", ex=60)
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            wrong.append("two")
            right.append("two")
            await asyncio.sleep(0.003)
        assert await right.flushed(5)
        refused = [record for record in caplog.records if "refuses" in record.getMessage()]
        assert 1 <= len(refused) <= 2 + asyncio.get_running_loop().time() - began  # not in each pass
        await client.delete(names(stream_id)[0])
        assert await wrong.flushed(5)  # Redis knows less than it did, so that it is written from the beginning
        wrong.end("end", COMPLETE)
        assert await read_all(hub, stream_id) == ["one", *["two"] * 100, "end"]


async def test_a_log_has_a_producer_or_a_follower_never_both(open_texts: OpenHub) -> None:
    async with open_texts() as other, open_texts() as hub:
        for _ in range(30):
            stream_id = uuid4()
            first = await other.produce(stream_id, 1, "fresh")
            for n in range(20):
                first.append(f"{n} ")
            await first.flushed(5)
            reading = [asyncio.create_task(read_all(hub, stream_id)) for _ in range(3)]
            producing = asyncio.create_task(hub.produce(stream_id, 2))
            for _ in range(5):
                await asyncio.sleep(0)
                reading.append(asyncio.create_task(read_all(hub, stream_id)))
            second = await producing
            reading.append(asyncio.create_task(read_all(hub, stream_id)))
            for n in range(20, 40):
                second.append(f"{n} ")
                await asyncio.sleep(0)
            second.end("end", COMPLETE)
            for told in await asyncio.gather(*reading):
                assert told == [*(f"{n} " for n in range(40)), "end"]


async def test_an_event_that_cannot_be_read_is_an_error_and_no_hang(
    open_texts: OpenHub, stream_id: UUID, redis_url: str
) -> None:
    async with open_texts() as hub:
        producer = await hub.produce(stream_id, 1, "fresh")
        producer.append("a")
        await producer.flushed(5)
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.xadd(names(stream_id)[0], {"e": 1, "d": b"\xff", "x": ""}, id="2-0")
            await client.hset(names(stream_id)[1], "seq", 2)
        async with open_texts() as other:
            with pytest.raises(Unavailable):
                await read_all(other, stream_id)


async def test_an_event_that_cannot_be_written_ends_its_own_log_alone(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub:
        broken, sound = await hub.produce(stream_id, 1, "fresh"), await hub.produce(uuid4(), 1, "fresh")
        broken.append("\ud800")
        sound.append("a")
        assert await sound.flushed(5)
        await asyncio.wait_for(broken.fenced.wait(), 5)


async def test_a_redis_that_was_away_makes_nobody_dead(stream_id: UUID) -> None:
    with temporary_folder() as folder:
        async with open_valkey(folder / "valkey") as valkey:
            port, url = valkey.port, valkey.url
            async with (
                open_hub(url, Texts(), name="a", lease_seconds=0.6, timeout=0.5) as writer,
                open_hub(url, Texts(), name="b", lease_seconds=0.6, timeout=0.5) as watcher,
            ):
                lapsed: list[int] = []
                watcher.on_lapsed = lambda _id, epoch: lapsed.append(epoch)
                producer = await writer.produce(stream_id, 1, "fresh")
                producer.append("a")
                await producer.flushed(5)
                async with watcher.watching(stream_id) as stream:
                    async with redis.asyncio.Redis.from_url(url) as client:
                        with contextlib.suppress(redis.exceptions.ConnectionError):
                            await client.shutdown(save=False)
                    await asyncio.sleep(1.5)  # longer than a lease
                    async with open_valkey(folder / "valkey", port=port):
                        producer.append("b")
                        assert await producer.flushed(20)
                        await eventually(lambda: len(stream.entries) == 2)
                        assert lapsed == []


async def test_a_cursor_behind_the_end_of_its_own_epoch_hears_the_end(open_texts: OpenHub, stream_id: UUID) -> None:
    async with open_texts() as hub:
        producer = await hub.produce(stream_id, 1, "fresh")
        producer.append("a")
        producer.end("end", COMPLETE)
        assert await read_all(hub, stream_id, Cursor(stream_id, 1, 9)) == ["!1", "end"]
