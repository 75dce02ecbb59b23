import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.generation.ports import Prompt, PromptTooLong, TokenCounts, Turn
from services.generation.providers.gemini import GeminiModel, open_provider
from tests.generation.conftest import PROMPT, heard, make_settings, said
from tests.generation.http_fake import Exchange, HttpFake


@pytest.fixture
async def model(http_fake: HttpFake) -> AsyncIterator[GeminiModel]:
    provider = await open_provider(
        make_settings(GEMINI_API_KEY="k-1", gemini_base_url=http_fake.url, model_timeout=0.5)
    )
    yield provider
    await provider.aclose()


def part(text: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if text:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", **more}


async def test_an_answer_comes_whole_with_its_counts(http_fake: HttpFake, model: GeminiModel) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        thought = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hmm.", "thought": True}]}}]}
        await exchange.event(thought)
        await exchange.event(part("I am"))
        usage = {"promptTokenCount": 11, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 16}
        await exchange.event(part(" Alice.", "STOP", usageMetadata=usage))
        await exchange.end()

    http_fake.answer = answer
    prompt = Prompt("You are Alice.", (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "Who are you?")))
    assert await said(model, prompt, stop=["\nReader:"]) == ("I am Alice.", TokenCounts(11, 5))
    request = http_fake.exchanges[0]
    assert request.path.endswith("/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    assert request.headers["x-goog-api-key"] == "k-1"
    assert [content["role"] for content in request.body["contents"]] == ["user", "model", "user"]
    assert request.body["systemInstruction"]["parts"] == [{"text": "You are Alice."}]
    assert list(request.body["generationConfig"].pop("thinkingConfig").values()) == [0]
    assert request.body["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 32,
        "stopSequences": ["\nReader:"],
    }


async def test_tokens_come_one_by_one(http_fake: HttpFake, model: GeminiModel) -> None:
    go_on = asyncio.Event()

    async def stepwise(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(part("one"))
        await go_on.wait()
        await exchange.event(part(" two", "MAX_TOKENS"))
        await exchange.end()

    http_fake.answer = stepwise
    stream = heard(model)
    assert (await anext(stream)).text == "one"
    go_on.set()
    assert [chunk.text async for chunk in stream] == [" two"]


def google_error(code: int, status: str, message: str, *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "retry_after"),
    [
        (
            400,
            google_error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
            FailedPrecondition,
            "MODEL_MISCONFIGURED",
            None,
        ),
        (403, google_error(403, "PERMISSION_DENIED", "no"), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (404, google_error(404, "NOT_FOUND", "no model"), FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (429, google_error(429, "RESOURCE_EXHAUSTED", "quota", RETRY), ResourceExhausted, "MODEL_BUSY", 31.0),
        (429, {}, ResourceExhausted, "MODEL_BUSY", 5.0),
        (500, google_error(500, "INTERNAL", "oops"), Unavailable, "MODEL_UNREACHABLE", None),
        (503, google_error(503, "UNAVAILABLE", "overloaded"), Unavailable, "MODEL_UNREACHABLE", None),
        (504, google_error(504, "DEADLINE_EXCEEDED", "late"), DeadlineExceeded, "MODEL_TOO_SLOW", None),
        (
            400,
            google_error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200001) exceeds the maximum number of tokens allowed (1048576).",
            ),
            PromptTooLong,
            "PROMPT_TOO_LONG",
            None,
        ),
    ],
)
async def test_a_refusal_is_told_by_kind(  # noqa: PLR0917 - pytest gives them by name
    http_fake: HttpFake,
    model: GeminiModel,
    status: int,
    body: Any,
    kind: type[MeshError],
    reason: str,
    retry_after: float | None,
) -> None:
    http_fake.answer = lambda exchange: exchange.answer(status, body)
    with pytest.raises(kind) as caught:
        await said(model)
    assert (caught.value.reason, caught.value.retry_after) == (reason, retry_after)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (part(finish="SAFETY"), "MODEL_REFUSED"),
        (part(finish="PROHIBITED_CONTENT"), "MODEL_REFUSED"),
        (part(finish="RECITATION"), "MODEL_REFUSED"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "MODEL_REFUSED"),
        (part(finish="OTHER"), "MODEL_STREAM_BROKEN"),
        (part(" and"), "MODEL_STREAM_BROKEN"),
        (google_error(503, "UNAVAILABLE", "overloaded"), "MODEL_UNREACHABLE"),
    ],
)
async def test_an_answer_that_ends_early_is_told_by_kind(
    http_fake: HttpFake, model: GeminiModel, event: Any, reason: str
) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(part("Hello"))
        await exchange.event(event)
        await exchange.end()

    http_fake.answer = answer
    with pytest.raises(MeshError) as caught:
        await said(model)
    assert caught.value.reason == reason


@pytest.mark.parametrize("garbage", ["data: {not json}\n\n", "data: 7\n\n", "cut"])
async def test_an_answer_that_cannot_be_read_is_broken(http_fake: HttpFake, model: GeminiModel, garbage: str) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(part("Hello"))
        if garbage == "cut":
            exchange.writer.transport.abort()
            return
        await exchange.send(garbage)
        await exchange.end()

    http_fake.answer = answer
    with pytest.raises(Unavailable) as caught:
        await said(model)
    assert caught.value.reason == "MODEL_STREAM_BROKEN"


async def test_a_model_that_stalls_is_too_slow(http_fake: HttpFake, model: GeminiModel) -> None:
    async def stall(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(part("Hello"))
        await exchange.gone.wait()

    http_fake.answer = stall
    with pytest.raises(DeadlineExceeded):
        await said(model)


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    provider = await open_provider(make_settings(GEMINI_API_KEY="k", gemini_base_url="http://127.0.0.1:1"))
    with pytest.raises(Unavailable) as caught:
        await said(provider)
    await provider.aclose()
    assert caught.value.reason == "MODEL_UNREACHABLE"


@pytest.mark.parametrize("when", ["before the first word", "after it"])
async def test_google_sees_that_the_reader_left(http_fake: HttpFake, model: GeminiModel, when: str) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        arrived.set()
        try:
            if when == "after it":
                await exchange.begin()
                await exchange.event(part("Hello"))
            await exchange.gone.wait()
        finally:
            left.set()

    http_fake.answer = endless
    begun = asyncio.Event()
    answering = asyncio.ensure_future(model.answer(PROMPT, lambda _: begun.set(), max_tokens=8, temperature=0))
    await asyncio.wait_for((begun if when == "after it" else arrived).wait(), 5)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    await asyncio.wait_for(left.wait(), 5)


async def test_the_key_must_be_set() -> None:
    with pytest.raises(FailedPrecondition, match="GEMINI_API_KEY"):
        await open_provider(make_settings())
