"""Who may call what: every RPC of the contract against every process, on a real server."""

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gaji
import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh.config import MeshSettings
from mesh.errors import MeshError, PermissionDenied, Unavailable, Unimplemented, from_rpc_error
from mesh.interceptors.peers import callers
from mesh.relay import RelayClient
from mesh.server import MeshServer, Service, open_server
from stack.cert_paths import NAMES, OPERATOR
from tests.mesh.tls_material import channel_as, with_tls

SECONDS = 10


def services() -> Iterator[Service]:
    """Every service of the contract; each method says UNIMPLEMENTED."""
    root = Path(next(iter(gaji.__path__)))
    for file in sorted(root.rglob("*_service_pb2.py")):
        module = f"gaji.{'.'.join(file.relative_to(root).with_suffix('').parts)}"
        descriptors, stubs = importlib.import_module(module), importlib.import_module(f"{module}_grpc")
        for name, descriptor in descriptors.DESCRIPTOR.services_by_name.items():
            answers = {m.name: stream if m.server_streaming else unary for m in descriptor.methods}
            servicer = type(name, (), answers)()
            if name not in {
                "RelayService",
                "BreakerService",
                "LogService",
                "StatusService",
            }:  # every server has them
                yield Service(descriptor, servicer, getattr(stubs, f"add_{name}Servicer_to_server"))


async def unary(_self: Any, _request: Any, _context: Any) -> Any:
    raise Unimplemented("let in")


async def stream(_self: Any, _request: Any, _context: Any) -> AsyncIterator[Any]:
    raise Unimplemented("let in")
    yield


METHODS = [method for service in services() for method in service.descriptor.methods]


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@pytest.fixture
async def server(settings: MeshSettings, certs: Path) -> AsyncIterator[MeshServer]:
    async with open_server(with_tls(settings, certs, "cache"), list(services()), name="test") as running:
        yield running


def test_every_rpc_has_callers_and_they_exist() -> None:
    for method in METHODS:
        assert callers(method), f"{path(method)} is open to nobody: say (gaji.mesh.v1.callers)"
        assert callers(method) <= set(NAMES), path(method)


@pytest.mark.parametrize("room", ["library", "search", "generation", "jobs"])
def test_what_a_room_calls_is_open_to_it(room: str) -> None:
    """Read from its source: what its clients say to stubs."""
    services = Path(__file__).parents[2] / "services"
    source = "".join(file.read_text() for file in services.joinpath(room).glob("*client*.py"))
    shared = set(re.findall(r"^from services\.peers\.(\w+) import", source, re.MULTILINE))
    source += "".join((services / "peers" / f"{name}.py").read_text() for name in shared)
    called = set(re.findall(r"self\._\w+\.([A-Z]\w+)(?=[(,])", source))
    name = "worker" if room == "jobs" else room
    open_to_it = {method.name for method in METHODS if name in callers(method)}
    assert called
    assert called <= open_to_it, f"say (gaji.mesh.v1.callers) = {name!r} beside {sorted(called - open_to_it)}"


@pytest.mark.parametrize("name", NAMES)
async def test_a_peer_may_call_what_lists_it_and_nothing_else(name: str, server: MeshServer, certs: Path) -> None:
    async with channel_as(name, server.address, certs) as channel:
        for method in METHODS:
            open_: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
            call = open_(path(method))(b"", timeout=SECONDS)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (call.read() if method.server_streaming else call)
            error = from_rpc_error(caught.value)
            if name in callers(method):
                assert isinstance(error, Unimplemented), path(method)
            else:
                assert isinstance(error, PermissionDenied), path(method)
                assert (error.reason, error.metadata["peer"]) == ("PEER_NOT_ALLOWED", name)


@pytest.mark.parametrize("name", NAMES)
async def test_health_is_everybodys_and_reflection_the_operators(name: str, server: MeshServer, certs: Path) -> None:
    async with channel_as(name, server.address, certs) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        listing = reflection.ServerReflectionInfo(iter([request]), timeout=SECONDS)
        if name == OPERATOR:
            assert (await listing.read()).list_services_response.service
            listing.cancel()
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await listing.read()
            assert from_rpc_error(caught.value).reason == "PEER_NOT_ALLOWED"


async def test_a_call_in_a_relay_is_the_relays_peers(server: MeshServer, certs: Path) -> None:
    async with channel_as("gateway", server.address, certs) as channel:
        relay = RelayClient(channel)
        try:
            for method in METHODS:
                if not method.server_streaming or method.client_streaming:
                    continue
                call = relay.open(path(method), b"", metadata={}, timeout=SECONDS)
                with pytest.raises(Unimplemented if "gateway" in callers(method) else PermissionDenied):
                    await anext(aiter(call))
        finally:
            await relay.close()


async def test_a_relay_is_the_gateways_alone(server: MeshServer, certs: Path) -> None:
    async with channel_as("library", server.address, certs) as channel:
        relay = RelayClient(channel)
        try:
            error: MeshError = Unavailable("not called yet")
            async with asyncio.timeout(SECONDS):
                while isinstance(error, Unavailable):  # the stream may be reset before its end is read
                    call = relay.open("/gaji.search.v1.SearchService/IngestNovel", b"", metadata={}, timeout=SECONDS)
                    with pytest.raises((PermissionDenied, Unavailable)) as caught:
                        await anext(aiter(call))
                    error = caught.value
            assert "may not call" in error.message
        finally:
            await relay.close()


async def test_the_refusal_is_a_google_rpc_status(server: MeshServer, certs: Path) -> None:
    async with channel_as("search", server.address, certs) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/gaji.library.v1.ConversationService/TakeReply")(b"\xff", timeout=SECONDS)
    status = from_rpc_error(caught.value).to_status()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("PEER_NOT_ALLOWED", "gaji")
