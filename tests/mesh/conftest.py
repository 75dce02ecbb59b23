"""A small real server for the mesh's own tests: the cache's contract, answered by plain functions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.server import MeshServer, Service, open_server
from tests.mesh.tls_material import certs

__all__ = ["certs"]  # a fixture

CACHE = pb.DESCRIPTOR.services_by_name["CacheService"]
Lookup = Callable[[pb.LookupRequest], Awaitable[pb.LookupResponse]]
Watch = Callable[[pb.WatchInvalidationsRequest], AsyncIterator[pb.WatchInvalidationsResponse]]


class Servicer(rpc.CacheServiceServicer):
    """Answers Lookup and WatchInvalidations with the functions that a test gives."""

    def __init__(self, lookup: Lookup | None, watch: Watch | None, stats: Lookup | None) -> None:
        self._lookup, self._watch, self._stats = lookup, watch, stats

    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:  # noqa: N802 - the contract's name
        assert self._lookup
        return await self._lookup(request)

    async def GetStats(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        assert self._stats
        return await self._stats(request)

    async def WatchInvalidations(  # noqa: N802 - the contract's name
        self, request: pb.WatchInvalidationsRequest, context: Any
    ) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        assert self._watch
        async for message in self._watch(request):
            yield message


Serve = Callable[..., AbstractAsyncContextManager[tuple[MeshServer, Any]]]


@pytest.fixture
def settings(jwt_keys: Any) -> MeshSettings:
    """Settings with free ports and a key."""
    return MeshSettings(
        listen="127.0.0.1:0", admin_listen="127.0.0.1:0", jwt_public_key_file=Path(jwt_keys.public), drain_seconds=1
    )


@pytest.fixture
def serve(settings: MeshSettings) -> Serve:
    """Serves the given functions on a real socket and opens a channel to them."""

    @asynccontextmanager
    async def run(
        *, lookup: Lookup | None = None, watch: Watch | None = None, stats: Lookup | None = None, **changes: Any
    ) -> AsyncIterator[tuple[MeshServer, Any]]:
        used = settings.model_copy(update=changes)
        servicer = Servicer(lookup, watch, stats)  # type: ignore[abstract]  # the rest stays unimplemented
        service = Service(CACHE, servicer, rpc.add_CacheServiceServicer_to_server)
        async with (
            open_server(used, [service], name="test") as server,
            open_channel(server.address, used, [CACHE]) as channel,
        ):
            stub: Any = rpc.CacheServiceStub(channel)
            yield server, stub

    return run


async def code_of(call: Any) -> grpc.StatusCode:
    """The status code of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()
