"""The one way to open a channel to a peer."""

import asyncio
import ipaddress
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from mesh import deadlines, identity
from mesh.config import MeshSettings
from mesh.identity import BEARER
from mesh.renewing import dial
from mesh.telemetry import metrics, trace

Metadata = Sequence[tuple[str, str | bytes]]


@asynccontextmanager
async def open_channel(
    target: str, settings: MeshSettings, services: Sequence[ServiceDescriptor] = ()
) -> AsyncIterator["MeshChannel"]:
    """A channel for generated stubs.

    Calls are spread over the replicas that report SERVING, idempotent unary ones (``idempotency_level`` in the
    contract) are retried while the peer is UNAVAILABLE, each has a deadline within its caller's, and carries the
    caller's token, request id and trace context.

    Args:
        target: ``host:port``, a comma-separated list of them, or any gRPC target (``dns:///...``, ``xds:///...``).
        settings: limits and defaults.
        services: the peer's services that will be called.
    """
    channel = await dial(
        grpc_target(target),
        settings,
        services=services,
        options=[
            ("grpc.service_config", service_config(services, retries=settings.retries)),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 5_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ],
    )
    try:
        yield MeshChannel(channel, settings.default_timeout, settings.deadline_margin)
    finally:
        await channel.close()


def replicas(target: str) -> list[str]:
    """The addresses that a target lists; a name or a single address is one of itself."""
    listed = grpc_target(target)
    if "," not in listed:
        return [target]
    return listed.partition(":")[2].split(",")


def grpc_target(target: str) -> str:
    """A comma-separated list of addresses as a target that gRPC balances over; anything else as it is.

    Raises:
        ValueError: the list mixes address families or holds names (use ``dns:///`` for those).
    """
    if "," not in target or ":///" in target or target.startswith(("ipv4:", "ipv6:")):
        return target
    addresses = [part.strip() for part in target.split(",")]
    try:
        versions = {ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).version for address in addresses}
    except ValueError as error:
        raise ValueError(f"{target!r}: a list may only hold IP addresses with ports; use dns:///NAME:PORT") from error
    if len(versions) != 1:
        raise ValueError(f"{target!r}: a list must be of one address family")
    return f"ipv{versions.pop()}:{','.join(addresses)}"


def service_config(services: Sequence[ServiceDescriptor], *, retries: bool = True) -> str:
    """The channel's service config as JSON (https://github.com/grpc/grpc/blob/master/doc/service_config.md)."""
    names = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if _retryable(method)
    ]
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }
    if names and retries:
        config["methodConfig"] = [
            {
                "name": names,
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
        # gRFC A6: at most one retry for ten successes once the first ten tokens are spent.
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    return json.dumps(config)


def _retryable(method: MethodDescriptor) -> bool:
    streaming = method.server_streaming or method.client_streaming
    return not streaming and method.GetOptions().idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN


class MeshChannel(grpc.aio.Channel):
    """A channel whose calls carry deadline, identity and trace of the call that makes them.

    Done here and not in client interceptors, which put a generator and a task between each message and its reader.
    """

    def __init__(self, channel: grpc.aio.Channel, default_timeout: float, margin: float) -> None:
        self._channel = channel
        self._default_timeout = default_timeout
        self._margin = margin

    def _wrapped(self, path: str, multicallable: Any) -> Any:
        labels = metrics.split_method(path)

        def call(
            request: Any = None,
            *,
            timeout: float | None = None,
            metadata: Metadata | None = None,
            wait_for_ready: bool | None = None,
            **options: Any,
        ) -> Any:
            started = time.perf_counter()
            running = multicallable(
                request,
                timeout=deadlines.outgoing(timeout, self._default_timeout, self._margin),
                metadata=outgoing_metadata(metadata),
                wait_for_ready=wait_for_ready,
                **options,
            )
            running.add_done_callback(lambda done: _record(labels, started, done))
            return running

        return call

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A unary call."""
        return self._wrapped(method, self._channel.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A server-streaming call."""
        return self._wrapped(method, self._channel.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A client-streaming call; its request is an async iterator."""
        return self._wrapped(method, self._channel.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A bidirectional call; its request is an async iterator."""
        return self._wrapped(method, self._channel.stream_stream(method, *args, **kwargs))

    async def close(self, grace: float | None = None) -> None:
        """Ends the running calls after a grace in seconds."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """How the connection stands."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when a peer is connected and serving."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> "MeshChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def outgoing_metadata(metadata: Metadata | None = None) -> Metadata:
    """The metadata of a call to a peer: what is given, the caller's token, the request id and the trace context."""
    given = list(metadata or ())
    keys = {key for key, _ in given}
    caller, context = identity.current(), trace.current()
    if caller is not None and "authorization" not in keys:
        given.append(("authorization", BEARER + caller.token))
    if context is not None:
        given.append(("x-request-id", context.request_id))
        given.append(("traceparent", context.traceparent))
    return tuple(given)


def _record(labels: tuple[str, str], started: float, call: Any) -> None:
    metrics.CLIENT_HANDLED.labels(*labels, _code_of_done(call).name).inc()
    metrics.CLIENT_SECONDS.labels(*labels).observe(time.perf_counter() - started)


def _code_of_done(call: Any) -> grpc.StatusCode:
    # `code()` is a coroutine, but that of a done call has nothing to wait for: it is run here to its end, without the
    # task per call that awaiting it in a callback would take.
    coroutine = call.code()
    try:
        coroutine.send(None)
    except StopIteration as result:
        code: grpc.StatusCode = result.value
        return code
    except asyncio.CancelledError:
        return grpc.StatusCode.CANCELLED
    coroutine.close()
    return grpc.StatusCode.UNKNOWN
