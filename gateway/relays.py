"""The relay streams to the replicas of a peer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from gateway.names import FollowedName, following_name
from mesh.client import MeshChannel, open_channel, outgoing_metadata, replicas
from mesh.config import MeshSettings
from mesh.gate import Gate
from mesh.names import Resolve, named, resolve
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

    @property
    def idle(self) -> bool:
        return self.relay.active == 0


class Relays:
    """Opens each call on the relay of the replica that has the fewest."""

    def __init__(self, replicas_: Sequence[_Replica]) -> None:
        self._replicas = replicas_

    def replace(self, replicas_: Sequence[_Replica]) -> None:
        """Opens calls on these from now on; what runs on others goes on."""
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
    target: str,
    settings: MeshSettings,
    services: Sequence[ServiceDescriptor],
    *,
    gate: Gate | None = None,
    resolve_seconds: float = 5.0,
    resolve_: Resolve = resolve,
) -> AsyncIterator[Relays]:
    """One relay for each replica that a target lists, or that stands behind its name (``dns:///``) now and later.

    A target of another kind (``xds:///``) is one with unknown replicas, and gets one relay to one of them.

    Args:
        target: as in the settings.
        settings: limits.
        services: the peer's.
        gate: of the peer; each call on a relay asks it.
        resolve_seconds: how often a name is looked up.
        resolve_: looks it up.
    """
    async with AsyncExitStack() as stack:
        stillness = Stillness(settings.still_seconds)
        stack.callback(stillness.close)

        @asynccontextmanager
        async def open_replica(address: str) -> AsyncIterator[_Replica]:
            async with open_channel(address, settings, services, known_as=target) as channel:
                channel.get_state(try_to_connect=True)  # so that the first call finds it ready
                relay = RelayClient(channel, gate=gate, stillness=stillness)
                try:
                    yield _Replica(channel, relay)
                finally:
                    await relay.close()

        name = named(target)
        if name is None:
            yield Relays([await stack.enter_async_context(open_replica(address)) for address in replicas(target)])
            return
        relays = Relays([])
        followed = FollowedName(name, open_replica, relays.replace, resolve_)
        await stack.enter_async_context(following_name(followed, resolve_seconds))
        yield relays
