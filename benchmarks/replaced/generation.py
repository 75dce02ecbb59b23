"""Writes replies: ``python -m benchmarks.replaced.generation``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import orjson
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sse_starlette.sse import EventSourceResponse

from benchmarks.replaced.conversations import Conversation, Conversations, open_conversations
from benchmarks.replaced.settings import Settings, client, serve

settings = Settings()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens database and peers on the server's loop."""
    async with (
        open_conversations(settings.database_url) as app.state.conversations,
        client(settings.search_url) as app.state.search,
        client(settings.model_url) as app.state.model,
    ):
        yield


app = FastAPI(lifespan=lifespan)


class ReplyRequest(BaseModel):
    """Who says what."""

    conversation_id: UUID
    user_id: UUID
    content: str


@app.post("/replies")
async def reply(asked: ReplyRequest) -> EventSourceResponse:
    """Stores the message; its reply comes token by token, and is stored when it is whole."""
    conversations: Conversations = app.state.conversations
    conversation = await conversations.say(asked.conversation_id, asked.user_id, asked.content)
    if conversation is None:
        raise HTTPException(404, "there is no such conversation")
    query = {"novel_id": str(conversation.novel_id), "query": f"{asked.content} {conversation.scenario}", "top_k": 6}
    found = await app.state.search.post("/search", json=query)
    found.raise_for_status()
    messages = _prompt(conversation, found.json()["passages"])
    return EventSourceResponse(_events(asked.conversation_id, messages))


def _prompt(conversation: Conversation, passages: list[str]) -> list[dict[str, str]]:
    excerpts = "\n".join(passages)
    system = (
        f"You are {conversation.character_name}, a character of a novel. In this story something is different: "
        f"{conversation.scenario}\nPassages of the novel:\n{excerpts}\nSpeak in the first person, in a few sentences."
    )
    return [
        {"role": "system", "content": system},
        *({"role": role, "content": content} for role, content in conversation.history),
    ]


async def _events(conversation_id: UUID, messages: list[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    text: list[str] = []
    try:
        async for token in _tokens(messages):
            text.append(token)
            yield {"event": "token", "data": orjson.dumps({"content": token}).decode()}
        message_id = await app.state.conversations.answer(conversation_id, "".join(text))
        yield {"event": "complete", "data": orjson.dumps({"message_id": str(message_id)}).decode()}
    except httpx.HTTPError as error:
        yield {"event": "failed", "data": orjson.dumps({"message": str(error)}).decode()}


async def _tokens(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    asked: dict[str, Any] = {
        "model": settings.model_name,
        "messages": messages,
        "stream": True,
        "max_tokens": 256,
        "temperature": 0.7,
    }
    model: httpx.AsyncClient = app.state.model
    async with model.stream("POST", "/chat/completions", json=asked) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                return
            for choice in orjson.loads(line[6:])["choices"]:
                if token := choice["delta"].get("content"):
                    yield token


if __name__ == "__main__":
    serve(app, settings)
