"""``gemini``: Google's models over HTTP, by google-genai."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import httpx
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Hear, Prompt, TokenCounts
from services.generation.providers.gemini_common import check_finish, failure, thinking_budget

log = get_logger(__name__)
_responses: ContextVar[list[httpx.Response] | None] = ContextVar("gaji_gemini_responses", default=None)
_NOT_AS_AGREED = (ValueError, TypeError, KeyError, AttributeError)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


class GeminiModel:
    """A Gemini model.

    google-genai reads a stream through generators of which only the outermost can be closed; the connection would be
    left to the garbage collector, and Gemini would go on writing for nobody. So the HTTP client is ours, and each
    answer's connection is closed by hand.

    Args:
        client: google-genai's, made of the HTTP client.
        http: the HTTP client; it notes its responses by `note_response`.
        model: the model's name.
        context_window: its window in tokens.
    """

    name = "gemini"
    continues = False

    def __init__(self, client: genai.Client, http: httpx.AsyncClient, *, model: str, context_window: int) -> None:
        self._client = client
        self._http = http
        self.model = model
        self.context_window = context_window

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
        """See `services.generation.ports.ModelProvider`."""
        budget = thinking_budget(self.model)
        config = types.GenerateContentConfig(
            system_instruction=prompt.system,
            max_output_tokens=max_tokens,
            temperature=temperature,
            stop_sequences=list(stop) or None,
            thinking_config=None if budget is None else types.ThinkingConfig(thinking_budget=budget),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        contents: types.ContentListUnion = [
            types.Content(role="model" if turn.role == "assistant" else "user", parts=[types.Part(text=turn.content)])
            for turn in prompt.turns
        ]
        mine: list[httpx.Response] = []
        _responses.set(mine)
        try:
            with _translated():
                parts = await self._client.aio.models.generate_content_stream(
                    model=self.model, contents=contents, config=config
                )
                await _tell(parts, hear)
        finally:
            for response in mine:
                await response.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
        self._client.close()


async def note_response(response: httpx.Response) -> None:
    """Keeps a response for the stream that asked for it; a hook of the HTTP client."""
    if (mine := _responses.get()) is not None:
        mine.append(response)


async def _tell(parts: AsyncIterator[types.GenerateContentResponse], hear: Hear) -> None:
    whole = False
    async for part in parts:
        if part.prompt_feedback is not None and part.prompt_feedback.block_reason is not None:
            log.warning("the prompt was blocked", extra={"block_reason": str(part.prompt_feedback.block_reason)})
            raise failures.refused()
        for candidate in (part.candidates or [])[:1]:
            pieces = (candidate.content.parts if candidate.content is not None else None) or []
            if text := "".join(piece.text for piece in pieces if piece.text and not piece.thought):
                hear(Chunk(text))
            if candidate.finish_reason is not None:
                whole = check_finish(candidate.finish_reason.value) or whole
        if (usage := part.usage_metadata) is not None and usage.prompt_token_count is not None:
            completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            hear(Chunk(counts=TokenCounts(usage.prompt_token_count, completion)))
    if not whole:
        raise failures.broken()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except genai_errors.APIError as error:
        raise failure(error.code or 500, error.message or "", _retry_after(error)) from error
    except httpx.ConnectError as error:
        raise failures.unreachable() from error
    except httpx.TimeoutException as error:
        raise failures.too_slow() from error
    except (httpx.TransportError, genai_errors.UnknownApiResponseError, *_NOT_AS_AGREED) as error:
        log.warning("the model's answer can't be read", extra={"error": repr(error)})
        raise failures.broken() from error


def _retry_after(error: genai_errors.APIError) -> float | None:
    """The delay of google.rpc.RetryInfo among an error's details, e.g. ``"31s"``."""
    details = error.details.get("error", {}).get("details", []) if isinstance(error.details, dict) else []
    for detail in details:
        if match := _SECONDS.fullmatch(str(detail.get("retryDelay", ""))):
            return float(match[1])
    return None


def _clients(settings: GenerationSettings) -> tuple[genai.Client, httpx.AsyncClient]:
    http = httpx.AsyncClient(timeout=settings.model_timeout, event_hooks={"response": [note_response]})
    options = types.HttpOptions(
        base_url=settings.gemini_base_url or None,
        timeout=round(settings.model_timeout * 1000),
        httpx_async_client=http,
    )
    return genai.Client(api_key=settings.gemini_api_key.get_secret_value(), vertexai=False, http_options=options), http


async def open_provider(settings: GenerationSettings) -> GeminiModel:
    """The model of the settings.

    Raises:
        FailedPrecondition: GEMINI_API_KEY is not set.
    """
    if not settings.gemini_api_key.get_secret_value():
        raise failures.misconfigured("GAJI_PROVIDER=gemini needs GEMINI_API_KEY")
    client, http = await asyncio.to_thread(_clients, settings)  # the certificates are read from files
    return GeminiModel(client, http, model=settings.gemini_model, context_window=settings.gemini_context)
