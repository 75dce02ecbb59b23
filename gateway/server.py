"""Composes the gateway and serves it."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from google.protobuf.descriptor import ServiceDescriptor

from gateway.address import ClientAddresses
from gateway.admission import Admission, Admitted
from gateway.app import Answer, Gateway, Page
from gateway.auth import Authenticator, Watch
from gateway.bindings import Route, routes_of
from gateway.buckets import open_shared
from gateway.config import GatewaySettings
from gateway.contract import load_contract
from gateway.docs_page import docs_page
from gateway.door import Door, cut_slow_readers
from gateway.health import Readiness, alive
from gateway.http import JSON, App
from gateway.keys_page import PATH, keys_page
from gateway.limits import RateLimits
from gateway.metrics import CONNECTIONS
from gateway.middleware import Observed, cors
from gateway.openapi import openapi_document
from gateway.protocol import bounded_protocol
from gateway.revocations import ROOM, open_revocations
from gateway.schemas import Json
from gateway.status import open_status
from gateway.switches import PATH as SWITCHES
from gateway.switches import open_switches
from gateway.tracing import Tracing
from gateway.upstreams import GateOf, open_upstreams
from gateway.web import load_web
from mesh.breaker import Breakers, BreakerSettings
from mesh.breaker.page import breakers_page
from mesh.identity import open_verifier
from mesh.readiness import Readiness as Probed
from mesh.status import ProcessStatus
from mesh.telemetry.admin import open_admin
from mesh.telemetry.logs import get_logger

log = get_logger(__name__)

_KEEP_ALIVE_SECONDS = 30
_LAST_WORDS_SECONDS = 1
_TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where a gateway is.

    Attributes:
        address: ``host:port`` of HTTP.
        admin_address: ``host:port`` of /metrics and /health.
    """

    address: str
    admin_address: str


@asynccontextmanager
async def open_gateway(settings: GatewaySettings, gate_of: GateOf | None = None) -> AsyncIterator[RunningGateway]:
    """Serves until the block is left, then drains.

    Draining: no new connection is taken, idle ones are closed, running requests get ``drain_seconds``. Streams that can
    be resumed are handed over to other gateways meanwhile, spread over that time and within 5 s; those that cannot and
    are still open at its end get an event ``failed`` that asks their readers to come back.

    Args:
        settings: the gateway's.
        gate_of: what stands before the calls to a room; None: circuit breakers, as the settings say.

    Raises:
        OSError: a port is taken, or a file cannot be read.
        ValueError: the contract's annotations or the key do not make sense.
    """
    routes, services, document = await asyncio.to_thread(_read_contract, settings.descriptors_file)
    breakers = Breakers(BreakerSettings.of(settings))
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(open_verifier(settings))
        upstreams = await stack.enter_async_context(open_upstreams(settings, routes, gate_of or breakers.gate))
        library = upstreams.get(ROOM)
        revocations = await stack.enter_async_context(open_revocations(library, settings.revocation_poll_seconds))
        readiness = Readiness(upstreams, settings.ready_seconds)
        switches = await stack.enter_async_context(open_switches(settings, routes))
        pages: dict[str, Page] = {
            "/health": alive,
            "/ready": readiness,
            "/openapi.json": _fixed(Answer(200, orjson.dumps(document), JSON)),
            "/docs": _fixed(docs_page(document)),
            PATH: keys_page(verifier),
            SWITCHES: switches.page(),
        }
        paths = [*pages, *(route.template.text for route in routes)]
        web = await asyncio.to_thread(load_web, settings.web_root, paths)
        admission = Admission(settings)
        authenticator = Authenticator(
            verifier,
            revocations,
            library,
            origins=settings.cors_origins,
            secure=settings.cookie_secure,
            timeout=settings.default_timeout,
        )
        watch = Watch(revocations, settings.stream_token_grace_seconds)
        shared = await stack.enter_async_context(open_shared(settings.redis_url, settings.rate_limit_wait))
        limits = RateLimits(settings, shared)
        status = await stack.enter_async_context(open_status(settings, services, _own_status(breakers, readiness)))
        gateway = Gateway(
            settings,
            routes,
            upstreams,
            authenticator,
            pages,
            own=status.pages,
            admission=admission,
            watch=watch,
            limits=limits,
            web=web,
            check=switches.check,
        )
        addresses = ClientAddresses(settings.trusted_proxies, settings.proxy_header)
        probed = Probed()
        admin_address = await stack.enter_async_context(
            open_admin(settings.admin_listen, {"/breakers": breakers_page(breakers), **probed.pages})
        )
        tracing = Tracing(settings.trace_sampled_from, addresses)
        observed = Observed(cors(gateway, settings.cors_origins), addresses, tracing)
        server, serving, address = await _start(Admitted(observed, admission), settings, admission, addresses)
        CONNECTIONS.set_function(lambda: len(server.server_state.connections))
        if not verifier.keys:
            log.warning("no key to verify tokens with: every token is refused; set GAJI_JWT_KEYS_FILE")
        cutting = asyncio.create_task(cut_slow_readers(server.connections, settings.stall_seconds), name="slow-readers")
        log.info("serving", extra={"address": address, "admin": admin_address, "routes": len(routes)})
        probed.serving = True
        try:
            yield RunningGateway(address, admin_address)
        finally:
            readiness.draining = True
            probed.serving = False
            server.stop()
            gateway.drain()
            status.end()
            ending = asyncio.get_running_loop().call_later(settings.drain_seconds, gateway.end_streams)
            await serving
            ending.cancel()
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)
            gateway.close()
            log.info("stopped")


def _own_status(breakers: Breakers, readiness: Readiness) -> ProcessStatus:
    async def serving() -> bool:
        return not readiness.draining

    return ProcessStatus("gateway", breakers, serving)


def _read_contract(path: Path | None) -> tuple[list[Route], list[ServiceDescriptor], Json]:
    contract = load_contract(path)
    routes = routes_of(contract)
    return routes, list(contract.services()), openapi_document(contract, routes)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Until `stop`. Wakes once a second, for the header `Date`; uvicorn's own loop wakes ten times."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._stopping.wait()

    def stop(self) -> None:
        """Takes no new connection, and ends when those that are open have ended."""
        self.should_exit = True
        self._stopping.set()

    @property
    def connections(self) -> Iterable[Any]:
        """The protocols of the connections that are open, those included that only wait for a client to read."""
        return self.server_state.connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process, which composes more than this server."""
        yield


async def _start(
    app: App, settings: GatewaySettings, admission: Admission, addresses: ClientAddresses
) -> tuple[_Server, "asyncio.Task[None]", str]:
    host, _, port = settings.listen.rpartition(":")
    listener = await asyncio.to_thread(_bound, host.strip("[]"), int(port), shared=settings.reuse_port)
    config = uvicorn.Config(
        app,
        loop="none",
        http=bounded_protocol(  # type: ignore[arg-type]  # called, never asked for its class
            settings.head_seconds,
            admission,
            Door(settings.max_connections_per_address, addresses),
            settings.cors_origins,
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds) + _LAST_WORDS_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    if serving.done():
        await serving
    return server, serving, f"{host}:{listener.getsockname()[1]}"


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _fixed(answer: Answer) -> Page:
    async def page() -> Answer:
        return answer

    return page
