"""Replies whose writer dies, stops or is cut off, between replicas on real sockets with a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
import redis.asyncio
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.generation.v1 import generation_service_pb2_grpc as rpc
from gaji.library.v1 import conversation_service_pb2 as library_pb

from mesh import streams
from mesh.client import open_channel
from mesh.errors import MeshError, Unavailable, from_rpc_error
from mesh.streamlog.redis_log import names
from mesh.telemetry.metrics import REGISTRY
from services.generation.config import GenerationSettings
from services.generation.domain.continuation import whole_sentences
from services.generation.ports import Hear, Prompt
from services.generation.providers.openai import open_provider as open_openai
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.otlp import Received, Recording
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.http_fake import Exchange, HttpFake
from tests.generation.rooms import CONVERSATION, GENERATION, Peers, Row, open_generation, open_peers
from tests.generation.test_generation_servicer import all_of, reply_request, says, status_of, text_of, words


@pytest.fixture
def settings(jwt_keys: JwtKeys, redis_url: str) -> GenerationSettings:
    return make_settings(jwt_public_key_file=jwt_keys.public, redis_url=redis_url, log_lease_seconds=0.6)


@pytest.fixture
async def peers(settings: GenerationSettings) -> AsyncIterator[Peers]:
    async with open_peers(settings) as peers:
        yield peers


async def eventually(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def only_row(peers: Peers) -> Row:
    (row,) = peers.library.rows.values()
    return row


def assembled(events: list[Any]) -> str:
    """The text as a reader puts it together."""
    text = ""
    for event in events:
        text += event.token.content
        if event.HasField("seam"):
            text = text[: event.seam.keep]
    return text


def after(events: list[Any]) -> pb.StreamReplyRequest:
    last = next(event.cursor for event in reversed(events) if event.cursor)
    return pb.StreamReplyRequest(conversation_id=CONVERSATION, after=last)


async def unary_status(call: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


class DyingModel(ScriptedModel):
    """Says some words and then nothing for ever: its replica is about to be cut off."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens, 0)

    async def answer(self, prompt: Prompt, hear: Hear, **kwargs: Any) -> None:
        await super().answer(prompt, lambda chunk: hear(chunk) if chunk.text else None, **kwargs)
        await asyncio.Event().wait()


@asynccontextmanager
async def dead_after(peers: Peers, tokens: int, as_reader: Any) -> AsyncIterator[list[Any]]:
    """The events that a reader has seen of a reply whose writer has died after so many words."""
    async with open_generation(peers, DyingModel(tokens)) as first:
        async with streams.opened(first.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
            seen: list[Any] = []
            async for event in messages:
                seen.append(event)
                if text_of(seen) == words(tokens):
                    break
    yield seen


async def test_a_stopping_replica_hands_over_at_once(peers: Peers, as_reader: Any) -> None:
    async with open_generation(peers, ScriptedModel(60, 100)) as second:
        async with dead_after(peers, 25, as_reader) as seen:
            rest = await all_of(second.stub.StreamReply(after(seen), metadata=as_reader))
    assert assembled(seen + rest) == rest[-1].complete.content == words(60)
    assert [event.sequence for event in seen + rest] == list(range(1, len(seen + rest) + 1))
    assert not any(event.HasField("seam") for event in rest), "this model can go on"
    assert only_row(peers).epoch == 2
    assert len(peers.search.searches) == 1, "the passages are the same"


async def test_readers_of_a_stopping_replica_are_sent_elsewhere(peers: Peers, as_reader: Any) -> None:
    async with AsyncExitStack() as stack:
        async with open_generation(peers, ScriptedModel(1000, 20)) as first:
            channel = await stack.enter_async_context(open_channel(first.server.address, peers.settings, [GENERATION]))
            stub: Any = rpc.GenerationServiceStub(channel)
            reading = asyncio.create_task(status_of(stub.StreamReply(reply_request("r-1"), metadata=as_reader)))
            await eventually(lambda: peers.library.rows)
        error = await reading
    assert isinstance(error, Unavailable)
    assert error.reason == "REPLICA_STOPS"


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_a_model_that_cannot_go_on_begins_its_sentence_again(
    peers: Peers, settings: GenerationSettings, http_fake: HttpFake, as_reader: Any
) -> None:
    gone = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        try:
            await exchange.gone.wait()
        finally:
            gone.set()

    before = counted("gaji_generation_seams_total"), counted("gaji_generations_taken_over_total")
    http_fake.answer = says("Good day. ", "How do", then=wait)
    remote = settings.model_copy(update={"openai_base_url": http_fake.url, "openai_model": "tiny"})
    async with open_generation(peers, await open_openai(remote)) as first:
        async with streams.opened(first.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
            seen = []
            async for event in messages:
                seen.append(event)
                if text_of(seen) == "Good day. How do":
                    break
    await asyncio.wait_for(gone.wait(), 5)
    http_fake.answer = says("How are you", " today?")
    async with open_generation(peers, await open_openai(remote)) as second:
        rest = await all_of(second.stub.StreamReply(after(seen), metadata=as_reader))
    assert [event.seam.keep for event in rest if event.HasField("seam")] == [len("Good day.")]
    assert assembled(seen + rest) == rest[-1].complete.content == "Good day. How are you today?"
    messages_ = http_fake.exchanges[-1].body["messages"]
    assert messages_[-2] == {"role": "assistant", "content": "Good day."}
    assert messages_[-1]["role"] == "user"
    assert counted("gaji_generation_seams_total") == before[0] + 1
    assert counted("gaji_generations_taken_over_total") == before[1] + 1


async def test_a_dead_writer_is_replaced_while_somebody_reads(peers: Peers, as_reader: Any, redis_url: str) -> None:
    async with open_generation(peers, DyingModel(5)) as first:
        async with streams.opened(first.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
            seen = [await anext(messages)]
            while text_of(seen) != words(5):
                seen.append(await anext(messages))
            row = only_row(peers)
            # As if the first replica had died: its lease is over, and the library gives the reply to the next.
            async with redis.asyncio.Redis.from_url(redis_url) as client:
                state = names(UUID(row.message.message_id))[1]
                await eventually(lambda: len(seen) >= 9)
                async with asyncio.timeout(5):
                    while int(await client.hget(state, "seq") or 0) < len(seen):
                        await asyncio.sleep(0.01)
                row.take()
                await client.hset(state, mapping={"epoch": row.epoch, "lease": 0})
                async with open_generation(peers, ScriptedModel(40, 200)) as second:
                    rest = await all_of(second.stub.StreamReply(after(seen), metadata=as_reader))
                    zombie = [event async for event in messages]
    assert assembled(seen + rest) == words(40)
    assert assembled(seen + zombie) == words(40), "the zombie's own readers are led on as well"
    assert len(peers.library.completed) == 1


async def test_a_reader_ahead_of_the_log_is_put_right(peers: Peers, as_reader: Any) -> None:
    async with dead_after(peers, 10, as_reader) as seen:
        lost = pb.StreamReplyResponse.FromString(seen[-1].SerializeToString())
        head, epoch, sequence = lost.cursor.split(".")
        ahead = pb.StreamReplyRequest(conversation_id=CONVERSATION, after=f"{head}.{epoch}.{int(sequence) + 3}")
        async with open_generation(peers, ScriptedModel(30, 0)) as second:
            rest = await all_of(second.stub.StreamReply(ahead, metadata=as_reader))
    assert rest[0].seam.keep == len(words(10))
    assert (words(10) + " lost lost lost")[: rest[0].seam.keep] + text_of(rest) == words(30)


async def test_an_orphan_is_found_and_finished(peers: Peers, as_reader: Any) -> None:
    async with dead_after(peers, 7, as_reader):
        async with open_generation(peers, ScriptedModel(20, 0)) as second:
            await eventually(lambda: only_row(peers).age > 0.6)
            orphans = await second.stub.ListOrphans(pb.ListOrphansRequest())
            assert list(orphans.message_ids) == [only_row(peers).message.message_id]
            finished = await second.stub.FinishReply(pb.FinishReplyRequest(message_id=orphans.message_ids[0]))
            assert finished.outcome == "complete"
            assert only_row(peers).message.content == words(20)
            assert not (await second.stub.ListOrphans(pb.ListOrphansRequest())).message_ids
            again = await second.stub.FinishReply(pb.FinishReplyRequest(message_id=orphans.message_ids[0]))
            assert again.outcome == "complete"


async def test_a_reserved_opening_is_written_without_its_reader(peers: Peers) -> None:
    row = peers.library.reserve(library_pb.BeginReplyRequest(request_id="o-1", opening=library_pb.OpeningTarget()))
    async with open_generation(peers, ScriptedModel(20, 0)) as rooms:
        calls = (rooms.stub.FinishReply(pb.FinishReplyRequest(message_id=row.message.message_id)) for _ in range(5))
        finished = await asyncio.gather(*calls)
    assert {each.outcome for each in finished} == {"complete"}
    assert row.message.content == words(20)
    assert (row.epoch, len(peers.library.completed)) == (1, 1)


async def test_a_writer_that_died_after_storing_leaves_an_end(peers: Peers, as_reader: Any) -> None:
    async with dead_after(peers, 12, as_reader) as seen:
        row = only_row(peers)
        row.message.status = library_pb.MESSAGE_STATUS_COMPLETE
        row.message.content = words(14)
        async with open_generation(peers, ScriptedModel(99, 0)) as second:
            rest = await all_of(second.stub.StreamReply(after(seen), metadata=as_reader))
            assert text_of(rest) == " word13 word14"
            assert assembled(seen + rest) == rest[-1].complete.content
            again = await all_of(second.stub.StreamReply(after(rest), metadata=as_reader))
    assert again == []


@pytest.mark.parametrize("status", ["complete", "stopped", "failed"])
async def test_an_expired_log_is_answered_from_the_stored_message(
    peers: Peers, as_reader: Any, redis_url: str, status: str
) -> None:
    async with open_generation(peers, ScriptedModel(12, 0)) as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        row = only_row(peers)
        row.message.status = getattr(library_pb, f"MESSAGE_STATUS_{status.upper()}")
        async with asyncio.timeout(5):
            while counted("gaji_log_producers"):  # else what Redis forgets is written again
                await asyncio.sleep(0.01)
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.flushall()
        watch = pb.WatchReplyRequest(conversation_id=CONVERSATION, message_id=row.message.message_id)
        whole = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
        assert [event.WhichOneof("event") for event in whole] == ["progress", "seam", "token", status]
        assert text_of(whole) == words(12)
        gaps = counted("gaji_generation_gaps_total")
        watch.after = events[7].cursor
        rest = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
        assert [event.WhichOneof("event") for event in rest] == ["gap", "seam", "token", status]
        assert (rest[0].gap.first_sequence, rest[0].gap.last_sequence) == (9, len(events))
        assert counted("gaji_generation_gaps_total") == gaps + 1
        assert assembled(events[:8] + rest) == words(12)
        assert not any(event.cursor for event in rest[:-1]), "a reader that is cut off here comes back to the same"
        watch.after = rest[-1].cursor
        assert await all_of(rooms.stub.WatchReply(watch, metadata=as_reader)) == []


async def test_without_redis_a_reply_comes_all_the_same(
    jwt_keys: JwtKeys, as_reader: Any, unused_tcp_port: int
) -> None:
    settings = make_settings(
        jwt_public_key_file=jwt_keys.public, redis_url=f"redis://127.0.0.1:{unused_tcp_port}/0", redis_timeout=0.2
    )
    async with open_peers(settings) as peers, open_generation(peers, ScriptedModel(20, 0)) as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert events[-1].complete.content == words(20)
        again = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert again[-1].complete.content == words(20)


async def test_the_opening_is_what_a_conversations_events_are_by_default(peers: Peers, as_reader: Any) -> None:
    row = peers.library.reserve(library_pb.BeginReplyRequest(request_id="o-1", opening=library_pb.OpeningTarget()))
    async with open_generation(peers, ScriptedModel(20, 0)) as rooms:
        watch = pb.WatchReplyRequest(conversation_id=CONVERSATION)
        events = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
    assert events[-1].complete.message_id == row.message.message_id
    assert assembled(events) == words(20), "whoever watches a reply that nobody writes has it written"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("No end", ""),
        ("One. Two", "One."),
        ("One. Two.", "One."),
        ('"One!" she said. "Two', '"One!" she said.'),
        ("한 문장입니다. 두 번째", "한 문장입니다."),
        ("A line\nand more", "A line\n"),
    ],
)
def test_a_cut_text_keeps_its_whole_sentences(text: str, kept: str) -> None:
    assert whole_sentences(text) == kept


async def test_a_failed_reply_whose_next_writer_was_lost_at_once_is_written(
    peers: Peers, settings: GenerationSettings, http_fake: HttpFake, as_reader: Any
) -> None:
    http_fake.answer = lambda exchange: exchange.answer(429, {"error": {"message": "slow down"}})
    remote = settings.model_copy(update={"openai_base_url": http_fake.url, "openai_model": "tiny"})
    async with open_generation(peers, await open_openai(remote)) as rooms:
        failed = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert failed[-1].HasField("failed")
        row = only_row(peers)
        # The library has given the reply to the next writer, and nobody has heard of it.
        row.message.status = library_pb.MESSAGE_STATUS_PENDING
        row.take()
        http_fake.answer = says("Good", " day.")
        watch = pb.WatchReplyRequest(conversation_id=CONVERSATION, message_id=row.message.message_id)
        events = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
    assert assembled(events) == events[-1].complete.content == "Good day."
    assert row.epoch == 3


async def test_the_sweep_writes_it_as_well(
    peers: Peers, settings: GenerationSettings, http_fake: HttpFake, as_reader: Any
) -> None:
    http_fake.answer = lambda exchange: exchange.answer(429, {"error": {"message": "slow down"}})
    remote = settings.model_copy(update={"openai_base_url": http_fake.url, "openai_model": "tiny"})
    async with open_generation(peers, await open_openai(remote)) as rooms:
        await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        row = only_row(peers)
        row.message.status = library_pb.MESSAGE_STATUS_PENDING
        row.take()
        http_fake.answer = says("Good", " day.")
        await eventually(lambda: row.age > 0.6)
        orphans = await rooms.stub.ListOrphans(pb.ListOrphansRequest())
        finished = await rooms.stub.FinishReply(pb.FinishReplyRequest(message_id=orphans.message_ids[0]))
        assert finished.outcome == "complete"
        assert row.message.content == "Good day."


async def test_a_job_that_leaves_leaves_the_reply_running(peers: Peers) -> None:
    row = peers.library.reserve(library_pb.BeginReplyRequest(request_id="o-1", opening=library_pb.OpeningTarget()))
    request = pb.FinishReplyRequest(message_id=row.message.message_id)
    async with open_generation(peers, ScriptedModel(30, 50)) as rooms:
        for patience in (0.01, 0.05, 0.1):
            error = await unary_status(rooms.stub.FinishReply(request, timeout=patience))
            assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await rooms.stub.FinishReply(request)).outcome == "complete"
    assert row.message.content == words(30)
    assert row.epoch == 1


async def test_a_takeover_needs_no_readers_token(peers: Peers, as_reader: Any) -> None:
    async with open_generation(peers, ScriptedModel(20, 0)) as second:
        async with dead_after(peers, 5, as_reader) as seen:
            row = only_row(peers)
            row.take()  # somebody else has it, and will not live to write it
            rest = await all_of(second.stub.StreamReply(after(seen), metadata=as_reader))
    assert assembled(seen + rest) == words(20)
    assert peers.library.tokens[-1] is None, "it is nobody's call"


async def test_all_leases_are_given_back_though_models_stop_slowly(
    peers: Peers, as_reader: Any, redis_url: str
) -> None:
    class Slow(DyingModel):
        stopping = 0.0

        async def answer(self, *args: Any, **kwargs: Any) -> None:
            try:
                await super().answer(*args, **kwargs)
            finally:
                Slow.stopping += 0.1
                await asyncio.sleep(Slow.stopping)

    peers.settings = peers.settings.model_copy(update={"log_lease_seconds": 60.0})
    async with AsyncExitStack() as stack:
        async with open_generation(peers, Slow(3)) as first:
            for n in range(4):
                call = first.stub.StreamReply(reply_request(f"r-{n}"), metadata=as_reader)
                messages = await stack.enter_async_context(streams.opened(call))
                text = ""
                while text != words(3):
                    text += (await anext(messages)).token.content
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        leases = [
            await client.hget(names(UUID(row.message.message_id))[1], "lease") for row in peers.library.rows.values()
        ]
    assert leases == [b"0"] * 4


async def test_the_end_of_a_copied_reply_is_an_end(peers: Peers, as_reader: Any) -> None:
    """A fork's messages have no log, and nobody has ever taken them up."""
    row = peers.library.reserve(library_pb.BeginReplyRequest(request_id="o-1", opening=library_pb.OpeningTarget()))
    row.message.status, row.message.content = library_pb.MESSAGE_STATUS_COMPLETE, "Hello."
    watch = pb.WatchReplyRequest(conversation_id=CONVERSATION, message_id=row.message.message_id)
    async with open_generation(peers, ScriptedModel(20, 0)) as rooms:
        events = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
        assert assembled(events) == "Hello."
        watch.after = events[-1].cursor
        assert await all_of(rooms.stub.WatchReply(watch, metadata=as_reader)) == []


async def test_a_takeover_goes_on_in_the_replys_trace(peers: Peers, as_reader: Any, recorded: Recording) -> None:
    first_trace, later_trace = "1" * 32, "2" * 32

    def sampled(trace_id: str) -> list[tuple[str, str]]:
        return [*as_reader, ("traceparent", f"00-{trace_id}-{'b' * 16}-01")]

    def written() -> list[Received]:
        return [span for span in recorded.ended() if span.name == "write reply"]

    async with open_generation(peers, ScriptedModel(60, 100)) as second:
        async with dead_after(peers, 25, sampled(first_trace)) as seen:
            rest = await all_of(second.stub.StreamReply(after(seen), metadata=sampled(later_trace)))
        await eventually(lambda: len(written()) == 2)
        await eventually(lambda: any(span.links for span in recorded.ended(later_trace)))
    assert assembled(seen + rest) == words(60)
    before, behind = written()
    assert {before.trace_id, behind.trace_id} == {first_trace}
    assert behind.parent_id == before.span_id
    assert before.event_names == ["first token"]
    assert before.attributes["gaji.cancelled"] is True
    assert behind.event_names[0] == "takeover"
    assert (behind.attributes["gaji.reply.epoch"], behind.attributes["gaji.reply.outcome"]) == (2, "complete")
    (reading,) = (span for span in recorded.ended(later_trace) if span.links)
    assert reading.links == [(first_trace, before.span_id)]
