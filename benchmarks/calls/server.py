"""What is called in the measurement: a bare gRPC server and one of the mesh, in one process.

Prints the address of each and a path of a Unix socket of the first, and serves until it is terminated, ten minutes at
most.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvloop
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.config import MeshSettings
from mesh.server import Service, open_server
from mesh.telemetry import logs

MESSAGES = 100
"""How many a stream has."""


async def unary(request: bytes, context: Any) -> bytes:
    """Answers."""
    return b""


async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Answers with many."""
    for _ in range(MESSAGES):
        yield b""


async def echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    """Answers each message with one."""
    async for request in requests:
        yield request


class Answering(rpc.CacheServiceServicer):
    """The same with the mesh around it."""

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:  # noqa: N802 - the contract's name
        """Answers."""
        return pb.GetStatsResponse()


async def main() -> None:
    """Serves."""
    logs.configure("calls", "INFO")  # as in production: a line for each call is a part of its price
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "GetStats": grpc.unary_unary_rpc_method_handler(unary),
        "WatchInvalidations": grpc.unary_stream_rpc_method_handler(stream),
        "LookupMany": grpc.stream_stream_rpc_method_handler(echo),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gaji.cache.v1.CacheService", handlers),))
    with tempfile.TemporaryDirectory(prefix="gaji-bench-") as folder:
        path = f"unix:{Path(folder) / 'calls.sock'}"
        port = server.add_insecure_port("127.0.0.1:0")
        server.add_insecure_port(path)
        await server.start()
        answering = Answering()  # type: ignore[abstract]  # the rest stays unimplemented
        service = Service(
            pb.DESCRIPTOR.services_by_name["CacheService"], answering, rpc.add_CacheServiceServicer_to_server
        )
        async with open_server(MeshSettings(), [service], name="calls") as ours:
            print(f"127.0.0.1:{port} {ours.address} {path} {os.getpid()}", flush=True)
            await asyncio.sleep(600)


if __name__ == "__main__":
    uvloop.run(main())
