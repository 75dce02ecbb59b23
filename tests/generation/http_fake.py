"""A loopback HTTP server that answers as a test says, byte by byte, and sees when its client leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """A request, and the way to answer it."""

    path: str
    headers: dict[str, str]
    body: Any
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def send(self, data: str | bytes) -> None:
        data = data.encode() if isinstance(data, str) else data
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def event(self, value: Any) -> None:
        await self.send(f"data: {json.dumps(value)}\r\n\r\n")

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def answer(self, status: int, value: Any, **headers: str) -> None:
        await self.begin(status, "application/json", **headers)
        await self.send(json.dumps(value))
        await self.end()


Answer = Callable[[Exchange], Awaitable[None]]


class HttpFake:
    """The server; `answer` may be set anew at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Answer | None = None
        self.exchanges: list[Exchange] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        exchange = Exchange(head[0].split(" ")[1], headers, json.loads(body) if body else None, writer)
        self.exchanges.append(exchange)
        assert self.answer
        answering = asyncio.ensure_future(self.answer(exchange))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([answering, watching], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                exchange.gone.set()
            else:
                answering.result()
            return not watching.done() and answering.done()
        finally:
            for waiting in (answering, watching):
                waiting.cancel()
            await asyncio.wait([answering, watching])

    async def close(self) -> None:
        """Ends the connections that are left."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def open_http_fake() -> AsyncIterator[HttpFake]:
    """A server on a free port of loopback."""
    fake = HttpFake()
    server = await asyncio.start_server(fake.connected, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await fake.close()
        await server.wait_closed()
