"""``gemini``: Google's models over HTTP, by google-genai, which answer within a JSON schema."""

import asyncio
import re

import httpx
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from services.search.config import SearchSettings
from services.search.ports import Inquiry
from services.search.providers.language_model_answers import failure, json_of, refused, unreachable

DEFAULT = "gemini-2.5-flash"
_REMEDIES = "GEMINI_API_KEY and GAJI_SEARCH_MODEL_NAME"
_THOUGHTS = 2_000  # tokens
_WHOLE = frozenset({"STOP", "MAX_TOKENS"})
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


class GeminiAnswers:
    """A Gemini model.

    Args:
        client: google-genai's, made of the HTTP client.
        http: the HTTP client.
        model: the model's name.
    """

    def __init__(self, client: genai.Client, http: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._http = http
        self._model = model
        self.name = f"gemini/{model}"

    async def answer(self, inquiry: Inquiry) -> object:
        """See `services.search.ports.LanguageModel`."""
        # Thoughts come before the answer and count towards its length. Some models can be told not to think.
        thinks = not self._model.startswith("gemini-2.5-flash")
        config = types.GenerateContentConfig(
            system_instruction=inquiry.system,
            max_output_tokens=inquiry.max_tokens + (_THOUGHTS if thinks else 0),
            temperature=0.0,
            response_mime_type="application/json",
            response_json_schema=dict(inquiry.schema),
            thinking_config=None if thinks else types.ThinkingConfig(thinking_budget=0),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        try:
            response = await self._client.aio.models.generate_content(
                model=self._model, contents=inquiry.material, config=config
            )
        except genai_errors.APIError as error:
            raise failure(error.code or 500, str(error.message or ""), _REMEDIES, _retry_after(error)) from error
        except httpx.HTTPError as error:
            raise unreachable() from error
        except (genai_errors.UnknownApiResponseError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"is not as agreed: {error!r}") from error
        return json_of(_text(response))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
        self._client.close()


def _text(response: types.GenerateContentResponse) -> str:
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise refused(str(feedback.block_reason))
    for candidate in (response.candidates or [])[:1]:
        reason = candidate.finish_reason.value if candidate.finish_reason is not None else "STOP"
        if reason not in _WHOLE:
            raise refused(reason)
        parts = (candidate.content.parts if candidate.content is not None else None) or []
        return "".join(part.text for part in parts if part.text and not part.thought)
    raise ValueError("has no candidate")


def _retry_after(error: genai_errors.APIError) -> float | None:
    """The delay of google.rpc.RetryInfo among an error's details, e.g. ``"31s"``."""
    told = error.details.get("error", {}) if isinstance(error.details, dict) else {}
    for detail in told.get("details", []) if isinstance(told, dict) else []:
        if isinstance(detail, dict) and (match := _SECONDS.fullmatch(str(detail.get("retryDelay", "")))):
            return float(match[1])
    return None


def _clients(settings: SearchSettings, key: str) -> tuple[genai.Client, httpx.AsyncClient]:
    longest = max(settings.search_model_seconds, settings.search_character_seconds) + 1
    http = httpx.AsyncClient(timeout=longest)
    options = types.HttpOptions(
        base_url=settings.gemini_base_url or None,
        timeout=round(longest * 1000),
        httpx_async_client=http,
    )
    return genai.Client(api_key=key, vertexai=False, http_options=options), http


async def open_model(settings: SearchSettings) -> GeminiAnswers:
    """The model of the settings.

    Raises:
        ValueError: GEMINI_API_KEY is not set.
    """
    key = "" if settings.gemini_api_key is None else settings.gemini_api_key.get_secret_value()
    if not key:
        raise ValueError("GAJI_SEARCH_MODEL=gemini needs GEMINI_API_KEY")
    client, http = await asyncio.to_thread(_clients, settings, key)  # the certificates are read from files
    return GeminiAnswers(client, http, settings.search_model_name or DEFAULT)
