"""``gemini-grpc``: Google's models over gRPC, by the client in google-generativeai.

The reader's deadline and a cancellation travel to Google as they are, which HTTP can't do.
"""

import asyncio
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.api_core import exceptions as api_errors

from mesh import deadlines
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Hear, Prompt, TokenCounts
from services.generation.providers.gemini_common import check_finish, failure, thinking_budget

with warnings.catch_warnings():
    # The package warns of its end at each import. It is used for the one thing that its successor lacks: gRPC.
    warnings.filterwarnings("ignore", "\\s*All support for the `google.generativeai` package", FutureWarning)
    from google.ai import generativelanguage as glm
    from google.generativeai import protos

from google.ai.generativelanguage_v1beta.services.generative_service.transports import (
    GenerativeServiceGrpcAsyncIOTransport,
)

log = get_logger(__name__)


class GeminiGrpcModel:
    """A Gemini model.

    Args:
        channel: to the API; closed with the provider.
        service: the client of GenerativeService on that channel.
        key: of the API.
        model: the model's name.
        context_window: its window in tokens.
        timeout: seconds that an answer may take when its reader sets no deadline.
    """

    name = "gemini-grpc"
    continues = False

    def __init__(
        self,
        channel: grpc.aio.Channel,
        service: Any,
        *,
        key: str,
        model: str,
        context_window: int,
        timeout: float,
    ) -> None:
        self._channel = channel
        self._service = service
        self._metadata = (("x-goog-api-key", key),)
        self._timeout = timeout
        self.model = model
        self.context_window = context_window

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """See `services.generation.ports.ModelProvider`."""
        request = self._request(prompt, max_tokens, temperature, stop)
        left = deadlines.remaining()
        with _translated():
            call = await self._service.stream_generate_content(
                request,
                timeout=self._timeout if left is None else max(0.001, min(left, self._timeout)),
                retry=None,
                metadata=self._metadata,
            )
            try:
                whole = False
                async for part in call:
                    if part.prompt_feedback.block_reason:
                        raise failures.refused()
                    for candidate in part.candidates[:1]:
                        if text := "".join(piece.text for piece in candidate.content.parts if not piece.thought):
                            hear(Chunk(text))
                        whole = check_finish(_name(candidate.finish_reason)) or whole
                    if (usage := part.usage_metadata).prompt_token_count:
                        hear(Chunk(counts=TokenCounts(usage.prompt_token_count, usage.candidates_token_count)))
                if not whole:
                    raise failures.broken()
            finally:
                call.cancel()

    def _request(self, prompt: Prompt, max_tokens: int, temperature: float, stop: Sequence[str]) -> Any:
        budget = thinking_budget(self.model)
        return protos.GenerateContentRequest(
            model=f"models/{self.model}",
            system_instruction={"parts": [{"text": prompt.system}]},
            contents=[
                {"role": "model" if turn.role == "assistant" else "user", "parts": [{"text": turn.content}]}
                for turn in prompt.turns
            ],
            generation_config={
                "max_output_tokens": max_tokens,
                "temperature": temperature,
                "stop_sequences": list(stop),
                **({} if budget is None else {"thinking_config": {"thinking_budget": budget}}),
            },
        )

    async def aclose(self) -> None:
        """Closes the channel."""
        await self._channel.close()


def _name(finish_reason: int) -> str:
    # Proto-plus gives numbers where it can't tell the enum, which is so for reasons newer than the package.
    try:
        return str(glm.Candidate.FinishReason(finish_reason).name)
    except ValueError:
        return f"REASON_{finish_reason}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except api_errors.GoogleAPICallError as error:
        raise failure(int(error.code or 500), error.message, _retry_after(error)) from error
    except grpc.aio.AioRpcError as error:
        raise failure(_HTTP.get(error.code(), 500), error.details() or "") from error


_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


def _retry_after(error: api_errors.GoogleAPICallError) -> float | None:
    for detail in error.details or ():
        if (delay := getattr(detail, "retry_delay", None)) is not None:
            return float(delay.ToMilliseconds()) / 1000
    return None


def _client(channel: grpc.aio.Channel) -> Any:
    return glm.GenerativeServiceAsyncClient(transport=GenerativeServiceGrpcAsyncIOTransport(channel=channel))


async def open_provider(settings: GenerationSettings) -> GeminiGrpcModel:
    """The model of the settings.

    Raises:
        FailedPrecondition: GEMINI_API_KEY is not set.
    """
    key = settings.gemini_api_key.get_secret_value()
    if not key:
        raise failures.misconfigured("GAJI_PROVIDER=gemini-grpc needs GEMINI_API_KEY")
    if settings.gemini_grpc_tls:
        channel = grpc.aio.secure_channel(settings.gemini_grpc_target, grpc.ssl_channel_credentials())
    else:
        channel = grpc.aio.insecure_channel(settings.gemini_grpc_target)
    return GeminiGrpcModel(
        channel,
        await asyncio.to_thread(_client, channel),  # it looks for certificates in files
        key=key,
        model=settings.gemini_model,
        context_window=settings.gemini_context,
        timeout=settings.reply_seconds,
    )
