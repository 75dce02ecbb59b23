"""A reader at the gateway's door, for end-to-end tests."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

STORY = """The Ferry at Marrow Point

Chapter 1

Old Tobias Wren had kept the ferry at Marrow Point for thirty years, and in all that time he had never once
asked a passenger for a name. "Names are for the shore," Tobias said. His daughter Isolde wrote the names down
all the same, in a small green book that she hid beneath the tar barrels. Isolde Wren believed that a river
forgets nothing.

On the first night of the frost a man named Captain Harrow came down to the landing with a locked iron chest.
Captain Harrow offered ten gold coins to be taken across before dawn. "Ten coins is a great deal for a cold
river," said Isolde. Tobias looked at the chest, and at the coins, and he untied the rope.

Chapter 2

In the middle of the river the ice began to sing. Captain Harrow sat upon his chest and told them that it held
the bell of a drowned village, and that he meant to hang it where no one would hear it ring. Isolde asked him
which village. He did not answer, but his hands shook, and Tobias Wren stopped rowing.

"I was born in that village," said Tobias. It was the first thing about himself that he had told a passenger
in thirty years. The bell rang once inside its chest, although nobody had touched it.

Chapter 3

By morning the ferry lay empty on the far bank. The chest stood open upon the sand, and there was nothing
inside it but river water and a small green book. Isolde Wren walked home over the ice with the bell in her
arms, and the people of the shore came out of their doors to hear her pass. She never told them what her
father had said to Captain Harrow at the end.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event and when it came."""

    name: str
    id: str
    data: Any
    at: float


class Reader:
    """A guest with a session."""

    def __init__(self, client: httpx.AsyncClient, token: str, user_id: str) -> None:
        self.client, self.token, self.user_id = client, token, user_id

    async def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        """A request; a body is sent as JSON."""
        if body is not None:
            kwargs["json"] = body
        return await self.client.request(method, path, **kwargs)

    async def ok(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        """A request that must succeed; its JSON."""
        response = await self.call(method, path, body, **kwargs)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def events(self, method: str, path: str, body: Any = None, **kwargs: Any) -> AsyncIterator[Event]:
        """A stream's events until it ends."""
        if body is not None:
            kwargs["json"] = body
        async with self.client.stream(method, path, **kwargs) as response:
            if response.status_code != 200:
                await response.aread()
            assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
            assert response.headers["content-type"].startswith("text/event-stream")
            async for event in parse(response.aiter_lines()):
                yield event

    async def all_events(self, method: str, path: str, body: Any = None, **kwargs: Any) -> list[Event]:
        """A stream's events, all of them."""
        return [event async for event in self.events(method, path, body, **kwargs)]

    async def add_novel(self, title: str, text: str, **more: Any) -> str:
        """Adds a novel and waits until it can be searched."""
        answer = await self.ok("POST", "/api/novels", {"title": title, "text": text, **more})
        novel_id: str = answer["novel_id"]
        events = await self.all_events("GET", f"/api/novels/{novel_id}/ingestion-stream")
        assert events[-1].name == "complete", events[-1]
        return novel_id


async def parse(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Events out of lines, as the HTML standard has it; comments and `retry:` are passed over."""
    name, identity = "message", ""
    data: list[str] = []
    async for line in lines:
        if line == "":
            if data:
                yield Event(name, identity, httpx.Response(200, text="\n".join(data)).json(), time.monotonic())
            name, data = "message", []
        elif line.startswith("event: "):
            name = line[7:]
        elif line.startswith("id: "):
            identity = line[4:]
        elif line.startswith("data: "):
            data.append(line[6:])


@asynccontextmanager
async def reader_at(url: str) -> AsyncIterator[Reader]:
    """A new guest at a gateway."""
    timeout = httpx.Timeout(60, connect=5)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
        answer = await client.post("/api/auth/guest", json={"display_name": f"guest {uuid.uuid4().hex[:6]}"})
        assert answer.is_success, answer.text
        session = answer.json()
        client.headers["authorization"] = f"Bearer {session['access_token']}"
        client.cookies.clear()
        yield Reader(client, session["access_token"], session["user_id"])
