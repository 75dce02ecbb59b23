"""What there is to talk about, and a client that makes it and looks at it through any gateway that answers."""

import asyncio
import uuid
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

STORY = """The Light at Hollow Quay

Chapter 1

Marta Venn kept the light at Hollow Quay, as her mother had. Every evening Marta carried the oil up ninety steps and
told the lamp what the day had brought. "The herring came," said Marta. "Edwin Sloane did not."

Chapter 2

Edwin Sloane came back in the third winter, in a boat that nobody had built. "I followed your light," said Edwin, "and
it was not here that it burned." Marta Venn looked at the boat, and at the sea behind it, which lay quite still.
"""
_AGAIN = {429, 502, 503, 504}
_PAUSE_SECONDS = 0.3
_STOP_SECONDS = 1.0  # time for a few words
_LONG_SECONDS = 180.0  # longer than any host is away


class Client:
    """A guest who asks one gateway after the other until one answers.

    Args:
        gateways: their URLs; may change.

    Attributes:
        repeated: how often a request had to be sent again.
    """

    def __init__(self, gateways: Sequence[str]) -> None:
        self.gateways = gateways
        self.token = ""
        self.repeated = 0
        self._turns = count()
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(20.0, connect=2.0), trust_env=False)

    async def __aenter__(self) -> Self:
        session = await self.ask("POST", "/api/auth/guest", {"display_name": "A reader"})
        self.token = session["access_token"]
        self._http.headers["authorization"] = f"Bearer {self.token}"
        self._http.cookies.clear()
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, body: Any = None, *, seconds: float = 60.0) -> Any:
        """The JSON of an answer that says yes. Sent again as long as nobody answers, so it must be idempotent.

        Raises:
            RuntimeError: an answer says no.
            TimeoutError: there is none in time.
        """
        async with asyncio.timeout(seconds):
            while True:
                url = self.gateways[next(self._turns) % len(self.gateways)]
                try:
                    answer = await self._http.request(method, url + path, json=body)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.is_success:
                    return answer.json() if answer.content else None
                if answer is not None and answer.status_code not in _AGAIN:
                    raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
                self.repeated += 1
                await asyncio.sleep(_PAUSE_SECONDS)

    async def add_novel(self, title: str, text: str) -> str:
        """Puts a novel on the shelf; returns its id, not waiting for its ingestion."""
        body = {"title": title, "text": text, "language": "en", "request_id": uuid.uuid4().hex}
        novel: dict[str, Any] = await self.ask("POST", "/api/novels", body)
        return str(novel["novel_id"])

    async def ingested(self, novel_id: str, seconds: float = 300.0) -> dict[str, Any]:
        """Waits until a novel's ingestion has ended; returns the novel.

        Raises:
            RuntimeError: it has failed.
            TimeoutError: it has not ended in time.
        """
        async with asyncio.timeout(seconds):
            while True:
                novel: dict[str, Any] = await self.ask("GET", f"/api/novels/{novel_id}")
                if novel["status"] == "INGESTION_STATUS_COMPLETE":
                    return novel
                if novel["status"] == "INGESTION_STATUS_FAILED":
                    raise RuntimeError(f"the ingestion failed: {novel['failure']}")
                await asyncio.sleep(_PAUSE_SECONDS)

    async def ingested_to(self, novel_id: str, percent: int) -> None:
        """Waits until so much of a novel's ingestion is done; without faults meanwhile.

        Raises:
            RuntimeError: it ends before it says so.
        """
        url = f"{self.gateways[0]}/api/novels/{novel_id}/ingestion-stream"
        async with asyncio.timeout(120), self._http.stream("GET", url) as response:
            async for line in response.aiter_lines():
                data = orjson.loads(line[6:]) if line.startswith("data: ") else {}
                if data.get("progress", 0) >= percent:
                    return
        raise RuntimeError(f"the ingestion of {novel_id} ended before {percent} %")

    async def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """The messages of a conversation, oldest first."""
        answer = await self.ask("GET", f"/api/conversations/{conversation_id}/messages?page_size=100")
        return list(answer["messages"])

    async def completed(self, conversation_id: str, count: int, seconds: float = 60.0) -> dict[str, Any]:
        """Waits until a conversation's last message is whole, asking now and then; returns it.

        Args:
            conversation_id: the conversation.
            count: how many messages there must be.
            seconds: how long to wait.

        Raises:
            TimeoutError: it is not whole in time.
        """
        async with asyncio.timeout(seconds):
            while True:
                messages = await self.messages(conversation_id)
                if len(messages) == count and messages[-1]["status"] == "MESSAGE_STATUS_COMPLETE":
                    return messages[-1]
                await asyncio.sleep(_PAUSE_SECONDS / 3)


class World:
    """A novel with a scenario and a character, and one conversation to fork others from.

    Attributes:
        client: its reader.
        novel_id, scenario_id, character_id: of the novel.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.novel_id = self.scenario_id = self.character_id = self.conversation_id = self.opening_id = ""

    async def make(self, *, stop: bool = False) -> Self:
        """Makes it all.

        Args:
            stop: the opening soon, where a whole one would take long.
        """
        ask = self.client.ask
        self.novel_id = await self.client.add_novel("The Light at Hollow Quay", STORY)
        await self.client.ingested(self.novel_id)
        scenario = {"novel_id": self.novel_id, "title": "No boat", "description": "What if Edwin had stayed away?"}
        self.scenario_id = (await ask("POST", "/api/scenarios", scenario))["scenario_id"]
        characters = (await ask("GET", f"/api/novels/{self.novel_id}/characters"))["characters"]
        self.character_id = characters[0]["character_id"]
        whom = {"scenario_id": self.scenario_id, "character_id": self.character_id, "request_id": uuid.uuid4().hex}
        made = await ask("POST", "/api/conversations", whom)
        self.conversation_id, self.opening_id = made["conversation_id"], made["message_id"]
        if stop:
            await self._stopped()
        else:
            await self.client.completed(self.conversation_id, 1)
        return self

    async def _stopped(self) -> None:
        path = f"/api/conversations/{self.conversation_id}/messages/{self.opening_id}:stop"
        async with asyncio.timeout(60):
            while (await self.client.messages(self.conversation_id))[0]["status"] == "MESSAGE_STATUS_PENDING":
                await asyncio.sleep(_STOP_SECONDS)
                await self.client.ask("POST", path, {})

    async def conversation(self) -> str:
        """A conversation of two messages' room: a copy of the first one's opening, so that no model is asked."""
        path = f"/api/conversations/{self.conversation_id}/messages/{self.opening_id}:fork"
        forked = await self.client.ask("POST", path, {"request_id": uuid.uuid4().hex}, seconds=_LONG_SECONDS)
        return str(forked["conversation_id"])

    def question(self, conversation_id: str, number: int) -> tuple[str, str]:
        """What a reader says, and the path of the stream that answers it."""
        content = f"Question {number}: what did you see?"
        request_id = uuid.uuid4().hex
        return content, (
            f"/api/conversations/{conversation_id}/messages-stream?content={quote(content)}&request_id={request_id}"
        )

    def opening(self) -> str:
        """The path of a stream that begins a conversation."""
        return (
            f"/api/conversations/create-stream?scenario_id={self.scenario_id}&character_id={self.character_id}"
            f"&request_id={uuid.uuid4().hex}"
        )
