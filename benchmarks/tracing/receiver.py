"""An OTLP receiver that throws everything away: prints its port and serves until it is terminated.

Usage: python -m benchmarks.tracing.receiver
"""

import asyncio

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the exports of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
            writer.write(_ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serves."""
    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with asyncio.timeout(1800):
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
