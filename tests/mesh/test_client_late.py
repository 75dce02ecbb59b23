"""What a missed deadline says, on whichever way it was missed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh.blocking import blocking_channel
from mesh.config import MeshSettings
from mesh.errors import DeadlineExceeded, MeshError, from_rpc_error, translated
from mesh.relay import RelayClient
from tests.mesh.conftest import Serve

LOOKUP = "/gaji.cache.v1.CacheService/Lookup"
WATCH = "/gaji.cache.v1.CacheService/WatchInvalidations"


async def never(request: Any) -> Any:
    await asyncio.sleep(60)


async def silence(request: Any) -> AsyncIterator[Any]:
    await asyncio.sleep(60)
    yield pb.WatchInvalidationsResponse()


def check(error: MeshError, method: str, seconds: float) -> None:
    assert isinstance(error, DeadlineExceeded)
    assert error.reason == "CACHE_TOO_SLOW"
    assert method.rpartition("/")[2] in error.message
    assert f"{seconds:g} s" in error.message
    assert error.metadata == {"deadline_seconds": f"{seconds:.3f}", "peer": "cache", "method": method}


async def test_a_late_answer_says_whose_it_was(serve: Serve) -> None:
    async with serve(lookup=never) as (_, stub):
        with pytest.raises(DeadlineExceeded) as caught, translated("cache"):
            await stub.Lookup(pb.LookupRequest(key="k"), timeout=0.25)
    check(caught.value, LOOKUP, 0.25)


async def test_a_late_stream_says_whose_it_was(serve: Serve) -> None:
    async with serve(watch=silence) as (_, stub):
        with pytest.raises(DeadlineExceeded) as caught, translated("cache"):
            async for _ in stub.WatchInvalidations(pb.WatchInvalidationsRequest(), timeout=0.25):
                pass
    check(caught.value, WATCH, 0.25)


async def test_a_late_relayed_stream_says_whose_it_was(serve: Serve) -> None:
    async with serve(watch=silence) as (server, _), grpc.aio.insecure_channel(server.address) as channel:
        relay = RelayClient(channel)
        try:
            call = relay.open(WATCH, b"", metadata={}, timeout=0.25)
            with pytest.raises(DeadlineExceeded) as caught:
                async for _ in call:
                    pass
        finally:
            await relay.close()
    check(caught.value, WATCH, 0.25)


async def test_a_late_blocking_call_says_whose_it_was(serve: Serve) -> None:
    async with serve(lookup=never) as (server, _):
        channel = blocking_channel(server.address, MeshSettings())
        try:
            stub = rpc.CacheServiceStub(channel)
            with pytest.raises(DeadlineExceeded) as caught:
                await asyncio.to_thread(stub.Lookup, pb.LookupRequest(key="k"), timeout=0.25)
        finally:
            channel.close()
    check(caught.value, LOOKUP, 0.25)


async def test_what_a_further_hop_has_missed_is_handed_on_as_it_says_it(serve: Serve) -> None:
    async with serve(lookup=never) as (_, inner):

        async def outer(request: pb.LookupRequest) -> Any:
            return await inner.Lookup(request, timeout=0.25)

        async with serve(lookup=outer) as (_, stub):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Lookup(pb.LookupRequest(key="k"), timeout=5)
    check(from_rpc_error(caught.value), LOOKUP, 0.25)
