"""One log line and the metrics of each call."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from mesh import identity
from mesh.errors import MeshError
from mesh.interceptors.pipeline import Call
from mesh.retries import PREVIOUS_ATTEMPTS
from mesh.telemetry import rpc_metrics, trace
from mesh.telemetry.logs import get_logger
from mesh.telemetry.spans import calls

log = get_logger("mesh.access")
# A relay lives as long as its gateway; the calls on it have lines of their own.
_QUIET = "/gaji.mesh."


@contextmanager
def telemetry(call: Call) -> Iterator[None]:
    """Counts and times a call, and logs its end with its caller and its ids."""
    context = calls.enter_call(call.method, call.text("x-request-id"), call.text("traceparent"))
    served = rpc_metrics.served(call.method)
    served.begin()
    code, reason = grpc.StatusCode.OK, None
    try:
        yield
    except MeshError as error:
        code, reason = error.code, error.reason
        raise
    except asyncio.CancelledError:
        # gRPC and the relay end a late call by cancelling it; its caller sees DEADLINE_EXCEEDED.
        code = grpc.StatusCode.DEADLINE_EXCEEDED if call.late else grpc.StatusCode.CANCELLED
        raise
    except BaseException:
        code = grpc.StatusCode.UNKNOWN
        raise
    finally:
        seconds = time.perf_counter() - call.started
        served.end(code, seconds)
        if call.first_message is not None:
            served.streamed(call.first_message - call.started, call.messages)
        _log(call, code, reason, seconds)
        if context.span is not None:
            first = None if call.first_message is None else call.first_message - call.started
            messages = call.messages if call.streaming else None
            calls.end_call(context, code, reason=reason, messages=messages, first_message=first)


def _log(call: Call, code: grpc.StatusCode, reason: str | None, seconds: float) -> None:
    level = logging.DEBUG if call.method.startswith(_QUIET) else logging.INFO
    if not log.isEnabledFor(level):
        return
    caller = identity.current()
    extra = {**trace.attributes(), "method": call.method, "code": code.name, "ms": round(seconds * 1000, 2)}
    if previous := call.text(PREVIOUS_ATTEMPTS):
        extra["rpc.previous_attempts"] = previous[:8]
    if reason is not None:
        extra["reason"] = reason
    if caller is not None:
        extra["user_id"] = caller.user_id
    if call.streaming:
        extra["messages"] = call.messages
    log.log(level, "rpc", extra=extra)
