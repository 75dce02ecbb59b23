"""A unary call: what stands around it at the caller and at the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from benchmarks.guard.paths import Round, Site
from mesh import deadlines, identity
from mesh.breaker import Breakers, BreakerSettings
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.identity import Identity
from mesh.server import MeshServer, Service, open_server
from mesh.telemetry import trace

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]


class Echo(rpc.CacheServiceServicer):
    """Answers one method, at once."""

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:  # noqa: N802, D102 - the contract's
        return pb.GetStatsResponse(store_available=True)


@asynccontextmanager
async def open_echo(settings: MeshSettings) -> AsyncIterator[MeshServer]:
    """A server of the mesh whose handler does nothing."""
    echo = Echo()  # type: ignore[abstract]  # the rest stays unimplemented
    async with open_server(
        settings, [Service(CACHE, echo, rpc.add_CacheServiceServicer_to_server)], name="guard"
    ) as server:
        yield server


@asynccontextmanager
async def caller(site: Site) -> AsyncIterator[Round]:
    """As a handler calls another room: with a reader's token, a deadline, a trace and a circuit breaker."""
    address = await site.peer.ask("echo", public_key=str(site.public_key))
    settings, count = MeshSettings(), site.some(20, 4)
    gate = Breakers(BreakerSettings.of(settings)).before(CACHE)
    async with open_channel(address, settings, [CACHE], gate=gate) as channel:
        stub: Any = rpc.CacheServiceStub(channel)
        request = pb.GetStatsRequest()

        async def work() -> None:
            for _ in range(count):
                await stub.GetStats(request)

        async def run() -> int:
            await handled(site, work)
            return count

        yield run


@asynccontextmanager
async def server(site: Site) -> AsyncIterator[Round]:
    """All that a server does before and after its handler."""
    settings = MeshSettings(jwt_public_key_file=site.public_key)
    async with open_echo(settings) as echo:
        count = site.some(20, 4)

        async def run() -> int:
            return int(await site.peer.ask("calls", address=echo.address, token=site.token, count=count))

        yield run


async def handled(site: Site, work: Callable[[], Awaitable[None]]) -> None:
    """Does some work as the handler of a reader's call does: with his token, a deadline and a trace."""

    async def handler() -> None:
        trace.enter()
        identity.enter(Identity(str(uuid4()), guest=True, expires_at=float("inf"), token=site.token))
        with deadlines.scope(60):
            await work()

    await asyncio.create_task(handler())  # in a context of its own: nothing of it stays
