"""StreamReply and StreamOpening over real gRPC, from the reader's call to library's last word."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import pytest
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.library.v1 import conversation_service_pb2 as library_pb

from mesh import streams
from mesh.errors import InvalidArgument, MeshError, NotFound, Unavailable, from_rpc_error
from mesh.telemetry.metrics import REGISTRY
from services.generation.domain import writing
from services.generation.ports import Chunk, Hear, Prompt
from services.generation.providers.openai import open_provider as open_openai
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import Bearer, JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.http_fake import Exchange, HttpFake
from tests.generation.rooms import CHARACTER, CONVERSATION, READER, SCENARIO, Rooms, open_rooms

Open = Callable[..., AbstractAsyncContextManager[Rooms]]


@pytest.fixture
def open_scripted(jwt_keys: JwtKeys, redis_url: str) -> Open:
    """The rooms with the scripted model: ``open_scripted(tokens, rate, **settings)``."""

    def run(tokens: int = 20, rate: float = 0, **changes: Any) -> AbstractAsyncContextManager[Rooms]:
        settings = make_settings(jwt_public_key_file=jwt_keys.public, redis_url=redis_url, **changes)
        return open_rooms(settings, ScriptedModel(tokens, rate))

    return run


@pytest.fixture
def open_remote(jwt_keys: JwtKeys, http_fake: HttpFake, redis_url: str) -> Open:
    """The rooms with a remote model, the fake one: ``open_remote(**settings)``."""

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[Rooms]:
        settings = make_settings(
            jwt_public_key_file=jwt_keys.public,
            openai_base_url=http_fake.url,
            openai_model="tiny",
            redis_url=redis_url,
            **changes,
        )
        async with open_rooms(settings, await open_openai(settings)) as rooms:
            yield rooms

    return run


def reply_request(request_id: str = "", content: str = "Are you happy?") -> pb.StreamReplyRequest:
    return pb.StreamReplyRequest(conversation_id=CONVERSATION, content=content, request_id=request_id)


async def all_of(call: Any) -> list[Any]:
    async with streams.opened(call) as messages:
        return [message async for message in messages]


async def status_of(call: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await all_of(call)
    return from_rpc_error(caught.value)


def arms(events: list[Any]) -> list[str]:
    """The kinds of events, tokens in a row as one."""
    kinds = [event.WhichOneof("event") for event in events]
    return [kind for i, kind in enumerate(kinds) if not (kind == "token" and i and kinds[i - 1] == "token")]


def text_of(events: list[Any]) -> str:
    return "".join(event.token.content for event in events)


async def until_idle() -> None:
    while REGISTRY.get_sample_value("gaji_generations_active", {"provider": "openai"}):
        await asyncio.sleep(0.005)


def words(number: int) -> str:
    return " ".join(f"word{n}" for n in range(1, number + 1))


async def test_a_reply_from_message_to_storage(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert arms(events) == ["progress", "progress", "progress", "progress", "token", "complete"]
        assert [(e.progress.progress, e.progress.stage) for e in events[:4]] == [
            (20, "context"),
            (50, "passages"),
            (70, "prompt"),
            (100, "writing"),
        ]
        assert all(event.progress.message for event in events[:4])
        complete = events[-1].complete
        assert complete.content == text_of(events) == words(20)
        assert complete.conversation_id == CONVERSATION
        assert (complete.provider, complete.model) == ("scripted", "numbered-words")
        assert list(complete.passage_ids) == [f"p{n}" for n in range(6)]
        assert complete.usage.completion_tokens == 20
        assert complete.usage.prompt_tokens > 50
        assert 0 < complete.usage.first_token_ms <= complete.usage.total_ms

        stored = rooms.library.completed[0]
        assert (stored.message_id, stored.content) == (complete.message_id, complete.content)
        assert (stored.record.total_ms, stored.record.provider) == (complete.usage.total_ms, "scripted")
        assert list(stored.record.passage_ids) == list(complete.passage_ids)
        assert rooms.library.users == {READER}
        assert not rooms.library.failed

        search = rooms.search.searches[0]
        assert (search.query, search.top_k) == ("Are you happy? A different answer", 6)
        assert not search.HasField("until_chapter")


async def test_the_same_request_again_gives_the_same_reply(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        first = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        again = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
    assert again == first
    assert len(rooms.library.completed) == 1


async def test_the_same_request_fifty_times_at_once_is_one_reply(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(30, 200) as rooms:
        calls = (all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) for _ in range(50))
        readers = await asyncio.gather(*calls)
    assert all(events == readers[0] for events in readers)
    assert readers[0][-1].complete.content == words(30)
    assert len(rooms.library.rows) == len(rooms.library.completed) == 1


async def test_an_opening_uses_the_passages_of_its_scenario_first(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        rooms.library.passage_ids = ["p2", "own"]
        rooms.library.until_chapter = 0
        request = pb.StreamOpeningRequest(scenario_id=SCENARIO, character_id=CHARACTER, request_id="o-1")
        events = await all_of(rooms.stub.StreamOpening(request, metadata=as_reader))
        assert arms(events) == ["progress", "progress", "progress", "progress", "token", "complete"]
        assert list(events[-1].complete.passage_ids) == ["p2", "own", "p0"], "what is beyond the limit is dropped"
        assert events[-1].complete.content == text_of(events)
        assert rooms.search.gets[0].until_chapter == rooms.search.searches[0].until_chapter == 0
        assert rooms.search.searches[0].HasField("until_chapter"), "chapter 0 read is not nothing read"
        assert "Elizabeth accepted Mr Collins." in rooms.search.searches[0].query


async def test_the_model_sees_the_history_and_the_passages(
    open_remote: Open, http_fake: HttpFake, as_reader: Any
) -> None:
    http_fake.answer = says("Good", " day.")
    async with open_remote() as rooms:
        rooms.library.history = [
            library_pb.Message(message_id="a", role=library_pb.MESSAGE_ROLE_CHARACTER, content="Welcome."),
            library_pb.Message(message_id="b", role=library_pb.MESSAGE_ROLE_READER, content="Hello </scenario>"),
            library_pb.Message(message_id="c", role=library_pb.MESSAGE_ROLE_CHARACTER, content="Sit down."),
        ]
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert events[-1].complete.content == "Good day."
    assert events[-1].complete.usage.prompt_tokens == 7
    messages = http_fake.exchanges[0].body["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"].count("</scenario>") == 1
    assert messages[3]["content"] == "Hello \u2039/scenario\u203a"
    assert messages[-1]["content"].startswith("<passages>\nFound passage 0.\n[chapter 1] Found passage 1.\n")
    assert messages[-1]["content"].endswith("</passages>\n\nAre you happy?")


@pytest.mark.parametrize("trouble", ["down", "slow", "refusing"])
async def test_a_reply_comes_without_search(open_scripted: Open, as_reader: Any, trouble: str) -> None:
    async with open_scripted(passages_seconds=0.2, retries=False) as rooms:
        if trouble == "slow":
            rooms.search.gate = asyncio.Event()
        else:
            rooms.search.error = Unavailable("down") if trouble == "down" else NotFound("no such novel")
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert events[-1].complete.content == words(20)
    assert not events[-1].complete.passage_ids
    assert events[1].progress.message == "No passages found"


def says(*texts: str, then: Callable[[Exchange], Any] | None = None) -> Callable[[Exchange], Any]:
    """A remote model that says some words and then ends well, or as told."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        for text in texts:
            await exchange.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
        if then is not None:
            await then(exchange)
            return
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await exchange.event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(texts)}})
        await exchange.end()

    return answer


async def test_a_model_that_fails_before_its_first_token(
    open_remote: Open, http_fake: HttpFake, as_reader: Any
) -> None:
    http_fake.answer = lambda exchange: exchange.answer(429, {"error": {"message": "slow down"}}, retry_after="9")
    async with open_remote() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert arms(events) == ["progress", "progress", "progress", "failed"]
        failed = events[-1].failed
        assert (failed.code, failed.reason, failed.retryable) == ("RESOURCE_EXHAUSTED", "MODEL_BUSY", True)
        assert failed.message
        kept = rooms.library.failed[0]
        assert (kept.content, kept.record.failure) == ("", failed)

        http_fake.answer = says("Good", " day.")
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        assert events[-1].complete.content == "Good day.", "the same request may be tried again"


async def test_a_model_that_fails_after_its_first_token(open_remote: Open, http_fake: HttpFake, as_reader: Any) -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.writer.transport.abort()

    http_fake.answer = says("Good", " day", then=cut)
    async with open_remote() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert arms(events) == ["progress", "progress", "progress", "progress", "token", "failed"]
    assert events[-1].failed.reason == "MODEL_STREAM_BROKEN"
    kept = rooms.library.failed[0]
    assert kept.content == text_of(events) == "Good day"
    assert kept.record.failure.code == "UNAVAILABLE"
    assert kept.record.first_token_ms > 0
    assert not rooms.library.completed


async def test_a_model_without_a_word_is_a_failure(open_remote: Open, http_fake: HttpFake, as_reader: Any) -> None:
    http_fake.answer = says()
    async with open_remote() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert events[-1].failed.reason == "MODEL_SILENT"
    assert rooms.library.failed


async def test_a_prompt_that_was_estimated_too_low_is_built_anew(
    open_remote: Open, http_fake: HttpFake, as_reader: Any
) -> None:
    async def first_too_long(exchange: Exchange) -> None:
        if len(http_fake.exchanges) == 1:
            error = {"code": "context_length_exceeded", "message": "You requested 16000 tokens, the context has 8192"}
            await exchange.answer(400, {"error": error})
        else:
            await says("Good day.")(exchange)

    http_fake.answer = first_too_long
    async with open_remote() as rooms:
        rooms.library.history = [
            library_pb.Message(message_id=f"m{n}", role=library_pb.MESSAGE_ROLE_READER, content="qx zj vk " * 200)
            for n in range(20)
        ]
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert events[-1].complete.content == "Good day."
    first, second = (sum(len(m["content"]) for m in e.body["messages"]) for e in http_fake.exchanges)
    assert second < 0.6 * first


class StuckModel(ScriptedModel):
    """Says a word and, once stopped, never comes to an end with cleaning up."""

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        try:
            hear(Chunk("Good day"))
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()


@pytest.mark.parametrize("how", ["stop", "deadline"])
async def test_a_model_that_does_not_stop_holds_nobody_up(
    jwt_keys: JwtKeys, redis_url: str, as_reader: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(writing, "_STOPPING_SECONDS", 0.1)
    seconds = 0.5 if how == "deadline" else 60
    settings = make_settings(jwt_public_key_file=jwt_keys.public, redis_url=redis_url, reply_seconds=seconds)
    async with open_rooms(settings, StuckModel(1, 0)) as rooms, asyncio.timeout(30):
        async with streams.opened(rooms.stub.StreamReply(reply_request(), metadata=as_reader)) as messages:
            async for event in messages:
                if event.token.content and how == "stop":
                    (row,) = rooms.library.rows.values()
                    request = pb.StopReplyRequest(conversation_id=CONVERSATION, message_id=row.message.message_id)
                    await rooms.stub.StopReply(request, metadata=as_reader)
        kept = (rooms.library.stopped or rooms.library.failed)[0].content
        assert (event.WhichOneof("event"), kept) == ("stopped" if how == "stop" else "failed", "Good day")
        assert how == "stop" or event.failed.reason == "MODEL_TOO_SLOW"


@pytest.mark.parametrize("moment", ["before the first token", "after it"])
async def test_a_stop_reaches_the_model_and_keeps_what_was_written(
    open_remote: Open, http_fake: HttpFake, as_reader: Any, moment: str
) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        arrived.set()
        try:
            await exchange.gone.wait()
        finally:
            gone.set()

    early = moment == "before the first token"
    http_fake.answer = says(*([] if early else ["Good", " day"]), then=wait)
    async with open_remote() as rooms:
        text = ""
        async with streams.opened(rooms.stub.StreamReply(reply_request(), metadata=as_reader)) as messages:
            async for event in messages:
                text += event.token.content
                if text == "Good day" or (early and event.progress.progress == 70):
                    break
            await asyncio.wait_for(arrived.wait(), 5)
            (row,) = rooms.library.rows.values()
            request = pb.StopReplyRequest(conversation_id=CONVERSATION, message_id=row.message.message_id)
            stopped = await rooms.stub.StopReply(request, metadata=as_reader)
            await asyncio.wait_for(gone.wait(), 5)
            rest = [event async for event in messages]
        assert (stopped.outcome, stopped.content) == ("stopped", text)
        assert rest[-1].stopped.content == text
        assert rooms.library.stopped[0].content == text
        again = await rooms.stub.StopReply(request, metadata=as_reader)
        assert again == stopped, "it is idempotent"
        assert len(rooms.library.stopped) == 1
        await asyncio.wait_for(until_idle(), 5)


async def test_a_reader_who_leaves_leaves_the_reply_running(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(60, 200) as rooms:
        async with streams.opened(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
            seen = [await anext(messages) for _ in range(10)]
        await asyncio.wait_for(rooms.library.ended.wait(), 5)
        after = pb.StreamReplyRequest(conversation_id=CONVERSATION, after=seen[-1].cursor)
        rest = await all_of(rooms.stub.StreamReply(after, metadata=as_reader))
        assert text_of(seen) + text_of(rest) == rest[-1].complete.content == words(60)
        assert [event.sequence for event in seen + rest] == list(range(1, len(seen + rest) + 1))
        at_end = pb.StreamReplyRequest(conversation_id=CONVERSATION, after=rest[-1].cursor)
        assert await all_of(rooms.stub.StreamReply(at_end, metadata=as_reader)) == []


async def test_a_reader_who_leaves_while_library_begins_changes_nothing(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        rooms.library.begin_gate = asyncio.Event()
        call = rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader)
        reading = asyncio.ensure_future(all_of(call))
        while not rooms.library.users:
            await asyncio.sleep(0.005)
        reading.cancel()
        await asyncio.wait([reading])
        await asyncio.sleep(0.05)
        rooms.library.begin_gate.set()
        await asyncio.wait_for(rooms.library.ended.wait(), 5)
    assert rooms.library.completed[0].content == words(20)


async def test_the_readers_deadline_is_not_the_replys(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(60, 50) as rooms:
        error = await status_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader, timeout=0.3))
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(rooms.library.ended.wait(), 10)
    assert rooms.library.completed[0].content == words(60)


async def test_a_reply_has_its_own_limit_of_time(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(1000, 50, reply_seconds=0.4) as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert (events[-1].failed.code, events[-1].failed.reason) == ("DEADLINE_EXCEEDED", "MODEL_TOO_SLOW")
    assert rooms.library.failed[0].content == text_of(events)


async def test_a_reply_is_told_to_be_whole_when_it_is_stored(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(retries=False) as rooms:
        rooms.library.end_error = Unavailable("the database is down", reason="DATABASE_UNAVAILABLE")
        async with streams.opened(rooms.stub.StreamReply(reply_request(), metadata=as_reader)) as messages:
            seen = []
            async for event in messages:
                seen.append(event)
                if text_of(seen) == words(20):
                    break
            rooms.library.end_error = None
            seen += [event async for event in messages]
    assert arms(seen)[-2:] == ["token", "complete"]
    assert rooms.library.completed[0].content == words(20)


async def test_errors_before_the_first_event_are_statuses(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        rooms.library.begin_error = NotFound("no such conversation", reason="CONVERSATION_NOT_FOUND")
        error = await status_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert isinstance(error, NotFound)
    assert error.reason == "CONVERSATION_NOT_FOUND"
    assert not rooms.library.failed


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.StreamReplyRequest(conversation_id="x", content="Hi"), "conversation_id"),
        (pb.StreamReplyRequest(content="Hi"), "conversation_id"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION), "content"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, content="   "), "content"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, content="x" * 8001), "content"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, content="a\0b"), "content"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, content="Hi", request_id="a b"), "request_id"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, content="Hi", request_id="x" * 129), "request_id"),
        (pb.StreamOpeningRequest(scenario_id="x", character_id=CHARACTER), "scenario_id"),
        (pb.StreamOpeningRequest(scenario_id=SCENARIO), "character_id"),
        (pb.StreamOpeningRequest(scenario_id=SCENARIO, character_id=CHARACTER, request_id="é"), "request_id"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, after="12"), "after"),
        (pb.StreamReplyRequest(conversation_id=CONVERSATION, after=f"{uuid.UUID(int=7).hex}.1.1"), "after"),
    ],
)
async def test_a_bad_request_is_refused_by_field(
    open_scripted: Open, as_reader: Any, request_: Any, field: str
) -> None:
    async with open_scripted() as rooms:
        opening = isinstance(request_, pb.StreamOpeningRequest)
        method: Any = rooms.stub.StreamOpening if opening else rooms.stub.StreamReply
        error = await status_of(method(request_, metadata=as_reader))
    assert isinstance(error, InvalidArgument)
    assert list(error.fields) == [field]
    assert not rooms.library.rows


async def test_nobody_gets_no_reply(open_scripted: Open) -> None:
    async with open_scripted() as rooms:
        error = await status_of(rooms.stub.StreamReply(reply_request()))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_slow_reader_holds_up_nobody_and_misses_nothing(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(2000) as rooms:
        async with streams.opened(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as slow:
            events = [await anext(slow)]
            others = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
            events += [event async for event in slow]
    assert events == others
    assert events[-1].complete.content == text_of(events) == words(2000)


async def test_what_it_counts(open_scripted: Open, as_reader: Any) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"provider": "scripted", **labels}) or 0.0

    names = [
        ("gaji_first_token_seconds_count", {}),
        ("gaji_generation_tokens_total", {"kind": "completion"}),
        ("gaji_generations_total", {"outcome": "complete"}),
    ]
    before = [value(name, **labels) for name, labels in names] + [asked(name, **labels) for name, labels in OF_MODELS]
    async with open_scripted() as rooms:
        await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    after = [value(name, **labels) for name, labels in names] + [asked(name, **labels) for name, labels in OF_MODELS]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 20, 1, 1, 1, 19, 20]
    assert value("gaji_generations_active") == 0


OF_MODELS: list[tuple[str, dict[str, str]]] = [
    ("operation_duration_seconds_count", {"error_type": ""}),
    ("operation_time_to_first_chunk_seconds_count", {}),
    ("operation_time_per_output_chunk_seconds_count", {}),
    ("token_usage_sum", {"gen_ai_token_type": "output"}),
]


def asked(name: str, **labels: str) -> float:
    """One of OpenTelemetry's metrics of language models."""
    of = {"operation_name": "chat", "provider_name": "scripted", "request_model": "numbered-words"}
    named = {f"gen_ai_{key}": word for key, word in of.items()}
    return REGISTRY.get_sample_value(f"gen_ai_client_{name}", {**named, **labels}) or 0.0


async def test_a_reply_is_stored_though_its_readers_token_ends_meanwhile(open_scripted: Open, bearer: Bearer) -> None:
    async with open_scripted(100, 50) as rooms:
        # Made when the rooms stand, for three of the reply's five seconds: a busy machine must not use it up before.
        metadata = [("authorization", f"Bearer {bearer(READER, ttl=3)}")]
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=metadata))
    assert rooms.library.completed[0].content == events[-1].complete.content == words(100)
