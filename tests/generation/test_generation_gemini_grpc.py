import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.ai import generativelanguage as glm

from mesh import deadlines
from mesh.errors import DeadlineExceeded, FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from services.generation.ports import Prompt, TokenCounts, Turn
from services.generation.providers.gemini_grpc import GeminiGrpcModel, open_provider
from tests.generation.conftest import heard, make_settings, said

Response = glm.GenerateContentResponse
Answer = Callable[[Any, Any], AsyncIterator[Any]]


class GoogleFake:
    """Google's GenerativeService on loopback; `answer` is set by each test."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.target = ""

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        assert self.answer
        async for response in self.answer(request, context):
            yield response


@pytest.fixture
async def google() -> AsyncIterator[GoogleFake]:
    fake = GoogleFake()
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        fake.stream, glm.GenerateContentRequest.deserialize, Response.serialize
    )
    name = "google.ai.generativelanguage.v1beta.GenerativeService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"StreamGenerateContent": handler}),))
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield fake
    await server.stop(0)


@pytest.fixture
async def model(google: GoogleFake) -> AsyncIterator[GeminiGrpcModel]:
    provider = await open_provider(
        make_settings(GEMINI_API_KEY="k-1", gemini_grpc_target=google.target, gemini_grpc_tls=False)
    )
    yield provider
    await provider.aclose()


def part(text: str = "", finish: str = "FINISH_REASON_UNSPECIFIED", **more: Any) -> Any:
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return Response(
        candidates=[{"content": content, "finish_reason": getattr(glm.Candidate.FinishReason, finish)}], **more
    )


async def test_an_answer_comes_whole_with_its_counts(google: GoogleFake, model: GeminiGrpcModel) -> None:
    seen: list[Any] = []

    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        seen.append((request, dict(context.invocation_metadata())))
        yield part("I am")
        yield part(" Alice.", "STOP", usage_metadata={"prompt_token_count": 11, "candidates_token_count": 3})

    google.answer = answer
    prompt = Prompt("You are Alice.", (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "Who are you?")))
    assert await said(model, prompt, stop=["\nReader:"]) == ("I am Alice.", TokenCounts(11, 3))
    request, metadata = seen[0]
    assert metadata["x-goog-api-key"] == "k-1"
    assert request.model == "models/gemini-2.5-flash"
    assert [content.role for content in request.contents] == ["user", "model", "user"]
    assert request.system_instruction.parts[0].text == "You are Alice."
    assert (request.generation_config.max_output_tokens, list(request.generation_config.stop_sequences)) == (
        32,
        ["\nReader:"],
    )


async def test_the_readers_deadline_arrives_at_google(google: GoogleFake, model: GeminiGrpcModel) -> None:
    left: list[float] = []

    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        left.append(context.time_remaining())
        yield part("Hello.", "STOP")

    google.answer = answer
    with deadlines.scope(20):
        await said(model)
    await said(model)
    assert 0 < left[0] <= 21  # gRPC rounds timeouts up
    assert 20 < left[1] <= 300


async def test_a_deadline_that_passes_is_too_slow(google: GoogleFake, model: GeminiGrpcModel) -> None:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        yield part("Hello")
        await asyncio.sleep(60)

    google.answer = answer
    with deadlines.scope(0.3), pytest.raises(DeadlineExceeded) as caught:
        await said(model)
    assert caught.value.reason == "MODEL_TOO_SLOW"


async def test_google_sees_that_the_reader_left(google: GoogleFake, model: GeminiGrpcModel) -> None:
    left = asyncio.Event()

    async def endless(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield part("Hello")
            await asyncio.sleep(60)
        finally:
            left.set()

    google.answer = endless
    stream = heard(model)
    assert (await anext(stream)).text == "Hello"
    await stream.aclose()
    await asyncio.wait_for(left.wait(), 5)


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, FailedPrecondition, "MODEL_MISCONFIGURED"),
        (grpc.StatusCode.PERMISSION_DENIED, FailedPrecondition, "MODEL_MISCONFIGURED"),
        (grpc.StatusCode.NOT_FOUND, FailedPrecondition, "MODEL_MISCONFIGURED"),
        (grpc.StatusCode.INVALID_ARGUMENT, FailedPrecondition, "MODEL_MISCONFIGURED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhausted, "MODEL_BUSY"),
        (grpc.StatusCode.UNAVAILABLE, Unavailable, "MODEL_UNREACHABLE"),
        (grpc.StatusCode.INTERNAL, Unavailable, "MODEL_UNREACHABLE"),
    ],
)
@pytest.mark.parametrize("after_first", [False, True])
async def test_a_refusal_is_told_by_kind(  # noqa: PLR0917 - pytest gives them by name
    google: GoogleFake,
    model: GeminiGrpcModel,
    code: grpc.StatusCode,
    kind: type[MeshError],
    reason: str,
    after_first: bool,
) -> None:
    async def refuse(request: Any, context: Any) -> AsyncIterator[Any]:
        if after_first:
            yield part("Hello")
        await context.abort(code, "no")

    google.answer = refuse
    with pytest.raises(kind) as caught:
        await said(model)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (part(finish="SAFETY"), "MODEL_REFUSED"),
        (Response(prompt_feedback={"block_reason": Response.PromptFeedback.BlockReason.SAFETY}), "MODEL_REFUSED"),
        (part(" and"), "MODEL_STREAM_BROKEN"),
    ],
)
async def test_an_answer_that_ends_early_is_told_by_kind(
    google: GoogleFake, model: GeminiGrpcModel, last: Any, reason: str
) -> None:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        yield part("Hello")
        yield last

    google.answer = answer
    with pytest.raises(MeshError) as caught:
        await said(model)
    assert caught.value.reason == reason


async def test_the_key_must_be_set() -> None:
    with pytest.raises(FailedPrecondition, match="GEMINI_API_KEY"):
        await open_provider(make_settings())
