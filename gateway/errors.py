"""Errors at the edge: from gRPC status to HTTP, by one table."""

import math
import random
from collections.abc import Mapping, Sequence

import grpc
import orjson

from gateway.repeats import CIRCUIT_OPEN
from mesh.errors import InvalidArgument, MeshError
from mesh.interceptors.limit import is_overload

Header = tuple[bytes, bytes]
_SPREAD_SECONDS = 10.0
"""Over how long those come back who were kept from a peer that was away."""

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
CLIENT_LEFT = 499
"""What the access log says of a request whose client did not wait for the answer (as nginx does)."""


class EdgeError(Exception):
    """An error that only HTTP knows, with a status of its own.

    Args:
        status: the HTTP status.
        error: what the body says.
        headers: sent with it.
        linger: whether unread parts of the body are still coming, so that the connection must be closed with care.
    """

    def __init__(self, status: int, error: MeshError, headers: Sequence[Header] = (), *, linger: bool = False) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers
        self.linger = linger


class ClientLeft(Exception):  # noqa: N818 - an event, not an error
    """The client closed the connection before it had an answer."""


def bad_request(message: str, reason: str, fields: Mapping[str, str] | None = None) -> InvalidArgument:
    """A request that the edge itself refuses with 400."""
    return InvalidArgument(message, reason=reason, fields=fields)


def http_status(error: MeshError) -> int:
    """The HTTP status of an error: a service that has too much to do is no quota that the caller has used up."""
    if is_overload(error):
        return 503
    return HTTP_STATUS.get(error.code, 500)


def error_body(error: MeshError) -> bytes:
    """``{"error": {"code", "reason", "message", "fields"}}``."""
    return orjson.dumps(
        {
            "error": {
                "code": error.code.name,
                "reason": error.reason,
                "message": error.message,
                "fields": error.fields,
            }
        }
    )


def error_headers(error: MeshError) -> list[Header]:
    """The headers that an error brings along: Retry-After, WWW-Authenticate (RFC 6750)."""
    headers: list[Header] = []
    if error.retry_after is not None:
        seconds = error.retry_after
        if (
            error.reason == CIRCUIT_OPEN
        ):  # it tells everybody the same moment; if all came in it, they would be too many
            seconds += random.uniform(0, _SPREAD_SECONDS)  # noqa: S311 - spreads load, hides nothing
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(seconds))))
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        challenge = b'Bearer realm="gaji"'
        if error.reason in {"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_REVOKED"}:
            challenge += b', error="invalid_token"'
        headers.append((b"www-authenticate", challenge))
    return headers


def failed_event(error: MeshError) -> dict[str, object]:
    """What the data of an event ``failed`` says; the fields of ``gaji.gateway.v1.Failure``."""
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "retryable": error.retryable,
    }
