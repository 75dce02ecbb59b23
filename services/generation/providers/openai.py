"""``openai``: any server that speaks OpenAI's chat completions: vLLM, Ollama, llama-server, Gemini's own endpoint.

By aiohttp, whose parser is C: a token of an answer costs about a quarter of what httpx takes for it, and a connection
is used again although an answer is not read beyond its ``[DONE]``.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
import orjson

from mesh.errors import MeshError
from mesh.telemetry.logs import get_logger
from services.generation.config import GenerationSettings
from services.generation.domain import failures
from services.generation.ports import Chunk, Prompt, PromptTooLong, TokenCounts
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
        session: with key and timeouts.
        url: of the server's chat completions.
        model: the model's name there.
        context_window: its window in tokens.
        at_once: how many answers it may write at once; who comes then waits for 5 s.
    """

    name = "openai"
    continues = False

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, model: str, context_window: int, at_once: int
    ) -> None:
        self._session = session
        self._url = url
        self._room = asyncio.Semaphore(at_once)
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
        await self._enter()
        try:
            with _translated():
                asked = self._session.post(self._url, data=orjson.dumps(request), allow_redirects=False)
                async with asked as response:
                    if response.status != 200:
                        raise await _refusal(response)
                    answer = _Answer()
                    async for received in response.content.iter_any():
                        chunk = answer.read(received)
                        if chunk.text or chunk.counts:
                            yield chunk
                        if answer.error is not None:
                            raise answer.error
                        if answer.done:
                            return
                    if not answer.whole:
                        raise failures.broken()
        finally:
            self._room.release()

    async def _enter(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise failures.busy() from error

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._session.close()


class _Answer:
    """An answer as it comes.

    Attributes:
        whole: whether the model has ended.
        done: whether the server has said that nothing more comes.
        error: what has gone wrong, behind what was read.
    """

    def __init__(self) -> None:
        self._events = EventData()
        self.whole = self.done = False
        self.error: Exception | None = None

    def read(self, received: bytes) -> Chunk:
        """What some bytes tell, as one chunk: what comes together goes on together."""
        texts: list[str] = []
        counts: TokenCounts | None = None
        try:
            for data in self._events.feed(received):
                if data.strip() == b"[DONE]":
                    self.done = True
                    break
                event = orjson.loads(data)
                if (error := event.get("error")) is not None:
                    status = str(error.get("code"))
                    raise _failure(int(status) if status.isdigit() else 500, error, None)
                for choice in event.get("choices") or ():
                    if text := (choice.get("delta") or {}).get("content"):
                        texts.append(text)
                    reason = choice.get("finish_reason")
                    if reason == "content_filter":
                        raise failures.refused()
                    self.whole = self.whole or reason is not None
                if usage := event.get("usage"):
                    counts = TokenCounts(int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
        except (MeshError, *_NOT_AS_AGREED) as error:
            self.error = error
        return Chunk("".join(texts), counts)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise failures.unreachable() from error
    except aiohttp.ServerTimeoutError as error:
        raise failures.too_slow() from error
    except (aiohttp.ClientError, *_NOT_AS_AGREED) as error:
        log.warning("the model's answer can't be read", extra={"error": repr(error)})
        raise failures.broken() from error


async def _refusal(response: aiohttp.ClientResponse) -> MeshError:
    body = b""
    async for part in response.content.iter_any():
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
        response.status,
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
        FailedPrecondition: GAJI_OPENAI_MODEL is not set, or the proxy on the way is not one for HTTP.
    """
    if not settings.openai_model:
        raise failures.misconfigured("GAJI_PROVIDER=openai needs the model's name in GAJI_OPENAI_MODEL")
    key = settings.openai_api_key.get_secret_value()
    url = settings.openai_base_url.rstrip("/") + "/chat/completions"
    proxy = _proxy(url)
    verified = await asyncio.to_thread(_verifying)  # certificates are read from files
    session = aiohttp.ClientSession(
        headers={"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})},
        # `connect` is for all of the way, the server's name and the proxy's CONNECT included; `sock_connect` is for an
        # address of several, and for TLS.
        timeout=aiohttp.ClientTimeout(
            connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=settings.model_timeout
        ),
        connector=aiohttp.TCPConnector(limit=0, ssl=verified, keepalive_timeout=_KEPT_SECONDS),
        proxy=proxy,
    )
    return OpenAIModel(
        session,
        url,
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
    """The proxy on the way to a server, as the environment has it; aiohttp would look for it in a thread each time.

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
