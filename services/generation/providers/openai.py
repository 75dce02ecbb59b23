"""``openai``: any server that speaks OpenAI's chat completions: vLLM, Ollama, llama-server, Gemini's own endpoint.

A token of an answer is read and told on where its bytes arrive: see `services.generation.providers.http`.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import orjson

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Hear, Prompt, PromptTooLong, TokenCounts
from services.generation.providers.http import BrokenError, Http, UnreachableError
from services.generation.providers.sse import EventData

log = get_logger(__name__)
_LONGEST_ERROR = 65_536
_CONNECT_SECONDS = 5.0
_KEPT_SECONDS = 4.0  # less than the 5 s after which uvicorn and cpp-httplib close a connection that is not used
_TOO_LONG = re.compile(r"context (length|size|window)", re.IGNORECASE)
_NOT_AS_AGREED = (ValueError, KeyError, TypeError, AttributeError)
_TOKENS = re.compile(r"(\d+) (?:input |prompt )?tokens")


class OpenAIModel:
    """A model behind HTTP.

    Args:
        http: to the server's chat completions, with the key.
        model: the model's name there.
        context_window: its window in tokens.
        at_once: how many answers it may write at once; who comes then waits for 5 s.
    """

    name = "openai"
    continues = False

    def __init__(self, http: Http, *, model: str, context_window: int, at_once: int) -> None:
        self._http = http
        self._room = asyncio.Semaphore(at_once)
        self.model = model
        self.context_window = context_window

    async def answer(
        self, prompt: Prompt, hear: Hear, *, max_tokens: int, temperature: float, stop: Sequence[str] = ()
    ) -> None:
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
        await self._enter()
        answer = _Answer(hear)
        try:
            with _translated():
                await self._http.post(orjson.dumps(request), answer)
                answer.check()
        finally:
            self._room.release()

    async def _enter(self) -> None:
        if not self._room.locked():  # as most often: it does not wait, so it needs no timer
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise failures.busy() from error

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


class _Answer:
    """An answer as it comes: a refusal, or words."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._events = EventData()
        self._status = 0
        self._retry_after: str | None = None
        self._refusal = b""
        self._whole = self._done = False
        self._error: Exception | None = None

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """See `services.generation.providers.http.Answer`."""
        self._status, self._retry_after = status, headers.get("retry-after")
        return False

    def body(self, received: bytes) -> bool:
        """Tells what some bytes hold as one chunk: what comes together goes on together."""
        if self._status != 200:
            self._refusal += received
            if len(self._refusal) > _LONGEST_ERROR:
                self.check()
            return False
        chunk = self._chunk(received)
        if chunk.text or chunk.counts:
            self._hear(chunk)
        if self._error is not None:  # raised: no connection waits for the rest
            raise self._error
        return self._done

    def check(self) -> None:
        """Raises what was wrong with it, now that it has ended."""
        if self._status != 200:
            raise _refused(self._status, self._refusal, self._retry_after)
        if not (self._done or self._whole):
            raise failures.broken()

    def _chunk(self, received: bytes) -> Chunk:
        texts: list[str] = []
        counts: TokenCounts | None = None
        try:
            for data in self._events.feed(received):
                if data.strip() == b"[DONE]":
                    self._done = True
                    break
                event = orjson.loads(data)
                if (error := event.get("error")) is not None:
                    status = str(error.get("code"))
                    raise _failure(int(status) if status.isdigit() else 500, error, None)
                for choice in event.get("choices") or ():
                    if text := (choice.get("delta") or {}).get("content"):
                        texts.append(text)
                    if (reason := choice.get("finish_reason")) is not None:
                        if reason == "content_filter":
                            raise failures.refused()
                        self._whole = True
                if usage := event.get("usage"):
                    counts = TokenCounts(int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
        except (MeshError, *_NOT_AS_AGREED) as error:
            self._error = error
        return Chunk("".join(texts), counts)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UnreachableError as error:
        raise failures.unreachable() from error
    except TimeoutError as error:
        raise failures.too_slow() from error
    except (BrokenError, *_NOT_AS_AGREED) as error:
        log.warning("the model's answer can't be read", extra={"error": repr(error)})
        raise failures.broken() from error


def _refused(status: int, body: bytes, retry_after: str | None) -> MeshError:
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, list) and answer:  # Gemini's compatible endpoint
        answer = answer[0]
    error = answer.get("error", answer) if isinstance(answer, dict) else {}
    return _failure(status, error if isinstance(error, dict) else {"message": str(error)}, retry_after)


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
        FailedPrecondition: GAJI_OPENAI_MODEL is not set, or the proxy on the way is not one for HTTP.
    """
    if not settings.openai_model:
        raise failures.misconfigured("GAJI_PROVIDER=openai needs the model's name in GAJI_OPENAI_MODEL")
    key = settings.openai_api_key.get_secret_value()
    url = settings.openai_base_url.rstrip("/") + "/chat/completions"
    http = Http(
        url,
        {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})},
        proxy=_proxy(url),
        tls=await asyncio.to_thread(_verifying),  # certificates are read from files
        connect_seconds=_CONNECT_SECONDS,
        silence_seconds=settings.model_timeout,
        kept_seconds=_KEPT_SECONDS,
    )
    return OpenAIModel(
        http,
        model=settings.openai_model,
        context_window=settings.openai_context,
        at_once=settings.openai_at_once,
    )


def _verifying() -> ssl.SSLContext:
    """Trusts whom OpenSSL's variables name, else certifi's authorities; blocks."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    trusted = file or (None if folder else certifi.where())
    return ssl.create_default_context(cafile=trusted, capath=folder or None)


def _proxy(url: str) -> str | None:
    """The proxy on the way to a server, as the environment has it.

    Raises:
        FailedPrecondition: it speaks something else than HTTP.
    """
    parts = urlsplit(url)
    found = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if found.get(kind)), "")
    if not kind or proxy_bypass(parts.hostname or ""):
        return None
    proxy = found[kind] if "://" in found[kind] else f"http://{found[kind]}"
    scheme = urlsplit(proxy).scheme
    if scheme not in {"http", "https"}:
        raise failures.misconfigured(
            f"{kind.upper()}_PROXY names a proxy for {scheme}, and GAJI_PROVIDER=openai can use one for HTTP alone: "
            f"name an http:// proxy there, or {parts.hostname} in NO_PROXY"
        )
    return proxy
