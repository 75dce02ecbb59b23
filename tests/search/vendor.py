"""Gemini, and servers that speak as OpenAI's, as a test tells them to answer; on loopback."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from pydantic import SecretStr

from tests.generation.http_fake import Answer, Exchange, HttpFake, open_http_fake

KEY = "a-key"
VENDORS = ("gemini", "openai")


class Asked(NamedTuple):
    """What the vendor was asked: the first property of the answer's schema, and with what."""

    what: str
    material: str


class Vendor:
    """Answers each kind of question as told, and keeps what was asked."""

    def __init__(self, fake: HttpFake) -> None:
        self.fake = fake
        self.url = fake.url
        self.asked: list[Asked] = []
        self.answers: dict[str, Callable[[str], Any]] = {}
        fake.answer = self.speak

    async def speak(self, exchange: Exchange) -> None:
        asked = asked_of(exchange)
        self.asked.append(asked)
        await exchange.answer(200, said(exchange, self.answers[asked.what](asked.material)))

    def tell(self, answer: Answer) -> None:
        """Has it answer every question so, byte by byte."""

        async def counted(exchange: Exchange) -> None:
            self.asked.append(asked_of(exchange))
            await answer(exchange)

        self.fake.answer = counted


def asked_of(exchange: Exchange) -> Asked:
    body = exchange.body
    if "contents" in body:
        schema = body["generationConfig"]["responseJsonSchema"]
        return Asked(next(iter(schema["properties"])), body["contents"][0]["parts"][0]["text"])
    schema = body["response_format"]["json_schema"]["schema"]
    return Asked(next(iter(schema["properties"])), body["messages"][1]["content"])


def said(exchange: Exchange, value: Any) -> dict[str, Any]:
    """What the vendor that was asked wraps an answer in; a value that is no text is told as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    if "contents" in exchange.body:
        part = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
        return {"candidates": [part]}
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


def numbered(material: str) -> list[tuple[int, str]]:
    """The numbered lines of a prompt."""
    return [(int(number), text) for number, text in re.findall(r"^\[(\d+)\] (.*)$", material, re.MULTILINE)]


def prefers(word: str) -> Callable[[str], Any]:
    """Names the passages with a word, the last of them first."""
    return lambda material: {"order": [number for number, text in reversed(numbered(material)) if word in text]}


def says(value: Any) -> Callable[[str], Any]:
    """Says so, whatever it is asked."""
    return lambda _: value


def states(*statements: str) -> Callable[[str], Any]:
    """Says what the novel tells."""
    return says({"statements": list(statements)})


@asynccontextmanager
async def open_vendor() -> AsyncIterator[Vendor]:
    async with open_http_fake() as fake:
        yield Vendor(fake)


def asking(url: str, vendor: str = "gemini", **changes: Any) -> dict[str, Any]:
    """Settings with which search asks a vendor that is on this machine."""
    own: dict[str, Any] = {
        "search_model": vendor,
        "search_model_name": "" if vendor == "gemini" else "a-model",
        "gemini_api_key": SecretStr(KEY),
        "openai_api_key": SecretStr(KEY),
        "gemini_base_url": url,
        "openai_base_url": f"{url}/v1",
    }
    return own | changes
