"""A service for operators as a page of the admin port: its messages in JSON, GET to look and POST to set.

The admin port is for operators and listens on loopback unless told otherwise. A page in an operator's browser reaches
loopback as well, so a POST must say ``application/json``, which browsers send to other origins only after a preflight
that is not answered here, and name the port by an address or as localhost, which a rebound DNS name does not. Where the
port listens for others, who only scrape it, a POST must come from this machine.
"""

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

from mesh.errors import InvalidArgument, MeshError, NotFound, PermissionDenied

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Page = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
_MAX_BODY = 16 * 1024
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Action(Generic[M]):
    """One of the two things that a page does.

    Attributes:
        request: makes an empty request.
        answer: makes a response of it.
    """

    request: Callable[[], M]
    answer: Callable[[M], Message]

    def __call__(self, values: dict[str, Any]) -> dict[str, Any]:
        """The response in JSON.

        Raises:
            InvalidArgument: the values are no request.
            MeshError: what the answer raises.
        """
        try:
            request = json_format.ParseDict(values, self.request())
        except json_format.ParseError as error:
            raise InvalidArgument(f"the request does not parse: {error}") from None
        told: dict[str, Any] = json_format.MessageToDict(
            self.answer(request), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return told


def operator_page(look: Action[Any], change: Action[Any], *, what: str, command: str, example: str) -> Page:
    """The page, as a WSGI application.

    Args:
        look: what GET does, with the query for its request.
        change: what POST does, with the body for its request.
        what: what the page shows, in the plural.
        command: what sets it otherwise.
        example: a body.
    """

    def page(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, answer = "200 OK", answered(environ)
        except MeshError as error:
            status = {NotFound: "404 Not Found", PermissionDenied: "403 Forbidden"}.get(type(error), "400 Bad Request")
            answer = {"code": error.code.name, "reason": error.reason, "message": error.message, "fields": error.fields}
        body = orjson.dumps(answer)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Cache-Control", "no-store")])
        return [body]

    def answered(environ: dict[str, Any]) -> dict[str, Any]:
        _check_host(str(environ.get("HTTP_HOST", "")))
        method = environ["REQUEST_METHOD"]
        if method == "GET":
            query = parse_qs(environ.get("QUERY_STRING", ""))
            return look({name: values[-1] for name, values in query.items()})
        if method != "POST":
            raise InvalidArgument(f"{method} is not offered; GET lists the {what}, POST sets them")
        if not _is_here(str(environ.get("REMOTE_ADDR", ""))):
            raise PermissionDenied(
                f"{what} are set from this machine; elsewhere by RPC, with an operator's certificate"
            )
        if "HTTP_ORIGIN" in environ:
            raise PermissionDenied(f"pages do not set {what}; use `{command}`, or curl")
        return change(_body(environ, example))

    return page


def _body(environ: dict[str, Any], example: str) -> dict[str, Any]:
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
        raise InvalidArgument(f"the body must be an object, e.g. {example}")
    return body


def _is_here(address: str) -> bool:
    """Whether a client's address is of this machine: whoever only scrapes metrics may not set anything."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _check_host(host: str) -> None:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        if name != "localhost":
            ipaddress.ip_address(name)
    except ValueError:
        raise PermissionDenied(f"this port is not known as {name[:64]!r}; use its address") from None
