"""No call lacks a deadline: every RPC of the contract, in every way in which the mesh calls."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import gaji
import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.bindings import routes_of
from gateway.contract import load_contract
from gateway.relays import open_relays
from gateway.upstreams import Upstream
from mesh import deadlines
from mesh.blocking import blocking_channel
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.errors import DeadlineExceeded, from_rpc_error
from mesh.relay import Sink
from mesh.server import MeshServer, Service, open_server
from services.jobs.clients import GrpcRooms
from services.jobs.ports import RoomError

SCOPE = 3.0
MARGIN = MeshSettings().deadline_margin


class Rpc(NamedTuple):
    """A method and the stub class that offers it."""

    stub: Any
    method: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def rpcs() -> Iterator[Rpc]:
    """Every RPC for which code was generated."""
    root = Path(next(iter(gaji.__path__)))
    for file in sorted(root.rglob("*_pb2_grpc.py")):
        name = ".".join(("gaji", *file.relative_to(root).with_suffix("").parts))
        generated = importlib.import_module(name)
        messages = importlib.import_module(name.removesuffix("_grpc"))
        for service in messages.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield Rpc(getattr(generated, f"{service.name}Stub"), method)


RPCS = list(rpcs())
# Bidirectional ones have tests of their own, which know how to speak on them.
ROOM_RPCS = [rpc for rpc in RPCS if not rpc.path.startswith("/gaji.mesh.") and not rpc.method.client_streaming]
STREAMS = [rpc for rpc in ROOM_RPCS if rpc.method.server_streaming]
UNARY = [rpc for rpc in ROOM_RPCS if not rpc.method.server_streaming]


class Recorder:
    """Answers every RPC of the contract with an empty message and keeps how long its caller waits."""

    def __init__(self) -> None:
        self.left: dict[str, list[float | None]] = {}

    def service(self, descriptor: ServiceDescriptor) -> Service:
        handlers = {}
        servicer = type(descriptor.name, (), {})()
        for method in descriptor.methods:
            handler = self._handler(method)
            setattr(servicer, method.name, handler)
            shape = f"unary_{'stream' if method.server_streaming else 'unary'}_rpc_method_handler"
            request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            handlers[method.name] = getattr(grpc, shape)(handler, request.FromString, response.SerializeToString)
        generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
        return Service(descriptor, servicer, lambda _, server: server.add_generic_rpc_handlers((generic,)))

    def _handler(self, method: MethodDescriptor) -> Callable[..., Any]:
        path, response = Rpc(None, method).path, GetMessageClass(method.output_type)

        async def unary(request: Any, context: Any) -> Any:
            self.left.setdefault(path, []).append(context.time_remaining())
            return response()

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            self.left.setdefault(path, []).append(context.time_remaining())
            return
            yield

        return stream if method.server_streaming else unary

    def check(self, path: str, *limits: float) -> None:
        """One call came for each limit, and each within it."""
        left = self.left.pop(path)
        assert len(left) == len(limits)
        for seconds, limit in zip(left, limits, strict=True):
            assert seconds is not None
            assert 0 < seconds <= limit * 1.02  # on the wire a deadline has two or three digits and is rounded up


@pytest.fixture(scope="module")
async def recorder() -> AsyncIterator[tuple[Recorder, MeshServer]]:
    recorder = Recorder()
    descriptors = {rpc.method.containing_service.full_name: rpc.method.containing_service for rpc in ROOM_RPCS}
    services = [recorder.service(descriptor) for descriptor in descriptors.values()]
    async with open_server(MeshSettings(drain_seconds=0.1), services, name="recorder") as server:
        yield recorder, server


class Ended(Sink):
    """Waits for the end of a stream."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.error: Any = None

    def data(self, data: bytes) -> bool:
        return True

    def end(self, error: Any) -> None:
        self.error = error
        self.over.set()


def request_of(rpc: Rpc) -> Any:
    return GetMessageClass(rpc.method.input_type)()


async def finish(rpc: Rpc, call: Any) -> None:
    if rpc.method.server_streaming:
        async for _ in call:
            pass
    else:
        await call


def test_the_walk_finds_the_contract() -> None:
    contract = {method.full_name for method in load_contract().methods() if method.full_name.startswith("gaji.")}
    assert {rpc.method.full_name for rpc in RPCS} == contract
    assert len(STREAMS) >= 5
    assert len(UNARY) >= 30


async def test_every_call_of_a_stub_has_a_deadline(recorder: tuple[Recorder, MeshServer]) -> None:
    kept, server = recorder
    settings = MeshSettings()
    async with open_channel(server.address, settings) as channel:
        for rpc in ROOM_RPCS:
            call = getattr(rpc.stub(channel), rpc.method.name)
            await finish(rpc, call(request_of(rpc)))
            with deadlines.scope(SCOPE):
                await finish(rpc, call(request_of(rpc)))
                await finish(rpc, call(request_of(rpc), timeout=100))
            with deadlines.scope(None):
                await finish(rpc, call(request_of(rpc), timeout=2))
            kept.check(rpc.path, settings.default_timeout, SCOPE - MARGIN, SCOPE - MARGIN, 2)
    assert kept.left == {}


async def test_every_blocking_call_has_a_deadline(recorder: tuple[Recorder, MeshServer]) -> None:
    kept, server = recorder
    settings = MeshSettings()
    channel = blocking_channel(server.address, settings)

    def call(rpc: Rpc, seconds: float | None) -> None:
        with nullcontext() if seconds is None else deadlines.scope(seconds):
            answer = getattr(rpc.stub(channel), rpc.method.name)(request_of(rpc))
            if rpc.method.server_streaming:
                list(answer)

    try:
        for rpc in ROOM_RPCS:
            await asyncio.to_thread(call, rpc, None)
            await asyncio.to_thread(call, rpc, SCOPE)
            kept.check(rpc.path, settings.default_timeout, SCOPE - MARGIN)
    finally:
        channel.close()
    assert kept.left == {}


async def test_every_call_of_the_jobs_has_a_deadline(recorder: tuple[Recorder, MeshServer]) -> None:
    kept, server = recorder
    settings = MeshSettings(generation_target=server.address, library_target=server.address)
    rooms = GrpcRooms(settings, 33)
    error = RoomError("UNAVAILABLE", "AWAY", "away")
    calls: dict[str, tuple[tuple[Any, ...], float]] = {
        "finish_reply": (("m",), 33),
        "ingest_novel": (("n",), 33),
        "orphans": ((1,), 10),
        "waiting_novels": ((1,), 10),
        "abandon_reply": (("m", error), 10),
        "abandon_ingestion": (("n", error), 10),
    }
    assert set(calls) == {name for name in vars(GrpcRooms) if not name.startswith("_")}
    for name, (arguments, limit) in calls.items():
        await asyncio.to_thread(getattr(rooms, name), *arguments)
        [path] = kept.left
        kept.check(path, limit)


async def test_every_call_of_the_gateway_has_a_deadline(recorder: tuple[Recorder, MeshServer]) -> None:
    kept, server = recorder
    settings = MeshSettings()
    services = list({id(rpc.method.containing_service): rpc.method.containing_service for rpc in ROOM_RPCS}.values())
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(server.address, settings, services))
        relays = await stack.enter_async_context(open_relays(server.address, settings, services))
        plain, relayed = Upstream("x", channel, None, 0.01), Upstream("x", channel, relays, 0.01)
        async with asyncio.timeout(10):
            while not relays.ready():
                await asyncio.sleep(0.01)
        for rpc in UNARY:
            await plain.unary(rpc.path, b"", 7)
            await plain.unary(rpc.path, b"", 7, once=True)
            kept.check(rpc.path, 7, 7)
        for rpc in STREAMS:
            for upstream in (plain, relayed):
                sink = Ended()
                upstream.stream(rpc.path, rpc.method.output_type, b"", sink, timeout=7)
                async with asyncio.timeout(10):
                    await sink.over.wait()
                assert sink.error is None
                kept.check(rpc.path, 7)
        assert await plain.serving(5) == "SERVING"
    assert kept.left == {}


async def test_the_relays_own_stream_has_a_deadline() -> None:
    """Of a month: at it the stream is opened anew."""
    seen: list[float | None] = []

    async def relay(requests: Any, context: Any) -> AsyncIterator[bytes]:
        seen.append(context.time_remaining())
        return
        yield

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            if handler_call_details.method == "/gaji.mesh.v1.RelayService/Relay":
                return grpc.stream_stream_rpc_method_handler(relay)
            return None

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_relays(f"127.0.0.1:{port}", MeshSettings(), []) as relays:
            sink = Ended()
            async with asyncio.timeout(10):
                while relays.open(STREAMS[0].path, b"", sink, timeout=5, instead_of=None) is None:
                    await asyncio.sleep(0.01)
                await sink.over.wait()
    finally:
        await server.stop(0)
    assert len(seen) == 1
    assert seen[0] is not None


def test_every_route_states_its_deadline() -> None:
    routes = routes_of(load_contract())
    assert [route.path for route in routes if not route.timeout] == []
    searches = [route for route in routes if route.room == "search"]
    assert searches
    assert {route.timeout for route in searches} == {10}


async def test_a_call_that_comes_too_late_is_refused_before_any_work(recorder: tuple[Recorder, MeshServer]) -> None:
    kept, _ = recorder
    async with open_server_with_margin(kept, 5.0) as strict:
        async with open_channel(strict.address, MeshSettings()) as channel:
            for rpc in (UNARY[0], STREAMS[0]):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await finish(rpc, getattr(rpc.stub(channel), rpc.method.name)(request_of(rpc), timeout=4))
                error = from_rpc_error(caught.value)
                assert isinstance(error, DeadlineExceeded)
                assert error.reason == "DEADLINE_TOO_SHORT"
                assert error.metadata["method"] == rpc.path
                assert 0 < float(error.metadata["deadline_seconds"]) <= 4.1
            await finish(UNARY[0], getattr(UNARY[0].stub(channel), UNARY[0].method.name)(request_of(UNARY[0])))
        kept.check(UNARY[0].path, 10)
    assert kept.left == {}


def open_server_with_margin(recorder: Recorder, margin: float) -> Any:
    descriptors = {rpc.method.containing_service.full_name: rpc.method.containing_service for rpc in ROOM_RPCS}
    services = [recorder.service(descriptor) for descriptor in descriptors.values()]
    return open_server(MeshSettings(drain_seconds=0.1, deadline_margin=margin), services, name="strict")


async def test_a_call_that_is_not_begun_says_which_and_how_little_it_had(
    recorder: tuple[Recorder, MeshServer],
) -> None:
    _, server = recorder
    async with open_channel(server.address, MeshSettings()) as channel:
        with deadlines.scope(0.01), pytest.raises(DeadlineExceeded) as caught:
            await getattr(UNARY[0].stub(channel), UNARY[0].method.name)(request_of(UNARY[0]))
    assert caught.value.reason == "DEADLINE_TOO_SHORT"
    assert UNARY[0].method.name in caught.value.message
    assert caught.value.metadata["method"] == UNARY[0].path
    assert float(caught.value.metadata["deadline_seconds"]) <= 0.01
