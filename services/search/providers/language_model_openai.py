"""``openai``: any server that speaks OpenAI's chat completions with ``response_format``: vLLM, Ollama, llama-server."""

import asyncio
from typing import Any

import httpx
import orjson

from services.search.config import SearchSettings
from services.search.ports import Inquiry
from services.search.providers.language_model_answers import (
    LONGEST_ANSWER,
    failure,
    json_of,
    refused,
    unreachable,
)

_REMEDIES = "GAJI_OPENAI_BASE_URL, GAJI_OPENAI_API_KEY and GAJI_SEARCH_MODEL_NAME"


class OpenAIAnswers:
    """A model behind HTTP.

    Args:
        client: with base URL, key and timeouts.
        model: the model's name there.
    """

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._model = model
        self.name = f"openai/{model}"

    async def answer(self, inquiry: Inquiry) -> object:
        """See `services.search.ports.LanguageModel`."""
        request = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": inquiry.system},
                {"role": "user", "content": inquiry.material},
            ],
            "max_tokens": inquiry.max_tokens,
            "temperature": 0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": inquiry.schema, "strict": True},
            },
        }
        body = b""
        try:
            async with self._client.stream("POST", "chat/completions", json=request) as response:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > LONGEST_ANSWER:
                        raise ValueError("is too long")
        except httpx.HTTPError as error:
            raise unreachable() from error
        if response.status_code != httpx.codes.OK:
            asked = response.headers.get("retry-after", "")
            retry_after = float(asked) if asked.isascii() and asked.isdigit() else None
            raise failure(response.status_code, body[:500].decode(errors="replace"), _REMEDIES, retry_after)
        return json_of(_text(orjson.loads(body)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _text(answer: Any) -> str:
    try:
        choice = answer["choices"][0]
        if choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
            raise refused("a filter stopped it")
        return str(choice["message"]["content"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("is not as agreed") from error


async def open_model(settings: SearchSettings) -> OpenAIAnswers:
    """The model of the settings.

    Raises:
        ValueError: GAJI_SEARCH_MODEL_NAME is not set.
    """
    if not settings.search_model_name:
        raise ValueError("GAJI_SEARCH_MODEL=openai needs the model's name in GAJI_SEARCH_MODEL_NAME")
    key = settings.openai_api_key.get_secret_value()
    longest = max(settings.search_model_seconds, settings.search_character_seconds) + 1
    client = await asyncio.to_thread(  # the certificates are read from files
        httpx.AsyncClient,
        base_url=settings.openai_base_url.rstrip("/") + "/",
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=longest,
    )
    return OpenAIAnswers(client, settings.search_model_name)
