"""The peers behind the gateway."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.bindings import Route
from gateway.config import GatewaySettings
from gateway.contract import message_class
from gateway.plain import PlainStream
from gateway.relays import Relays, open_relays
from mesh import sse
from mesh.client import MeshChannel, open_channel
from mesh.gate import Gate
from mesh.relay import Sink

GateOf = Callable[[str, Sequence[ServiceDescriptor]], Gate | None]


class EventStream(Protocol):
    """A running stream, whose events go to a sink as they go to the reader, one or several at a time."""

    def taken(self, count: int) -> None:
        """The reader has taken so many bytes that the sink did not take at once."""

    def cancel(self) -> None:
        """Ends the call, at the producer as well; its sink hears no more."""


class Upstream:
    """One peer.

    Args:
        room: its name.
        channel: the way to it.
        relays: the shared streams to its replicas; None: every stream is a call of its own.
        merge_seconds: for how long the events of a stream that is a call of its own are gathered.
    """

    def __init__(self, room: str, channel: MeshChannel, relays: Relays | None, merge_seconds: float) -> None:
        self.room = room
        self._channel = channel
        self._once = channel.without_retries()
        self._relays = relays
        self._merge_seconds = merge_seconds
        self._unary: dict[tuple[str, bool], Any] = {}
        self._streams: dict[str, tuple[Any, Callable[[bytes], bytes]]] = {}
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    def ready(self) -> bool:
        """Whether a replica serves, as far as is known; asking has lost connections made again."""
        connected = self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
        return connected or (self._relays is not None and self._relays.ready())

    async def unary(self, path: str, request: bytes, timeout: float, *, once: bool = False) -> bytes:
        """Calls a unary method; messages in and out are serialized.

        Args:
            path: the method's path.
            request: serialized.
            timeout: its deadline in seconds.
            once: whether the caller itself repeats it, and the channel is not to.

        Raises:
            grpc.aio.AioRpcError: the call failed.
            MeshError: it was not made: its circuit is open.
        """
        call = self._unary.get((path, once))
        if call is None:
            call = self._unary[path, once] = (self._once if once else self._channel).unary_unary(path)
        response: bytes = await call(request, timeout=timeout)
        return response

    def stream(
        self,
        path: str,
        response: Descriptor,
        request: bytes,
        sink: Sink,
        *,
        timeout: float,
        instead_of: EventStream | None = None,
    ) -> EventStream:
        """Calls a server-streaming method, over a relay where there is one, and never again by itself.

        Args:
            path: the method's path.
            response: the type of its messages.
            request: serialized.
            sink: where its events go.
            timeout: the deadline of the whole stream in seconds.
            instead_of: the call that was lost and that this one takes the place of.

        Raises:
            MeshError: the call was not made: its circuit is open.
        """
        if self._relays is not None:
            relayed = self._relays.open(path, request, sink, timeout=timeout, instead_of=instead_of)
            if relayed is not None:
                return relayed
        if path not in self._streams:
            self._streams[path] = self._once.unary_stream(path), _framer(response)
        call, frame = self._streams[path]
        running = call(request, timeout=timeout)
        return PlainStream(running, frame, self.room, sink, merge_seconds=self._merge_seconds)

    async def serving(self, timeout: float) -> str:
        """The peer's word on its health: SERVING, NOT_SERVING, or UNREACHABLE."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


@asynccontextmanager
async def open_upstreams(
    settings: GatewaySettings, routes: Iterable[Route], gate_of: GateOf = lambda _room, _services: None
) -> AsyncIterator[dict[str, Upstream]]:
    """A channel, and relays where wanted, to each room that the routes lead to.

    Args:
        settings: targets and limits.
        routes: of the contract.
        gate_of: from a room to the gate of its calls, one for channel and relays.

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
            gate = gate_of(room, services_)
            channel = await stack.enter_async_context(open_channel(target, settings, services_, gate=gate))
            relays = (
                await stack.enter_async_context(
                    open_relays(target, settings, services_, gate=gate, resolve_seconds=settings.resolve_seconds)
                )
                if settings.relay
                else None
            )
            upstreams[room] = Upstream(room, channel, relays, settings.sse_window_seconds)
        yield upstreams


def _framer(response: Descriptor) -> Callable[[bytes], bytes]:
    parse, format_ = message_class(response).FromString, sse.formatter(response)
    return lambda raw: format_(parse(raw))
