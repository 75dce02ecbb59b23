"""The one way to open a channel to a peer."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh import deadlines, identity, priority
from mesh.attempts import UNGATED, Metadata, Method, ended
from mesh.call_report import Losses
from mesh.calls import Attempts, StreamCall, UnaryCall
from mesh.config import MeshSettings
from mesh.gate import Gate
from mesh.identity import BEARER
from mesh.limiter import stamp
from mesh.renewing import dial
from mesh.retries import Retries, RetryBudget, retried_methods
from mesh.sockets import LOST_SECONDS, WINDOWS
from mesh.stillness import Stillness
from mesh.targets import canonical_target, grpc_target, replicas
from mesh.telemetry import trace

PING_SECONDS = 12
"""After so long without a word a peer is asked for one; servers of this and earlier releases bear one each 10 s."""

__all__ = [
    "MeshChannel",
    "channel_options",
    "grpc_target",
    "open_channel",
    "outgoing_metadata",
    "replicas",
    "service_config",
]


@asynccontextmanager
async def open_channel(
    target: str,
    settings: MeshSettings,
    services: Sequence[ServiceDescriptor] = (),
    *,
    gate: Gate | None = None,
    serving: bool = True,
    known_as: str = "",
) -> AsyncIterator["MeshChannel"]:
    """A channel for generated stubs.

    Calls are spread over the replicas that report SERVING, those that may be repeated (``idempotency_level`` in the
    contract) are retried within a budget while the peer is UNAVAILABLE (`mesh.retries`), each has a deadline within its
    caller's, and carries the caller's token, request id and trace context.

    Args:
        target: ``host:port``, a comma-separated list of them, or any gRPC target (``dns:///...``, ``xds:///...``).
        settings: limits and defaults.
        services: the peer's services that will be called.
        gate: is asked before each attempt of a call and hears how it went; what it raises, the call raises.
        serving: whether calls go to replicas that report SERVING alone; False: for whoever asks how a replica is.
        known_as: the target that metrics name, where this one is a replica of it: replicas come and go; empty: this.
    """
    channel = await dial(grpc_target(target), settings, channel_options(settings, serving=serving), services)
    repeated = Retries(retried_methods(services), RetryBudget()) if settings.retries else None
    stillness = Stillness(settings.still_seconds)
    try:
        yield MeshChannel(
            channel,
            settings,
            gate=gate,
            retries=repeated,
            stillness=stillness,
            target=canonical_target(known_as or target),
        )
    finally:
        stillness.close()
        await channel.close()


def service_config(*, serving: bool = True) -> str:
    """The channel's service config as JSON (https://github.com/grpc/grpc/blob/master/doc/service_config.md).

    It has no retryPolicy: `mesh.retries` does that. What gRPC knows to have never left, it sends again by itself.
    """
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if serving:
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)


def channel_options(settings: MeshSettings, *, serving: bool = True) -> list[tuple[str, Any]]:
    """The options of every channel to a peer."""
    return [
        ("grpc.service_config", service_config(serving=serving)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A proxy of the environment is for the world outside; for peers of this machine gRPC would take it as well.
        ("grpc.enable_http_proxy", int(settings.peers_by_proxy)),
        # A host that is lost says nothing. What is sent and not acknowledged within the time-out ends the connection as
        # well (C-core makes TCP_USER_TIMEOUT of it), so that half of a deadline is left to try elsewhere.
        ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", LOST_SECONDS * 1000),
        ("grpc.http2.max_pings_without_data", 0),  # of a stream that only brings, only two pings would be sent
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        *WINDOWS,
        # A replica that takes the place of another has another address; 30 s, the default, is too long without any.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ]


class MeshChannel(grpc.aio.Channel):
    """A channel whose calls carry deadline, identity and trace of the call that makes them.

    Done here and not in client interceptors, which put a generator and a task between each message and its reader.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        settings: MeshSettings,
        *,
        gate: Gate | None = None,
        retries: Retries | None = None,
        stillness: Stillness | None = None,
        target: str = "",
        losses: Losses | None = None,
    ) -> None:
        self._channel = channel
        self._target = target
        self._losses = losses or Losses()
        self._settings = settings
        self._gate = gate
        self._retries = retries
        self._stillness = stillness or Stillness(0.0)

    def without_retries(self) -> "MeshChannel":
        """The same channel, for whoever repeats calls himself."""
        return MeshChannel(
            self._channel,
            self._settings,
            gate=self._gate,
            stillness=self._stillness,
            target=self._target,
            losses=self._losses,
        )

    def _method(self, path: str, multicallable: Any) -> Method:
        return Method(
            path,
            multicallable,
            margin=self._settings.deadline_margin,
            gate=self._gate,
            retries=self._retries,
            stillness=self._stillness,
            target=self._target,
            losses=self._losses,
        )

    def _wrapped(self, path: str, multicallable: Any, make: type[Attempts]) -> Any:
        plain = path.startswith(UNGATED)
        method = self._method(path, multicallable)
        default, margin = self._settings.default_timeout, self._settings.deadline_margin

        def call(
            request: Any = None, *, timeout: float | None = None, metadata: Metadata | None = None, **options: Any
        ) -> Any:
            seconds = deadlines.outgoing(timeout, default, margin, path)
            sent = outgoing_metadata(metadata)
            if not plain:
                return make(method, request, seconds, sent, options)
            method.called.started += 1
            started = time.perf_counter()
            running = multicallable(request, timeout=seconds, metadata=sent, **options)
            running.add_done_callback(partial(ended, method, None, started, None))
            return running

        return call

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A unary call."""
        return self._wrapped(method, self._channel.unary_unary(method, *args, **kwargs), UnaryCall)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A server-streaming call."""
        return self._wrapped(method, self._channel.unary_stream(method, *args, **kwargs), StreamCall)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A client-streaming call; its request is an async iterator."""
        return self._wrapped(method, self._channel.stream_unary(method, *args, **kwargs), UnaryCall)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A bidirectional call; its request is an async iterator."""
        return self._wrapped(method, self._channel.stream_stream(method, *args, **kwargs), StreamCall)

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
    given += (*priority.outgoing(), stamp(time.monotonic()))
    if context is not None:
        given.append(("x-request-id", context.request_id))
        given.append(("traceparent", context.traceparent))
    return tuple(given)
