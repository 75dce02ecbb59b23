"""The processes behind the gateway, each of which is asked how it is."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from gaji.mesh.v1 import status_service_pb2 as pb
from gaji.mesh.v1 import status_service_pb2_grpc as rpc
from google.protobuf.descriptor import ServiceDescriptor

from gateway.names import FollowedName, following_name
from gateway.schemas import Json
from mesh.client import MeshChannel, open_channel
from mesh.config import MeshSettings
from mesh.errors import MeshError, Unimplemented, translated
from mesh.names import Resolve, named, resolve
from mesh.protojson import to_object
from mesh.targets import replicas

SERVING, NOT_SERVING, UNREACHABLE = "SERVING", "NOT_SERVING", "UNREACHABLE"
_as_json = to_object(pb.Status.DESCRIPTOR)


class Peer:
    """A replica of a room.

    Args:
        service: the room.
        address: where it is.
        channel: the way to it.
    """

    def __init__(self, service: str, address: str, channel: MeshChannel) -> None:
        self._service = service
        self._address = address
        stub: Any = rpc.StatusServiceStub(channel)
        self._get = stub.GetStatus
        self._asking = 0

    @property
    def idle(self) -> bool:
        """Whether nobody waits for its answer."""
        return self._asking == 0

    async def ask(self, seconds: float) -> Json:
        """What the report says of it; that it does not answer is said as well.

        Args:
            seconds: how long it is waited for.
        """
        began = time.perf_counter()
        self._asking += 1
        try:
            with translated(self._service):
                answer: pb.GetStatusResponse = await self._get(pb.GetStatusRequest(), timeout=seconds)
        except Unimplemented:
            return told(self._service, self._address, SERVING, error="it is of a release that does not tell how it is")
        except MeshError as error:
            return told(self._service, self._address, UNREACHABLE, error=error.message)
        finally:
            self._asking -= 1
        return of_status(self._service, self._address, answer.status) | {"seconds": time.perf_counter() - began}


def told(service: str, address: str, health: str, *, error: str = "") -> Json:
    """What the report says of a process."""
    return {"service": service, "address": address, "health": health, "error": error}


def of_status(service: str, address: str, status: pb.Status) -> Json:
    """What the report says of a process that has told how it is."""
    health = SERVING if status.health == pb.HEALTH_SERVING else NOT_SERVING
    return told(service, address, health) | {"status": _as_json(status)}


@asynccontextmanager
async def open_peers(
    settings: MeshSettings,
    services: Iterable[ServiceDescriptor],
    *,
    resolve_seconds: float = 5.0,
    resolve_: Resolve = resolve,
) -> AsyncIterator[list[Peer]]:
    """Every replica that the targets list, of every room that the contract knows and the settings have a target for.

    Nobody is called before the first question. Where a target is a name (``dns:///``) the list follows it; a name that
    stands for nobody is one peer, so that it is seen to be missing.

    Args:
        settings: targets and limits.
        services: of the contract.
        resolve_seconds: how often a name is looked up.
        resolve_: looks it up.
    """
    rooms: dict[str, list[ServiceDescriptor]] = {}
    for service in services:
        parts = service.full_name.split(".")
        room = parts[1] if len(parts) > 2 else ""
        if getattr(settings, f"{room}_target", None) is not None:
            rooms.setdefault(room, []).append(service)
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        found: dict[str, list[Peer]] = {}

        def changed(room: str, nobody: Sequence[Peer], now: Sequence[Peer]) -> None:
            found[room] = list(now or nobody)
            peers[:] = [peer for of_room in found.values() for peer in of_room]

        for room, offered in rooms.items():
            target = getattr(settings, f"{room}_target")
            open_ = partial(_open_peer, settings, room, target, offered)
            listed = [await stack.enter_async_context(open_(address)) for address in replicas(target)]
            changed(room, listed, listed)
            if (name := named(target)) is not None:
                told_of = FollowedName(name, open_, partial(changed, room, listed), resolve_)
                await stack.enter_async_context(following_name(told_of, resolve_seconds))
        yield peers


@asynccontextmanager
async def _open_peer(
    settings: MeshSettings, room: str, target: str, offered: Sequence[ServiceDescriptor], address: str
) -> AsyncIterator[Peer]:
    async with open_channel(address, settings, offered, serving=False, known_as=target) as channel:
        yield Peer(room, address, channel)
