"""The peers behind the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.bindings import Route
from gateway.contract import message_class
from gateway.relays import Relays, open_relays
from mesh import sse
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings


class EventStream(Protocol):
    """A running stream: its events as they go to the reader, one or several at a time.

    Iterating raises a `MeshError` or an ``AioRpcError`` when the call fails, and just ends after `cancel`.
    """

    merges: bool
    """Whether events that are ready together already come together."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    def cancel(self) -> object:
        """Ends the call, at the producer as well."""


class Upstream:
    """One peer.

    Args:
        room: its name.
        channel: the way to it.
        relays: the shared streams to its replicas; None: every stream is a call of its own.
    """

    def __init__(self, room: str, channel: MeshChannel, relays: Relays | None = None) -> None:
        self.room = room
        self._channel = channel
        self._relays = relays
        self._unary: dict[str, Any] = {}
        self._streams: dict[str, tuple[Any, Callable[[bytes], bytes]]] = {}
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    async def unary(self, path: str, request: bytes, timeout: float) -> bytes:
        """Calls a unary method; messages in and out are serialized.

        Raises:
            grpc.aio.AioRpcError: the call failed.
        """
        call = self._unary.get(path)
        if call is None:
            call = self._unary[path] = self._channel.unary_unary(path)
        response: bytes = await call(request, timeout=timeout)
        return response

    def stream(self, path: str, response: Descriptor, request: bytes, timeout: float) -> EventStream:
        """Calls a server-streaming method, over a relay where there is one.

        Args:
            path: the method's path.
            response: the type of its messages.
            request: serialized.
            timeout: the deadline of the whole stream in seconds.
        """
        relayed = None if self._relays is None else self._relays.open(path, request, timeout)
        if relayed is not None:
            return relayed
        if path not in self._streams:
            self._streams[path] = self._channel.unary_stream(path), _framer(response)
        call, frame = self._streams[path]
        return PlainStream(call(request, timeout=timeout), frame)

    async def serving(self, timeout: float) -> str:
        """The peer's word on its health: SERVING, NOT_SERVING, or UNREACHABLE."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


class PlainStream:
    """One gRPC call for one reader, whose messages are formatted here."""

    merges = False

    def __init__(self, call: Any, frame: Callable[[bytes], bytes]) -> None:
        self._call = call
        self._read = call.read
        self._frame = frame
        self._cancelled = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            raw = await self._read()
        except asyncio.CancelledError:
            # grpc.aio says this of a call that was cancelled, whether or not the task that reads it was.
            task = asyncio.current_task()
            if not self._cancelled or (task is not None and task.cancelling()):
                raise
            raise StopAsyncIteration from None
        if raw is grpc.aio.EOF:
            raise StopAsyncIteration
        return self._frame(raw)

    def cancel(self) -> None:
        """Ends the call."""
        self._cancelled = True
        self._call.cancel()


@asynccontextmanager
async def open_upstreams(
    settings: MeshSettings, routes: Iterable[Route], *, relay: bool
) -> AsyncIterator[dict[str, Upstream]]:
    """A channel, and relays where wanted, to each room that the routes lead to.

    Raises:
        ValueError: the settings have no target for one.
    """
    services: dict[str, dict[str, ServiceDescriptor]] = {}
    for route in routes:
        service = route.rpc.containing_service
        services.setdefault(route.room, {})[service.full_name] = service
    async with AsyncExitStack() as stack:
        upstreams = {}
        for room, offered in services.items():
            target = getattr(settings, f"{room}_target", None)
            if target is None:
                raise ValueError(f"there is no setting {room}_target, and the contract has routes to {room}")
            services_ = list(offered.values())
            channel = await stack.enter_async_context(open_channel(target, settings, services_))
            relays = await stack.enter_async_context(open_relays(target, settings, services_)) if relay else None
            upstreams[room] = Upstream(room, channel, relays)
        yield upstreams


def _framer(response: Descriptor) -> Callable[[bytes], bytes]:
    parse, format_ = message_class(response).FromString, sse.formatter(response)
    return lambda raw: format_(parse(raw))
