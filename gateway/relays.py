"""The relay streams to the replicas of a peer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh.client import MeshChannel, open_channel, outgoing_metadata, replicas
from mesh.config import MeshSettings
from mesh.gate import Gate
from mesh.relay import PushedCall, RelayClient, Sink
from mesh.stillness import Stillness
from mesh.telemetry.spans import calls


@dataclass(frozen=True, slots=True)
class _Replica:
    channel: MeshChannel
    relay: RelayClient

    def usable(self) -> bool:
        ready = self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
        return ready and self.relay.offered and not self.relay.draining


class Relays:
    """Opens each call on the relay of the replica that has the fewest."""

    def __init__(self, replicas_: Sequence[_Replica]) -> None:
        self._replicas = replicas_

    def ready(self) -> bool:
        """Whether a replica serves and offers the relay."""
        return any(replica.usable() for replica in self._replicas)

    def open(
        self, path: str, request: bytes, sink: Sink, *, timeout: float, instead_of: object | None
    ) -> PushedCall | None:
        """Begins a call; None: no replica offers the relay right now, and the caller makes a plain call.

        Args:
            path: the method's path.
            request: serialized.
            sink: where its output goes.
            timeout: its deadline in seconds.
            instead_of: the call that it takes the place of. Its replica, and any whose relay ended a moment ago, are
                taken only when there is no other.

        Raises:
            MeshError: the peer's gate is shut.
        """
        usable = [replica for replica in self._replicas if replica.usable()]
        if not usable:
            return None
        avoided = instead_of.relay if isinstance(instead_of, PushedCall) else None
        relays = (replica.relay for replica in usable)
        relay = min(relays, key=lambda relay: (relay is avoided or relay.resting, relay.active))
        metadata = {key: value for key, value in outgoing_metadata() if isinstance(value, str)}
        span = calls.begin_attempt(path)
        if span is not None:
            metadata["traceparent"] = span.traceparent
        return relay.push(path, request, sink, metadata=metadata, timeout=timeout, span=span)


@asynccontextmanager
async def open_relays(
    target: str, settings: MeshSettings, services: Sequence[ServiceDescriptor], *, gate: Gate | None = None
) -> AsyncIterator[Relays]:
    """One relay for each replica that a target lists.

    A name (``dns:///``, ``xds:///``) is one target with unknown replicas, and one relay to one of them: list addresses
    where streams shall be spread.

    Args:
        target: as in the settings.
        settings: limits.
        services: the peer's.
        gate: of the peer; each call on a relay asks it.
    """
    async with AsyncExitStack() as stack:
        stillness = Stillness(settings.still_seconds)
        stack.callback(stillness.close)
        opened = []
        for address in replicas(target):
            channel = await stack.enter_async_context(open_channel(address, settings, services, known_as=target))
            channel.get_state(try_to_connect=True)  # so that the first call finds it ready
            relay = RelayClient(channel, gate=gate, stillness=stillness)
            stack.push_async_callback(relay.close)
            opened.append(_Replica(channel, relay))
        yield Relays(opened)
