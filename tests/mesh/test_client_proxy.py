"""A proxy of the environment is for the world outside: calls to peers do not go by it."""

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from stack.probes import grpc_health
from tests.mesh.conftest import Serve, code_of

NOBODY = "http://127.0.0.1:9"


async def hit(_: pb.LookupRequest) -> pb.LookupResponse:
    return pb.LookupResponse(hit=pb.Hit(value=b"v"))


@pytest.mark.parametrize("name", ["grpc_proxy", "https_proxy", "http_proxy"])
async def test_peers_are_called_directly(serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, NOBODY)
    async with serve(lookup=hit) as (server, stub):
        assert (await stub.Lookup(pb.LookupRequest(key="k"), timeout=5)).hit.value == b"v"
        assert await grpc_health(server.address) == "SERVING"


async def test_by_the_proxy_where_the_setting_says_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv("grpc_proxy", NOBODY)
    async with serve(lookup=hit, peers_by_proxy=True) as (_, stub):
        assert await code_of(stub.Lookup(pb.LookupRequest(key="k"), timeout=5)) is grpc.StatusCode.UNAVAILABLE
