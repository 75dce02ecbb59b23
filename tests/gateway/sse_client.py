"""Reads server-sent events from a raw socket, with the time of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Event:
    """One event: its name, its data as JSON, its id, and what else its block held (comments, retry)."""

    name: str = ""
    data: Any = None
    id: str = ""
    others: list[str] = field(default_factory=list)


class Stream:
    """An open stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks = self.received = 0
        self._text = b""

    async def read_head(self) -> None:
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    async def events(self) -> AsyncIterator[Event]:
        """Blocks in order, until the stream ends."""
        while (chunk := await self._chunk()) is not None:
            self.chunks += 1
            self.received += len(chunk)
            self._text += chunk
            *blocks, self._text = self._text.split(b"\n\n")
            for block in blocks:
                yield _parsed(block)
        assert not self._text, "the stream ends within an event"

    async def rest(self) -> list[Event]:
        """All events that are left; blocks of comments and the like are left out."""
        return [event async for event in self.events() if event.name]

    async def body(self) -> bytes:
        return await self._reader.readexactly(int(self.headers["content-length"]))

    def stop_reading(self) -> None:
        transport: Any = self._writer.transport
        transport.pause_reading()

    def read_on(self) -> None:
        transport: Any = self._writer.transport
        transport.resume_reading()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _chunk(self) -> bytes | None:
        size = int(await self._reader.readline(), 16)
        data = await self._reader.readexactly(size + 2)
        return data[:-2] if size else None


@asynccontextmanager
async def open_stream(
    address: str, path: str, *headers: str, limit: int = 2**16, host: str = "x"
) -> AsyncIterator[Stream]:
    """Asks for a stream; the whole of it has 30 s."""
    ip, _, port = address.rpartition(":")
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(ip, int(port), limit=limit)
        stream = Stream(reader, writer)
        try:
            lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/event-stream", *headers]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            await stream.read_head()
            yield stream
        finally:
            await stream.close()


def _parsed(block: bytes) -> Event:
    event = Event()
    for line in block.decode().split("\n"):
        name, _, value = line.partition(": ")
        match name:
            case "event":
                event.name = value
            case "data":
                event.data = orjson.loads(value)
            case "id":
                event.id = value
            case _:
                event.others.append(line)
    return event
