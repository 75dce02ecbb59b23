"""What an edge says by itself, in the shape of all errors of the gateway."""

from collections.abc import Mapping

import orjson

from gateway.errors import error_body
from gateway.middleware import API_POLICY, SECURITY_HEADERS
from mesh.errors import DeadlineExceeded, InvalidArgument, MeshError, NotFound, ResourceExhausted, Unavailable

RETRY_SECONDS = 1
JSON = "application/json"

REPLIES: Mapping[int, MeshError] = {
    400: InvalidArgument("what was sent is not a request that can be handed on", reason="MALFORMED_REQUEST"),
    408: DeadlineExceeded("the request did not come in time; send it again", reason="REQUEST_TOO_SLOW"),
    414: InvalidArgument("the address is too long; send long texts in a body", reason="QUERY_TOO_LONG"),
    421: NotFound("there is nothing here by this name", reason="HOST_NOT_FOUND"),
    429: ResourceExhausted("too many requests from your network; try again in a moment", reason="RATE_LIMITED"),
    431: InvalidArgument("the request's line and headers are too long", reason="HEAD_TOO_LARGE"),
    502: Unavailable("no gateway answers; try again in a moment", reason="GATEWAY_UNREACHABLE"),
    503: Unavailable("no gateway answers; try again in a moment", reason="GATEWAY_UNREACHABLE"),
    504: DeadlineExceeded("the gateway did not answer in time; try again", reason="GATEWAY_TOO_SLOW"),
}
"""By HTTP status."""
RETRIED = frozenset({429, 502, 503})
"""What may be tried again soon, and says so."""
HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    **{name.decode(): value.decode() for name, value in (*SECURITY_HEADERS, API_POLICY)},
}
"""What stands on each of them."""


def reply(status: int) -> str:
    """The body for a status."""
    return error_body(REPLIES[status]).decode()


def too_large(limit: int) -> str:
    """The body for a request whose body is too large."""
    return error_body(InvalidArgument(f"the body is larger than {limit:,} bytes", reason="BODY_TOO_LARGE")).decode()


def other() -> str:
    """The body for a status that is in no table."""
    fields = {"code": "UNKNOWN", "reason": "EDGE", "message": "this request was not handed on", "fields": {}}
    return orjson.dumps({"error": fields}).decode()
