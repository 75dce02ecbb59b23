"""A model in trouble and the next one in the list."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from mesh.errors import MeshError
from mesh.telemetry.metrics import REGISTRY
from services.generation.domain import failures
from services.generation.domain.lineup import Lineup
from services.generation.ports import Chunk, Hear, ModelProvider, Prompt
from services.generation.providers.lineup import open_models
from services.generation.providers.openai import open_provider as open_openai
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import PROMPT, make_settings
from tests.generation.http_fake import Exchange, HttpFake
from tests.generation.rooms import Rooms, open_rooms
from tests.generation.test_generation_servicer import all_of, arms, reply_request, says, text_of, words

Open = Callable[..., AbstractAsyncContextManager[Rooms]]
DEAD = "http://127.0.0.1:1/v1"


@pytest.fixture
def open_two(jwt_keys: JwtKeys, http_fake: HttpFake, redis_url: str) -> Open:
    """The rooms with the fake remote model and, behind it, the scripted one."""

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[Rooms]:
        values = {
            "jwt_public_key_file": jwt_keys.public,
            "openai_base_url": http_fake.url,
            "openai_model": "tiny",
            "redis_url": redis_url,
            "first_token_seconds": 0.3,
            **changes,
        }
        settings = make_settings(**values)
        async with open_rooms(settings, await open_openai(settings), ScriptedModel(5, 0)) as rooms:
            yield rooms

    return run


def failing(status: int, **headers: str) -> Callable[[Exchange], Any]:
    return lambda exchange: exchange.answer(status, {"error": {"message": "no"}}, **headers)


async def hang(exchange: Exchange) -> None:
    await exchange.gone.wait()


async def mute(exchange: Exchange) -> None:
    """It begins to answer and says nothing."""
    await exchange.begin()
    await exchange.gone.wait()


async def die(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


TROUBLES = {
    "dies": die,
    "hangs": hang,
    "begins and hangs": mute,
    "is overloaded": failing(429, retry_after="9"),
    "is broken": failing(500),
    "has lost its key": failing(401),
    "says nothing": says(),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_next_model_answers_before_the_first_token(
    open_two: Open, http_fake: HttpFake, as_reader: Any, trouble: str
) -> None:
    http_fake.answer = TROUBLES[trouble]
    async with open_two() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
        assert arms(events) == ["progress", "progress", "progress", "progress", "token", "complete"]
        complete = events[-1].complete
        assert complete.content == text_of(events) == words(5)
        assert (complete.provider, complete.model) == ("scripted", "numbered-words")
        assert list(complete.degraded) == ["PROVIDER_FALLBACK"]
        record = rooms.library.completed[0].record
        assert (record.provider, list(record.degraded)) == ("scripted", ["PROVIDER_FALLBACK"])


async def test_what_comes_after_the_first_token_is_told(open_two: Open, http_fake: HttpFake, as_reader: Any) -> None:
    http_fake.answer = says("Good", " day", then=die)
    async with open_two() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
        assert arms(events)[-2:] == ["token", "failed"]
        assert (events[-1].failed.reason, events[-1].failed.retryable) == ("MODEL_STREAM_BROKEN", True)
        assert rooms.library.failed[0].record.provider == "openai"


async def test_what_goes_wrong_in_hearing_is_not_the_models(http_fake: HttpFake) -> None:
    http_fake.answer = says("Good", " day")
    model = await open_openai(make_settings(openai_base_url=http_fake.url, openai_model="tiny"))
    lineup = Lineup([model, ScriptedModel(5, 0)])

    async def ask(provider: ModelProvider, hear: Hear) -> None:
        await provider.answer(PROMPT, hear, max_tokens=8, temperature=0.0)

    def hear(chunk: Chunk) -> None:
        raise ValueError("ours")

    for _ in range(2):  # the second time too it is the first model that is asked
        with pytest.raises(ValueError, match="ours"):
            await lineup.answer(ask, hear)
    assert len(http_fake.exchanges) == 2
    await model.aclose()


async def test_a_pause_after_the_first_token_is_no_reason_to_go_on(
    open_two: Open, http_fake: HttpFake, as_reader: Any
) -> None:
    async def pause(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await exchange.end()

    http_fake.answer = says("Good day.", then=pause)
    async with open_two() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert (events[-1].complete.content, events[-1].complete.provider) == ("Good day.", "openai")
    assert not events[-1].complete.degraded


async def test_what_a_model_declines_no_other_is_asked(open_two: Open, http_fake: HttpFake, as_reader: Any) -> None:
    async def decline(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]})
        await exchange.end()

    http_fake.answer = decline
    async with open_two() as rooms:
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert (events[-1].failed.reason, events[-1].failed.retryable) == ("MODEL_REFUSED", False)


async def test_a_dead_model_costs_no_reply(open_two: Open, http_fake: HttpFake, as_reader: Any) -> None:
    def failures_of(provider: str) -> float:
        labels = {"provider": provider, "reason": "MODEL_UNREACHABLE", "token": "before"}
        return REGISTRY.get_sample_value("gaji_provider_failures_total", labels) or 0

    before, answered = failures_of("openai"), 0
    async with open_two(openai_base_url=DEAD) as rooms:
        for start in range(0, 1000, 25):
            requests = [reply_request(f"r-{start + number}") for number in range(25)]
            calls = [all_of(rooms.stub.StreamReply(request, metadata=as_reader)) for request in requests]
            answered += sum(events[-1].complete.content == words(5) for events in await asyncio.gather(*calls))
    assert answered >= 999
    assert failures_of("openai") - before < 100, "replies do not each wait for it"


class Told:
    """A model that does as it is told, by a clock of the test's own."""

    name, model, context_window, continues = "told", "told", 8192, True

    def __init__(self) -> None:
        self.error: MeshError | None = None
        self.tries = 0

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        hear(Chunk("primary"))

    async def aclose(self) -> None:
        pass


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def spoken(lineup: Lineup) -> str:
    def ask(model: ModelProvider, hear: Hear) -> Awaitable[None]:
        return model.answer(PROMPT, hear, max_tokens=9, temperature=0)

    chunks: list[Chunk] = []
    await lineup.answer(ask, chunks.append)
    return "".join(chunk.text for chunk in chunks)


async def test_a_model_in_trouble_is_left_alone_for_longer_and_longer_and_comes_back() -> None:
    clock, primary = Clock(), Told()
    lineup = Lineup([primary, ScriptedModel(1, 0)], rest_seconds=30, clock=clock)
    primary.error = failures.unreachable()
    tried_at = []
    for second in range(100):
        clock.now = second
        before = primary.tries
        assert await spoken(lineup) == "word1"
        if primary.tries > before:
            tried_at.append(second)
    assert tried_at == [0, 1, 3, 7, 15, 31, 61, 91]
    primary.error, clock.now = None, 125
    assert [await spoken(lineup) for _ in range(3)] == ["primary"] * 3
    primary.error = failures.unreachable()
    assert await spoken(lineup) == "word1"
    clock.now += 1
    primary.error = None
    assert await spoken(lineup) == "primary", "its good days have wiped the bad ones out"


async def test_a_model_says_itself_how_long_to_leave_it_alone() -> None:
    clock, primary = Clock(), Told()
    lineup = Lineup([primary, ScriptedModel(1, 0)], clock=clock)
    primary.error = failures.busy(9.0)
    assert await spoken(lineup) == "word1"
    primary.error = None
    clock.now = 8.9
    assert await spoken(lineup) == "word1"
    clock.now = 9.0
    assert await spoken(lineup) == "primary"


async def test_where_all_are_in_trouble_all_are_tried_and_the_last_word_is_told() -> None:
    first, second = Told(), Told()
    lineup = Lineup([first, second], clock=Clock())
    first.error, second.error = failures.unreachable(), failures.busy(3.0)
    for _ in range(3):
        with pytest.raises(MeshError) as caught:
            await spoken(lineup)
        assert caught.value.reason == "MODEL_BUSY"
    assert (first.tries, second.tries) == (3, 3)


async def test_a_single_model_is_never_left_alone() -> None:
    model = Told()
    lineup = Lineup([model], clock=Clock())
    model.error = failures.unreachable()
    with pytest.raises(MeshError):
        await spoken(lineup)
    model.error = None
    assert await spoken(lineup) == "primary"


async def test_what_a_model_says_too_late_is_not_heard() -> None:
    class Late(Told):
        async def answer(self, prompt: Prompt, hear: Hear, **_: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                hear(Chunk("too late"))

    lineup = Lineup([Late(), ScriptedModel(1, 0)], first_token_seconds=0.01)
    assert await spoken(lineup) == "word1"


async def test_a_second_model_that_does_not_open_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    models = await open_models(make_settings(provider="scripted, openai,scripted"))
    assert [model.name for model in models] == ["scripted"]
    assert "a provider is done without" in caplog.messages
    with pytest.raises(ValueError, match="GAJI_OPENAI_MODEL"):
        await open_models(make_settings(provider="openai,scripted"))
    with pytest.raises(ValueError, match="gpt, which is not known"):
        await open_models(make_settings(provider="scripted,gpt"))
