"""What the tests of generation share."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from mesh.process import ended
from services.generation.config import GenerationSettings
from services.generation.ports import Chunk, ModelProvider, Prompt, Turn
from tests.fixtures.servers import Bearer
from tests.generation.http_fake import HttpFake, open_http_fake
from tests.generation.rooms import READER

PROMPT = Prompt("You are Alice.", (Turn("user", "Who are you?"),))


@pytest.fixture
async def http_fake() -> AsyncIterator[HttpFake]:
    """Somebody else's HTTP server."""
    async with open_http_fake() as fake:
        yield fake


@pytest.fixture
def as_reader(bearer: Bearer) -> list[tuple[str, str]]:
    """Metadata of a reader's call."""
    return [("authorization", f"Bearer {bearer(READER)}")]


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no proxy but a test's own."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def make_settings(**changes: Any) -> GenerationSettings:
    """Settings with free ports, whatever the environment says of providers."""
    values = {
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "drain_seconds": 1,
        "GEMINI_API_KEY": "",
        **changes,
    }
    return GenerationSettings(**values)


async def said(provider: ModelProvider, prompt: Prompt = PROMPT, **options: Any) -> tuple[str, Any]:
    """All that a model says, and its counts."""
    text, counts = "", None
    async for chunk in heard(provider, prompt, **options):
        text += chunk.text
        counts = chunk.counts or counts
    return text, counts


async def heard(
    provider: ModelProvider, prompt: Prompt = PROMPT, *, max_tokens: int = 32, temperature: float = 0.0, **options: Any
) -> AsyncGenerator[Chunk, None]:
    """What a model says, chunk by chunk; closed before its end, it cancels the model and waits for it."""
    chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
    answering = provider.answer(prompt, chunks.put_nowait, max_tokens=max_tokens, temperature=temperature, **options)
    task = asyncio.ensure_future(answering)
    task.add_done_callback(lambda _: chunks.put_nowait(None))
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
        await task
    finally:
        await ended(task)
