"""A bare gRPC server for the measurement: prints its port and serves until it is terminated, ten minutes at most."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

MESSAGES = 100
"""How many a stream has."""


async def unary(request: bytes, context: Any) -> bytes:
    """Answers."""
    return b""


async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Answers with many."""
    for _ in range(MESSAGES):
        yield b""


async def main() -> None:
    """Serves."""
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "GetStats": grpc.unary_unary_rpc_method_handler(unary),
        "WatchInvalidations": grpc.unary_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gaji.cache.v1.CacheService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    uvloop.run(main())
