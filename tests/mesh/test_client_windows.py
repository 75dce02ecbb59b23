"""What channels and servers say to each other below the calls: HTTP/2, read by a proxy that stands between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.config import MeshSettings
from tests.mesh.conftest import CACHE, Serve

_PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_SETTINGS, _PING = 4, 6
_INITIAL_WINDOW_SIZE = 4


@dataclass
class Overheard:
    """The frames that have passed: their types, and what the settings say, end by end."""

    frames: list[int] = field(default_factory=list)
    settings: list[dict[int, int]] = field(default_factory=list)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, preface: int) -> None:
        """Passes on what one end says, until it ends."""
        try:
            writer.write(await reader.readexactly(preface))
            while True:
                head = await reader.readexactly(9)
                body = await reader.readexactly(int.from_bytes(head[:3]))
                self.frames.append(head[3])
                if head[3] == _SETTINGS and body:
                    pairs = [body[at : at + 6] for at in range(0, len(body), 6)]
                    self.settings.append({int.from_bytes(one[:2]): int.from_bytes(one[2:]) for one in pairs})
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def overhearing(address: str) -> AsyncIterator[tuple[str, Overheard]]:
    """A proxy in front of a server, and what it hears."""
    overheard = Overheard()
    host, _, port = address.rpartition(":")

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(overheard.pass_on(reader, back, _PREFACE), overheard.pass_on(there, writer, 0))

    async with await asyncio.start_server(between, "127.0.0.1", 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname()[:2]), overheard


async def test_messages_bring_no_pings_and_both_ends_take_megabytes_at_once(
    serve: Serve, settings: MeshSettings
) -> None:
    async def echo(request: Any) -> pb.LookupResponse:
        return pb.LookupResponse(hit=pb.Hit(value=request.key.encode()))

    async with (
        serve(lookup=echo) as (server, _),
        overhearing(server.address) as (address, overheard),
        open_channel(address, settings, [CACHE]) as channel,
    ):
        stub: Any = rpc.CacheServiceStub(channel)
        for size in (1, 100_000, 1):
            assert len((await stub.Lookup(pb.LookupRequest(key="x" * size))).hit.value) == size
        assert _PING not in overheard.frames  # to end a connection both send one
        assert [one[_INITIAL_WINDOW_SIZE] for one in overheard.settings] == [4 * 1024 * 1024] * 2
