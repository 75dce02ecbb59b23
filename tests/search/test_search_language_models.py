"""The real models' adapters, which speak with a server on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from mesh.errors import FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.generation.providers import local
from services.search.config import SearchSettings
from services.search.ports import MODEL_REFUSED, Inquiry, LanguageModel
from services.search.providers.language_models import MODELS, open_model
from tests.generation.http_fake import Exchange
from tests.search.vendor import KEY, VENDORS, Vendor, asking, open_vendor, said

Settings = Callable[..., SearchSettings]
INQUIRY = Inquiry(
    "Count.",
    "<things>\nthree\n</things>",
    {
        "type": "object",
        "properties": {"count": {"type": "integer"}},
        "required": ["count"],
        "additionalProperties": False,
    },
    max_tokens=9,
)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with open_vendor() as one:
        yield one


@pytest.fixture(params=VENDORS)
async def model(
    request: pytest.FixtureRequest, vendor: Vendor, search_settings: Settings
) -> AsyncIterator[LanguageModel]:
    async with open_model(search_settings(**asking(vendor.url, request.param))) as one:
        assert one is not None
        yield one


async def test_an_answer_is_what_its_json_says(vendor: Vendor, model: LanguageModel) -> None:
    vendor.answers["count"] = lambda _: {"count": 3}
    assert await model.answer(INQUIRY) == {"count": 3}
    (exchange,) = vendor.fake.exchanges
    (asked,) = vendor.asked
    assert asked.material == INQUIRY.material
    if model.name == "openai/a-model":
        assert exchange.path == "/v1/chat/completions"
        assert exchange.headers["authorization"] == f"Bearer {KEY}"
        assert exchange.body["messages"][0] == {"role": "system", "content": "Count."}
        assert (exchange.body["model"], exchange.body["max_tokens"], exchange.body["temperature"]) == ("a-model", 9, 0)
        told = exchange.body["response_format"]["json_schema"]
        assert (told["schema"], told["strict"]) == (INQUIRY.schema, True)
    else:
        assert model.name == "gemini/gemini-2.5-flash"
        assert exchange.path.endswith("/models/gemini-2.5-flash:generateContent")
        assert exchange.headers["x-goog-api-key"] == KEY
        assert exchange.body["systemInstruction"]["parts"] == [{"text": "Count."}]
        config = exchange.body["generationConfig"]
        assert list(config.pop("thinkingConfig").values()) == [0]
        assert config == {
            "temperature": 0.0,
            "maxOutputTokens": 9,
            "responseMimeType": "application/json",
            "responseJsonSchema": dict(INQUIRY.schema),
        }


@pytest.mark.parametrize(
    "text", ['```json\n{"count": 3}\n```', 'Of course! {"count": 3} That is all.', ' {"count":\n3}\n']
)
async def test_json_between_words_is_found(vendor: Vendor, model: LanguageModel, text: str) -> None:
    vendor.answers["count"] = lambda _: text
    assert await model.answer(INQUIRY) == {"count": 3}


@pytest.mark.parametrize("text", ["", "three", '{"count": 3', "{'count': 3}", "[" * 5_000, "x" * 1_500_000])
async def test_what_is_no_json_is_told(vendor: Vendor, model: LanguageModel, text: str) -> None:
    vendor.answers["count"] = lambda _: text
    with pytest.raises(ValueError, match=r"."):
        await model.answer(INQUIRY)


@pytest.mark.parametrize("body", [{}, [], {"candidates": [], "choices": []}, {"choices": [{"message": None}]}])
async def test_an_answer_that_is_not_as_agreed(vendor: Vendor, model: LanguageModel, body: Any) -> None:
    vendor.tell(lambda exchange: exchange.answer(200, body))
    with pytest.raises(ValueError, match=r"."):
        await model.answer(INQUIRY)


@pytest.mark.parametrize(
    ("status", "kind", "reason", "retry_after"),
    [
        (400, FailedPrecondition, MODEL_REFUSED, None),
        (401, FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (403, FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (404, FailedPrecondition, "MODEL_MISCONFIGURED", None),
        (429, ResourceExhausted, "MODEL_QUOTA", 31.0),
        (500, Unavailable, "MODEL_UNREACHABLE", None),
        (503, Unavailable, "MODEL_UNREACHABLE", None),
    ],
)
async def test_a_refusal_is_told_by_kind(  # noqa: PLR0917 - pytest gives them by name
    vendor: Vendor,
    model: LanguageModel,
    status: int,
    kind: type[MeshError],
    reason: str,
    retry_after: float | None,
) -> None:
    again = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}
    body = {"error": {"code": status, "status": "X", "message": "no", "details": [again]}}
    vendor.tell(lambda exchange: exchange.answer(status, body, retry_after="31"))
    with pytest.raises(kind) as caught:
        await model.answer(INQUIRY)
    assert (caught.value.reason, caught.value.retry_after) == (reason, retry_after)


async def test_a_filter_refuses_the_one_inquiry(vendor: Vendor, model: LanguageModel) -> None:
    async def filtered(exchange: Exchange) -> None:
        text = (
            json.dumps(said(exchange, {"count": 3})).replace('"STOP"', '"SAFETY"').replace('"stop"', '"content_filter"')
        )
        await exchange.answer(200, json.loads(text))

    vendor.tell(filtered)
    with pytest.raises(FailedPrecondition) as caught:
        await model.answer(INQUIRY)
    assert caught.value.reason == MODEL_REFUSED


async def test_a_connection_that_breaks(vendor: Vendor, model: LanguageModel) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.begin(200, "application/json")
        await exchange.send('{"candidates": [')
        exchange.writer.transport.abort()

    vendor.tell(breaks)
    with pytest.raises(Unavailable):
        await model.answer(INQUIRY)


async def test_the_vendor_sees_that_the_caller_left(vendor: Vendor, model: LanguageModel) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        arrived.set()
        await exchange.gone.wait()
        left.set()

    vendor.tell(endless)
    call = asyncio.create_task(model.answer(INQUIRY))
    async with asyncio.timeout(10):
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while not vendor.fake.exchanges[0].gone.is_set() and not left.is_set():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_server_that_is_not_there(search_settings: Settings, name: str) -> None:
    async with open_model(search_settings(**asking("http://127.0.0.1:1", name))) as model:
        assert model is not None
        with pytest.raises(Unavailable):
            await model.answer(INQUIRY)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"search_model": "gemini", "gemini_api_key": None}, "GEMINI_API_KEY"),
        ({"search_model": "openai"}, "GAJI_SEARCH_MODEL_NAME"),
    ],
)
async def test_what_is_missing_is_named(search_settings: Settings, changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        async with open_model(search_settings(**changes)):
            pass


async def test_there_is_none_by_default(search_settings: Settings) -> None:
    assert set(MODELS) == set(VENDORS)
    async with open_model(search_settings()) as model:
        assert model is None


async def test_a_real_server_answers_within_the_schema(search_settings: Settings) -> None:
    """A small model on llama.cpp's server, which speaks OpenAI's interface; what it says has the right form."""
    held = [await asyncio.to_thread(_llama_server)]
    address = held[0].listening_address
    settings = asking("", "openai", search_model_seconds=8, openai_base_url=f"{address}/v1")
    async with open_model(search_settings(**settings)) as model:
        assert model is not None
        answer = await model.answer(replace(INQUIRY, max_tokens=60))
    await asyncio.to_thread(held.clear)  # unloads it, which takes a moment
    assert isinstance(answer, dict)
    assert list(answer) == ["count"]
    assert isinstance(answer["count"], int)


def _llama_server() -> Any:
    xllamacpp = import_module("xllamacpp")  # after `local`, which tells its threads not to spin
    params = xllamacpp.CommonParams()
    params.model.path = str(local.model_file(""))
    params.n_parallel, params.n_ctx = 1, 1024
    params.fit_params, params.ui, params.verbosity = False, False, 0
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [KEY]
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = 1
    return xllamacpp.Server(params)
