"""``openai``: any server that speaks OpenAI's chat completions: vLLM, Ollama, llama-server, Gemini's own endpoint."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import httpx
import orjson

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Prompt, PromptTooLong, TokenCounts
from services.generation.providers.sse import event_data

log = get_logger(__name__)
_LONGEST_ERROR = 65_536
_TOO_LONG = re.compile(r"context (length|size|window)", re.IGNORECASE)
_TOKENS = re.compile(r"(\d+) (?:input |prompt )?tokens")


class OpenAIModel:
    """A model behind HTTP.

    Args:
        client: with base URL, key and timeouts.
        model: the model's name there.
        context_window: its window in tokens.
    """

    name = "openai"
    continues = False

    def __init__(self, client: httpx.AsyncClient, *, model: str, context_window: int) -> None:
        self._client = client
        self.model = model
        self.context_window = context_window

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> AsyncGenerator[Chunk, None]:
        """See `services.generation.ports.ModelProvider`."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                *({"role": turn.role, "content": turn.content} for turn in prompt.turns),
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        if stop:
            request["stop"] = list(stop)
        with _translated():
            async with self._client.stream("POST", "chat/completions", json=request) as response:
                if response.status_code != httpx.codes.OK:
                    raise await _refusal(response)
                async with aclosing(event_data(response.aiter_bytes())) as events, aclosing(_chunks(events)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


async def _chunks(events: AsyncIterator[str]) -> AsyncGenerator[Chunk, None]:
    whole = False
    async for data in events:
        if data.strip() == "[DONE]":
            return
        event = orjson.loads(data)
        if (error := event.get("error")) is not None:
            status = str(error.get("code"))
            raise _failure(int(status) if status.isdigit() else 500, error, None)
        for choice in event.get("choices") or ():
            if text := (choice.get("delta") or {}).get("content"):
                yield Chunk(text)
            reason = choice.get("finish_reason")
            if reason == "content_filter":
                raise failures.refused()
            whole = whole or reason is not None
        if usage := event.get("usage"):
            yield Chunk(counts=TokenCounts(int(usage["prompt_tokens"]), int(usage["completion_tokens"])))
    if not whole:
        raise failures.broken()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise failures.unreachable() from error
    except httpx.PoolTimeout as error:
        raise failures.busy() from error
    except httpx.TimeoutException as error:
        raise failures.too_slow() from error
    except httpx.ConnectError as error:
        raise failures.unreachable() from error
    except (httpx.TransportError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("the model's answer can't be read", extra={"error": repr(error)})
        raise failures.broken() from error


async def _refusal(response: httpx.Response) -> MeshError:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _LONGEST_ERROR:
            break
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, list) and answer:  # Gemini's compatible endpoint
        answer = answer[0]
    error = answer.get("error", answer) if isinstance(answer, dict) else {}
    return _failure(
        response.status_code,
        error if isinstance(error, dict) else {"message": str(error)},
        response.headers.get("retry-after"),
    )


def _failure(status: int, error: Mapping[str, Any], retry_after: str | None) -> MeshError:
    message = str(error.get("message") or "")[:500]
    log.warning("the model's server refused", extra={"status": status, "error": message})
    if error.get("code") == "context_length_exceeded" or _TOO_LONG.search(message):
        # OpenAI and vLLM say the count in the sentence alone; of its numbers the prompt's is the largest.
        counted = error.get("n_prompt_tokens") or max(map(int, _TOKENS.findall(message)), default=0)
        return PromptTooLong(int(counted))
    if status in (401, 403):
        return failures.misconfigured("the model's server does not accept the key: set GAJI_OPENAI_API_KEY")
    if status == 429:
        return failures.busy(float(retry_after) if retry_after and retry_after.isdigit() else None)
    if status >= 500:
        return failures.unreachable()
    return failures.misconfigured(
        f"the model's server refused the request ({status}): check GAJI_OPENAI_BASE_URL and GAJI_OPENAI_MODEL"
    )


async def open_provider(settings: GenerationSettings) -> OpenAIModel:
    """The model of the settings.

    Raises:
        FailedPrecondition: GAJI_OPENAI_MODEL is not set.
    """
    if not settings.openai_model:
        raise failures.misconfigured("GAJI_PROVIDER=openai needs the model's name in GAJI_OPENAI_MODEL")
    key = settings.openai_api_key.get_secret_value()
    client = await asyncio.to_thread(  # the certificates are read from files
        httpx.AsyncClient,
        base_url=settings.openai_base_url.rstrip("/") + "/",
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(settings.model_timeout, connect=5.0, pool=5.0),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
    )
    return OpenAIModel(client, model=settings.openai_model, context_window=settings.openai_context)
