"""What the tests of generation share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.generation.config import GenerationSettings
from services.generation.ports import ModelProvider, Prompt, Turn
from tests.generation.http_fake import HttpFake, open_http_fake

PROMPT = Prompt("You are Alice.", (Turn("user", "Who are you?"),))


@pytest.fixture
async def http_fake() -> AsyncIterator[HttpFake]:
    """Somebody else's HTTP server."""
    async with open_http_fake() as fake:
        yield fake


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
    async for chunk in provider.stream(prompt, **{"max_tokens": 32, "temperature": 0.0, **options}):
        text += chunk.text
        counts = chunk.counts or counts
    return text, counts
