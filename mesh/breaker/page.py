"""``/breakers`` of the admin port, which every process has, the gateway too: BreakerService in JSON.

GET lists (ListBreakersResponse), POST sets (SetBreakerStateRequest -> SetBreakerStateResponse). The admin port is for
operators and listens on loopback unless told otherwise. A page in an operator's browser reaches loopback as well, so a
POST must say ``application/json``, which browsers send to other origins only after a preflight that is not answered
here, and name the port by an address or as localhost, which a rebound DNS name does not.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import orjson
from gaji.mesh.v1 import breaker_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.message import Message

from mesh.breaker.registry import Breakers
from mesh.breaker.servicer import forced, listed
from mesh.errors import InvalidArgument, MeshError, NotFound, PermissionDenied

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
_MAX_BODY = 16 * 1024
M = TypeVar("M", bound=Message)


def breakers_page(breakers: Breakers) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """The page, as a WSGI application.

    Args:
        breakers: the process's.
    """

    def page(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, answer = "200 OK", _answer(breakers, environ)
        except MeshError as error:
            status = {NotFound: "404 Not Found", PermissionDenied: "403 Forbidden"}.get(type(error), "400 Bad Request")
            answer = {"code": error.code.name, "reason": error.reason, "message": error.message, "fields": error.fields}
        body = orjson.dumps(answer)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Cache-Control", "no-store")])
        return [body]

    return page


def _answer(breakers: Breakers, environ: dict[str, Any]) -> dict[str, Any]:
    _check_host(str(environ.get("HTTP_HOST", "")))
    method = environ["REQUEST_METHOD"]
    if method == "GET":
        query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        return _json(listed(breakers, _parsed(query, pb.ListBreakersRequest())))
    if method != "POST":
        raise InvalidArgument(f"{method} is not offered; GET lists the breakers, POST sets them")
    if "HTTP_ORIGIN" in environ:
        raise PermissionDenied("pages do not set breakers; use `gaji breaker`, or curl")
    if str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower() != "application/json":
        raise InvalidArgument("the body must be of type application/json; say so in Content-Type")
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > _MAX_BODY:
        raise InvalidArgument(f"Content-Length {length[:20]!r} is not a number up to {_MAX_BODY}")
    try:
        body = orjson.loads(environ["wsgi.input"].read(int(length)) or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidArgument('the body must be an object, e.g. {"peer": "search"}')
    return _json(forced(breakers, _parsed(body, pb.SetBreakerStateRequest())))


def _check_host(host: str) -> None:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        if name != "localhost":
            ipaddress.ip_address(name)
    except ValueError:
        raise PermissionDenied(f"this port is not known as {name[:64]!r}; use its address") from None


def _parsed(values: dict[str, Any], message: M) -> M:
    try:
        return json_format.ParseDict(values, message)
    except json_format.ParseError as error:
        raise InvalidArgument(f"the request does not parse: {error}") from None


def _json(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return told
