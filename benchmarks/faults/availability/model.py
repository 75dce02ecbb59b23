"""A server that speaks OpenAI's protocol with numbered words: the primary model, which faults take away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from stack.ports import HOST

MODEL = "primary-words"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_SECONDS = 30.0


@asynccontextmanager
async def open_model_server(words: int, rate: float) -> AsyncIterator[int]:
    """The server's port, until the block is left.

    Args:
        words: of each reply.
        rate: words a second.
    """
    writers: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                    await reader.readexactly(int(length or b"0"))
                    writer.write(_HEAD)
                    for number in range(1, words + 1):
                        await asyncio.sleep(1 / rate)
                        await _chunk(writer, {"choices": [{"delta": {"content": f"word{number} "}}]})
                    await _chunk(writer, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
                    await _chunk(writer, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": words}})
                    writer.write(b"data: [DONE]\n\n")
                    await writer.drain()
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()


async def _chunk(writer: asyncio.StreamWriter, data: object) -> None:
    if writer.transport.is_closing():  # uvloop raises a RuntimeError
        raise ConnectionResetError
    writer.write(b"data: " + orjson.dumps(data) + b"\n\n")
    await writer.drain()
