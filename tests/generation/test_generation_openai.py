import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.generation.ports import Chunk, Prompt, PromptTooLong, TokenCounts, Turn
from services.generation.providers.openai import OpenAIModel, open_provider
from tests.generation.conftest import PROMPT, heard, make_settings, said
from tests.generation.http_fake import Exchange, HttpFake

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
async def model(http_fake: HttpFake) -> AsyncIterator[OpenAIModel]:
    provider = await open_provider(
        make_settings(
            openai_base_url=f"{http_fake.url}/v1", openai_api_key="k-1", openai_model="tiny", model_timeout=0.5
        )
    )
    yield provider
    await provider.aclose()


def delta(text: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]}


async def whole_answer(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.send(": OPENROUTER PROCESSING\n\n")
    await exchange.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})
    for text in ("I am", " Alice", "\u2028안녕."):
        await exchange.event(delta(text))
    await exchange.event(delta(finish="stop"))
    await exchange.event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3}})
    await exchange.send("data: [DONE]\n\n")
    await exchange.end()


async def test_an_answer_comes_whole_with_its_counts(http_fake: HttpFake, model: OpenAIModel) -> None:
    http_fake.answer = whole_answer
    prompt = Prompt("You are Alice.", (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "Who are you?")))
    assert await said(model, prompt, stop=["\nReader:"]) == ("I am Alice\u2028안녕.", TokenCounts(11, 3))
    request = http_fake.exchanges[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k-1"
    assert request.body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "You are Alice."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Who are you?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 32,
        "temperature": 0.0,
        "stop": ["\nReader:"],
    }


async def test_what_hears_an_answer_is_free_at_its_end(http_fake: HttpFake, model: OpenAIModel) -> None:
    """A reply hangs on it: left to the collector, thousands of events would wait for one long pause."""

    class Ear:
        def hear(self, chunk: Chunk) -> None:
            pass

    http_fake.answer = whole_answer
    gc.disable()
    try:
        ear = Ear()
        gone = weakref.ref(ear)
        await model.answer(PROMPT, ear.hear, max_tokens=32, temperature=0.0)
        del ear
        async with asyncio.timeout(5):  # the answer's last bytes may come after its [DONE]
            while gone() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_tokens_come_one_by_one(http_fake: HttpFake, model: OpenAIModel) -> None:
    go_on = asyncio.Event()

    async def stepwise(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("one"))
        await go_on.wait()
        await exchange.event(delta(" two", "stop"))
        await exchange.end()

    http_fake.answer = stepwise
    stream = heard(model)
    assert (await anext(stream)).text == "one"
    go_on.set()
    assert [chunk.text async for chunk in stream] == [" two"]


async def test_tokens_that_come_together_go_on_together(http_fake: HttpFake, model: OpenAIModel) -> None:
    async def at_once(exchange: Exchange) -> None:
        await exchange.begin()
        events = [delta("one"), delta(" two"), delta(" three", "stop")]
        await exchange.send("".join(f"data: {json.dumps(event)}\n\n" for event in events))
        await exchange.end()

    http_fake.answer = at_once
    stream = heard(model)
    assert [chunk.text async for chunk in stream] == ["one two three"]


async def test_a_connection_serves_one_answer_after_the_other(http_fake: HttpFake, model: OpenAIModel) -> None:
    async def to_the_end(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("one", "stop"))
        done = b"data: [DONE]\n\n"
        exchange.writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(done), done))  # in one piece, as servers do
        await exchange.writer.drain()

    http_fake.answer = to_the_end
    assert [await said(model) for _ in range(3)] == [("one", None)] * 3
    assert len({exchange.writer for exchange in http_fake.exchanges}) == 1


def refusal(status: int, error: Any, **headers: str) -> Callable[[Exchange], Awaitable[None]]:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(status, error, **headers)

    return refuse


VLLM = "This model's maximum context length is 8192 tokens. However, your request has 9001 input tokens."


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "retry_after"),
    [
        (refusal(401, {"error": {"message": "bad key"}}), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (refusal(403, {"error": "no"}), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (refusal(404, [{"error": {"message": "no such model"}}]), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (refusal(400, "what?"), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (refusal(429, {"error": {}}, retry_after="17"), ResourceExhausted, "MODEL_BUSY", 17.0),
        (refusal(429, {}), ResourceExhausted, "MODEL_BUSY", 5.0),
        (refusal(500, {"error": {"message": "x" * 100_000}}), Unavailable, "MODEL_UNREACHABLE", None),
        (refusal(503, None), Unavailable, "MODEL_UNREACHABLE", None),
        (refusal(400, {"error": {"message": VLLM, "code": 400}}), PromptTooLong, "PROMPT_TOO_LONG", None),
    ],
)
async def test_a_refusal_is_told_by_kind(  # noqa: PLR0917 - pytest gives them by name
    http_fake: HttpFake, model: OpenAIModel, answer: Any, kind: type[MeshError], reason: str, retry_after: float | None
) -> None:
    http_fake.answer = answer
    with pytest.raises(kind) as caught:
        await said(model)
    assert (caught.value.reason, caught.value.retry_after) == (reason, retry_after)
    if isinstance(caught.value, PromptTooLong):
        assert caught.value.tokens == 9001


def stream_of(*parts: str) -> Callable[[Exchange], Awaitable[None]]:
    async def send(exchange: Exchange) -> None:
        await exchange.begin()
        for part in parts:
            await exchange.send(part)
        await exchange.end()

    return send


HELLO = 'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((HELLO, "data: {not json}\n\n"), "MODEL_STREAM_BROKEN"),
        ((HELLO, "data: [1, 2]\n\n"), "MODEL_STREAM_BROKEN"),
        ((HELLO, 'data: {"choices": 7}\n\n'), "MODEL_STREAM_BROKEN"),
        ((HELLO,), "MODEL_STREAM_BROKEN"),
        ((HELLO, HELLO[:40]), "MODEL_STREAM_BROKEN"),
        ((HELLO, 'data: {"error":{"message":"overloaded","code":529}}\n\n'), "MODEL_UNREACHABLE"),
        ((HELLO, 'data: {"error":{"message":"slow down","code":429}}\n\n'), "MODEL_BUSY"),
        ((HELLO, 'data: {"error":{"message":"oops","code":"odd"}}\n\n'), "MODEL_UNREACHABLE"),
        (
            (HELLO, 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n'),
            "MODEL_REFUSED",
        ),
    ],
)
async def test_a_stream_that_goes_wrong_is_told_by_kind(
    http_fake: HttpFake, model: OpenAIModel, parts: tuple[str, ...], reason: str
) -> None:
    http_fake.answer = stream_of(*parts)
    text = ""
    with pytest.raises(MeshError) as caught:
        async for chunk in heard(model):
            text += chunk.text
    assert text == "Hello"
    assert caught.value.reason == reason


async def test_a_connection_that_is_cut_is_a_broken_stream(http_fake: HttpFake, model: OpenAIModel) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("Hello"))
        exchange.writer.transport.abort()

    http_fake.answer = cut
    with pytest.raises(Unavailable) as caught:
        await said(model)
    assert caught.value.reason == "MODEL_STREAM_BROKEN"


async def test_a_model_that_stalls_is_too_slow(http_fake: HttpFake, model: OpenAIModel) -> None:
    async def stall(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("Hello"))
        await exchange.gone.wait()

    http_fake.answer = stall
    with pytest.raises(DeadlineExceeded) as caught:
        await said(model)
    assert caught.value.reason == "MODEL_TOO_SLOW"


def endless(left: asyncio.Event) -> Callable[[Exchange], Awaitable[None]]:
    """An answer that begins and does not end; sets the event when its reader has left."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("Hello"))
        try:
            await exchange.gone.wait()
        finally:
            left.set()

    return answer


async def test_what_whoever_hears_raises_ends_the_answer(http_fake: HttpFake, model: OpenAIModel) -> None:
    left = asyncio.Event()

    def hear(chunk: Chunk) -> None:
        raise LookupError(chunk.text)

    http_fake.answer = endless(left)
    with pytest.raises(LookupError, match="Hello"):
        await model.answer(PROMPT, hear, max_tokens=8, temperature=0)
    await asyncio.wait_for(left.wait(), 5)


async def test_words_are_heard_where_they_were_asked_for(http_fake: HttpFake, model: OpenAIModel) -> None:
    """The connection is another's, and its loop's callbacks run in his context."""
    http_fake.answer = whole_answer
    asking: ContextVar[str] = ContextVar("asking", default="nobody")
    heard_by: list[str] = []
    for name in ("first", "second"):
        asking.set(name)
        await model.answer(PROMPT, lambda _: heard_by.append(asking.get()), max_tokens=8, temperature=0)
    assert set(heard_by[: len(heard_by) // 2]) == {"first"}
    assert set(heard_by[len(heard_by) // 2 :]) == {"second"}


async def test_the_connection_is_used_again_though_its_last_bytes_come_late(
    http_fake: HttpFake, model: OpenAIModel
) -> None:
    async def late(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("one", "stop"))
        await exchange.send("data: [DONE]\n\n")
        await heard_all.wait()
        await exchange.end()
        told_all.set()

    heard_all, told_all = asyncio.Event(), asyncio.Event()
    http_fake.answer = late
    assert (await said(model))[0] == "one"
    heard_all.set()
    await told_all.wait()
    await asyncio.sleep(0.05)  # the loop hears of it
    assert (await said(model))[0] == "one"
    assert len({exchange.writer for exchange in http_fake.exchanges}) == 1


async def test_an_answer_may_end_with_its_connection(http_fake: HttpFake, model: OpenAIModel) -> None:
    async def old(exchange: Exchange) -> None:
        exchange.writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + HELLO.encode())
        exchange.writer.write(f"data: {json.dumps(delta(finish='stop'))}\n\n".encode())
        await exchange.writer.drain()
        exchange.writer.close()

    http_fake.answer = old
    assert await said(model) == ("Hello", None)


async def test_the_server_sees_that_the_reader_left(http_fake: HttpFake, model: OpenAIModel) -> None:
    left = asyncio.Event()
    http_fake.answer = endless(left)
    stream = heard(model)
    assert (await anext(stream)).text == "Hello"
    await stream.aclose()
    await asyncio.wait_for(left.wait(), 5)


async def test_the_model_must_be_named() -> None:
    with pytest.raises(FailedPrecondition, match="GAJI_OPENAI_MODEL"):
        await open_provider(make_settings())
