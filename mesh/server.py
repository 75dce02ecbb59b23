"""The one way to build a gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from gaji.mesh.v1 import breaker_service_pb2, relay_service_pb2
from gaji.mesh.v1.breaker_service_pb2_grpc import add_BreakerServiceServicer_to_server
from gaji.mesh.v1.log_service_pb2_grpc import add_LogServiceServicer_to_server
from gaji.mesh.v1.relay_service_pb2_grpc import add_RelayServiceServicer_to_server
from gaji.mesh.v1.status_service_pb2_grpc import add_StatusServiceServicer_to_server
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from mesh.breaker import Breakers, BreakerSettings
from mesh.breaker.page import breakers_page
from mesh.breaker.servicer import SERVICE_NAME as BREAKERS
from mesh.breaker.servicer import BreakerServicer
from mesh.config import MeshSettings
from mesh.identity import open_verifier
from mesh.interceptors import Pipeline, peers
from mesh.interceptors.deadline import deadline
from mesh.interceptors.errors import errors
from mesh.interceptors.identity import keys_known, verified
from mesh.interceptors.limit import limited
from mesh.interceptors.pipeline import Around
from mesh.interceptors.telemetry import telemetry
from mesh.readiness import Readiness
from mesh.relay import RelayServicer
from mesh.relay.server import StreamMethod
from mesh.sockets import WINDOWS
from mesh.status import SERVICE as STATUS
from mesh.status import ProcessStatus, StatusServicer
from mesh.telemetry.admin import open_admin
from mesh.telemetry.log_service import SERVICE as LOGS
from mesh.telemetry.log_service import LogServicer
from mesh.telemetry.logs import get_logger
from mesh.telemetry.metrics import method_name
from mesh.tls import TlsFiles, server_credentials

log = get_logger(__name__)

_OWN = (
    relay_service_pb2.DESCRIPTOR.services_by_name["RelayService"],
    breaker_service_pb2.DESCRIPTOR.services_by_name["BreakerService"],
    LOGS,
    STATUS,
)
"""What every server offers."""


@dataclass(frozen=True, slots=True)
class Service:
    """One gRPC service of a server.

    Attributes:
        descriptor: from the generated module, ``pb.DESCRIPTOR.services_by_name["CacheService"]``.
        servicer: the implementation; unary methods are coroutines, streaming ones async generators.
        add: the generated ``add_...Servicer_to_server``.
    """

    descriptor: ServiceDescriptor
    servicer: Any
    add: Callable[[Any, grpc.aio.Server], None]


class MeshServer:
    """A running server.

    Attributes:
        address: ``host:port`` of gRPC.
        admin_address: ``host:port`` of /metrics and /health.
    """

    def __init__(
        self,
        address: str,
        admin_address: str,
        names: Sequence[str],
        healthy: health.aio.HealthServicer,
        readiness: Readiness,
    ) -> None:
        self.address = address
        self.admin_address = admin_address
        self._names = names
        self._health = healthy
        self._readiness = readiness

    async def set_serving(self, serving: bool) -> None:
        """Tells balancers and probes whether calls are welcome."""
        self._readiness.serving = serving
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)


@asynccontextmanager
async def open_server(
    settings: MeshSettings,
    services: Sequence[Service],
    *,
    name: str,
    breakers: Breakers | None = None,
    tickets: Collection[str] = (),
) -> AsyncIterator[MeshServer]:
    """Serves until the block is left, then drains: refuses new calls and gives running ones ``drain_seconds``.

    With health checking (``grpc.health.v1``), reflection, the relay and an admin port; around each handler stand
    telemetry, errors, deadline and identity.

    Args:
        settings: where to listen, limits, the key of access tokens.
        services: what to serve.
        name: the process's name in logs.
        breakers: those before the process's calls to its peers, for operators; None: it makes no calls.
        tickets: the paths of the methods that are called with a ticket (`mesh.identity.TICKET`).

    Raises:
        OSError: a port is taken, or a key file cannot be read.
        ValueError: a key file holds what it should not, or the TLS files are unusable.
    """
    files, admission, credentials = TlsFiles.of(settings), list[Around](), None
    if files is not None:
        credentials = await asyncio.to_thread(server_credentials, files)
        admission = [peers.admitted(peers.callers_of([*_OWN, *(service.descriptor for service in services)]))]
    async with open_verifier(settings) as verifier:
        pipeline = Pipeline(
            [
                limited(settings),
                telemetry,
                errors,
                *admission,
                deadline(settings.deadline_margin),
                verified(verifier, tickets),
            ],
            keys_known(verifier),
            authenticate=peers.enter if files else None,
        )
        own = breakers or Breakers(BreakerSettings.of(settings))
        async with _serving(settings, services, name, pipeline, breakers=own, credentials=credentials) as running:
            yield running


@asynccontextmanager
async def _serving(
    settings: MeshSettings,
    services: Sequence[Service],
    name: str,
    pipeline: Pipeline,
    *,
    breakers: Breakers,
    credentials: grpc.ServerCredentials | None,
) -> AsyncIterator[MeshServer]:
    server = grpc.aio.server(
        interceptors=[pipeline],
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),  # a second process on the same port is a mistake, not a replica
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Channels ping every 12 s, over silent streams as well; the default (300 s) would cut them off for it.
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
            *WINDOWS,
            *_age(settings.connection_age_seconds),
        ],
    )
    taken: Any = _Unregistered(server)
    for service in services:
        service.add(service.servicer, taken)
    streams = _stream_methods(services)
    relay = RelayServicer(streams, pipeline)
    add_RelayServiceServicer_to_server(relay, taken)
    add_BreakerServiceServicer_to_server(BreakerServicer(breakers), taken)
    names = [service.descriptor.full_name for service in services]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, taken)
    add_LogServiceServicer_to_server(LogServicer(), taken)
    offered = [*names, BREAKERS, LOGS.full_name, STATUS.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME]
    add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server  # generated without types
    add_reflection(reflection.aio.ReflectionServicer(offered), taken)
    status = ProcessStatus(name, breakers, lambda: _serves(healthy), [method_name(path) for path in streams])
    add_StatusServiceServicer_to_server(StatusServicer(status), taken)
    host, _, port = settings.listen.rpartition(":")
    try:
        where = f"{host}:{port}"
        bound = server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
    except RuntimeError as error:
        raise OSError(f"{name} cannot listen on {settings.listen}: is the port taken?") from error
    readiness = Readiness()
    pages = {"/breakers": breakers_page(breakers), **readiness.pages}
    async with open_admin(settings.admin_listen, pages) as admin_address:
        running = MeshServer(f"{host}:{bound}", admin_address, names, healthy, readiness)
        await server.start()
        try:
            await running.set_serving(True)
            log.info("serving", extra={"address": running.address, "admin": admin_address})
            yield running
        finally:
            readiness.serving = False
            await healthy.enter_graceful_shutdown()
            relay.drain()
            await server.stop(settings.drain_seconds)
            log.info("stopped")


class _Unregistered:
    """A server as the generated code sees it, whose methods are found by their names alone.

    Of registered methods ``grpc.aio`` has a request outstanding for each, and at every call waits for all of them anew,
    in Python: what a call costs would grow with the number of methods that nobody calls.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: object) -> None:
        """Leaves them out: they are among the generic ones as well."""


def _age(seconds: float) -> list[tuple[str, int]]:
    """The option that has clients connect anew after a time. gRPC varies it by a tenth; running calls are let end."""
    return [("grpc.max_connection_age_ms", int(seconds * 1000))] if seconds else []


async def _serves(healthy: health.aio.HealthServicer) -> bool:
    """Whether the server as a whole takes calls."""
    nobody: Any = None  # asks; only an unknown name would need an answer to a caller
    answer: Any = await healthy.Check(health_pb2.HealthCheckRequest(), nobody)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _stream_methods(services: Sequence[Service]) -> dict[str, StreamMethod]:
    """The server-streaming methods by path, for the relay."""
    methods = {}
    for service in services:
        for method in service.descriptor.methods:
            if method.server_streaming and not method.client_streaming:
                request = message_factory.GetMessageClass(method.input_type)
                methods[f"/{service.descriptor.full_name}/{method.name}"] = StreamMethod(
                    getattr(service.servicer, method.name), request.FromString, method.output_type
                )
    return methods
