"""The one way to open a channel for blocking calls: for processes whose work is no event loop's (Celery's)."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh import deadlines, retries
from mesh.attempts import UNGATED, Metadata
from mesh.call_report import told_of
from mesh.client import channel_options, outgoing_metadata
from mesh.config import MeshSettings
from mesh.errors import has_details, told_in
from mesh.gate import Gate
from mesh.renewing import blocking_dial
from mesh.retries import Retries, RetryBudget, retried_methods
from mesh.targets import canonical_target, grpc_target
from mesh.telemetry import rpc_metrics
from mesh.telemetry.spans import calls


def blocking_channel(
    target: str, settings: MeshSettings, services: Sequence[ServiceDescriptor] = (), *, gate: Gate | None = None
) -> grpc.Channel:
    """A channel for generated stubs, with all that `mesh.client.open_channel` gives: deadlines, retries, metadata.

    Make it in the process that uses it: gRPC's threads do not come along when a process forks.

    Args:
        target: as for `open_channel`, like the others.
        settings: limits and defaults.
        services: the peer's services that will be called.
        gate: is asked before each attempt.
    """
    repeated = Retries(retried_methods(services), RetryBudget()) if settings.retries else None
    channel = blocking_dial(grpc_target(target), settings, channel_options(settings), services)
    return grpc.intercept_channel(channel, _Calls(settings, repeated, gate, canonical_target(target)))


class _Details(NamedTuple):
    """What gRPC is told of an attempt."""

    method: str
    timeout: float
    metadata: Metadata
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Completes calls, and repeats the unary ones."""

    def __init__(self, settings: MeshSettings, repeated: Retries | None, gate: Gate | None, target: str = "") -> None:
        self._settings = settings
        self._target = target
        self._retries = repeated
        self._gate = gate

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Makes a call, as often as it takes; returns the attempt that counts.

        Raises:
            MeshError: there is too little time, the gate is shut, or the deadline has passed.
        """
        path, attempt = str(details.method), self._details(details)
        called = rpc_metrics.called(path, self._target)
        repeated = self._retries if self._retries is not None and path in self._retries.methods else None
        deadline = time.monotonic() + attempt.timeout
        sent, retry, waited, began = attempt.metadata, 0, 0.0, time.perf_counter()
        while True:
            call = self._attempt(continuation, attempt, request, called)
            if repeated is not None and not retry:  # and the gate has let it through
                repeated.budget.called()
            # A blocking call answers the same questions as an asynchronous one's error.
            error = cast("grpc.aio.AioRpcError", call)
            left = deadline - time.monotonic() - self._settings.deadline_margin
            over = call.code() is grpc.StatusCode.OK or repeated is None
            pause = None if over or repeated is None else repeated.pause(path, error, retry, left)
            if pause is None:
                called.ended(call.code(), time.perf_counter() - began, retry, waited)
                if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not has_details(error):
                    raise deadlines.expired(attempt.timeout, path)
                return call
            time.sleep(pause)
            retry, waited = retry + 1, waited + pause
            retries.note_retry(path)
            attempt = attempt._replace(
                timeout=max(0.001, deadline - time.monotonic()), metadata=retries.with_previous(sent, retry)
            )

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Makes a call."""
        return continuation(self._details(details), request)

    def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        """Makes a call."""
        return continuation(self._details(details), requests)

    def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        """Makes a call."""
        return continuation(self._details(details), requests)

    def _attempt(
        self, continuation: Callable[..., Any], attempt: _Details, request: Any, called: rpc_metrics.Called
    ) -> Any:
        gated = self._gate is not None and not attempt.method.startswith(UNGATED)
        permit = self._gate.acquire(attempt.method) if gated and self._gate is not None else None
        called.started += 1
        span = None if attempt.method.startswith(UNGATED) else calls.begin_attempt(attempt.method)
        if span is not None:
            attempt = attempt._replace(metadata=calls.carrying(attempt.metadata, span))
        started = time.perf_counter()
        code: grpc.StatusCode | None = None
        said: grpc.StatusCode | None = None
        try:
            call = continuation(attempt, request)
            error = call.exception()
            # Anything else was raised here, in a signal handler: a time limit of Celery's is no word of the peer.
            if error is None or isinstance(error, grpc.RpcError):
                code = call.code()
                said = told_of(code, told_in(call.trailing_metadata()), attempt.method)
        finally:
            seconds = time.perf_counter() - started
            if permit is not None:
                permit.end(said, seconds)
            if span is not None:
                calls.end_attempt(span, code or grpc.StatusCode.CANCELLED)
        called.attempted(code or grpc.StatusCode.CANCELLED, seconds)
        return call

    def _details(self, details: Any) -> _Details:
        settings, method = self._settings, str(details.method)
        seconds = deadlines.outgoing(details.timeout, settings.default_timeout, settings.deadline_margin, method)
        return _Details(
            method,
            seconds,
            outgoing_metadata(details.metadata),
            getattr(details, "credentials", None),
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
