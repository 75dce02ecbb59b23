"""From annotations to routes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gaji.gateway.v1 import edge_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from gateway.contract import Contract, message_class
from gateway.cookies import RequestCookie, ResponseCookie, cookie_paths, request_cookies, response_cookies
from mesh import sse

_VERBS = ("get", "put", "post", "delete", "patch")
_SEGMENT = re.compile(r"\{(?P<field>[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*)\}|(?P<literal>[A-Za-z0-9._~-]+)")
LIMITS = ("credentials", "sessions")
"""The policies that a route may name as its limit; their rates are settings."""
_SUFFIX = re.compile(r":(?P<verb>[A-Za-z0-9._~-]+)$")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template.

    Attributes:
        text: as written, e.g. ``/api/novels/{novel_id}:archive``.
        segments: literals, and None for each variable.
        variables: the field paths of the variables, in order.
        verb: what follows the last colon; empty: nothing does.
    """

    text: str
    segments: tuple[str | None, ...]
    variables: tuple[str, ...]
    verb: str


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One HTTP binding of an RPC. Two are the same only when they are one object.

    Attributes:
        verb: the HTTP method.
        template: the path.
        body: the request field that the JSON body fills; ``*``: the whole request; empty: there is no body.
        response_body: the response field that is answered; empty: the whole response.
        rpc: the method.
        path: its gRPC path, ``/package.Service/Method``.
        room: which peer offers it.
        request, response: the message classes.
        public: whether a token is not needed.
        cache_seconds, timeout, max_body_bytes: the policy's; 0: the gateway's default.
        stale_seconds: how old a copy may be that is given where the service does not answer; 0: none is.
        reads: whether it changes nothing.
        status: the HTTP status of success.
        resume_field: the request field that says where a stream goes on; empty: it cannot be resumed.
        key_field: the request field that makes repeated requests one; empty: there is none.
        rate_cost: what a call takes from its reader's rate.
        limit: the stricter policy that calls count under as well; empty: none.
        account_field: the request field that names the account which a call tries to enter; empty: there is none.
    """

    verb: str
    template: Template
    body: str
    response_body: str
    rpc: MethodDescriptor
    path: str
    room: str
    request: Any
    response: Any
    public: bool
    cache_seconds: int
    timeout: int
    max_body_bytes: int
    stale_seconds: int
    reads: bool
    status: int
    request_cookies: tuple[RequestCookie, ...]
    response_cookies: tuple[ResponseCookie, ...]
    cleared_cookies: tuple[tuple[str, str], ...]
    resume_field: str
    key_field: str
    rate_cost: int
    limit: str
    account_field: str

    @property
    def streaming(self) -> bool:
        """Whether the answer is a stream of events."""
        return bool(self.rpc.server_streaming)


def routes_of(contract: Contract) -> list[Route]:
    """All bindings of all annotated RPCs.

    Raises:
        ValueError: an annotation does not fit its messages, or says what the gateway does not offer.
    """
    paths = cookie_paths(contract)
    return [route for method in contract.methods() for route in _routes(method, paths)]


def room_of(method: MethodDescriptor) -> str:
    """The room of a method: ``search`` for package ``gaji.search.v1``.

    Raises:
        ValueError: the package is not named like that.
    """
    parts = method.containing_service.file.package.split(".")
    if len(parts) != 3:
        raise ValueError(f"{method.full_name}: its package is not gaji.<room>.<version>")
    return str(parts[1])


def parse_template(text: str) -> Template:
    """Parses a path template of literals, ``{field.path}`` variables and a ``:verb``.

    Raises:
        ValueError: it is another, or one of the forms of google.api.http that the gateway does not offer (wildcards).
    """
    path, verb = text, ""
    if found := _SUFFIX.search(text.rpartition("/")[2]):
        verb = found["verb"]
        path = text[: -len(verb) - 1]
    segments: list[str | None] = []
    variables: list[str] = []
    head, *parts = path.split("/")
    for part in parts:
        match = _SEGMENT.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r}: {part!r} is neither a literal nor a {{field}}")
        segments.append(match["literal"])
        if match["field"]:
            variables.append(match["field"])
    if head or not segments or len(set(variables)) < len(variables):
        raise ValueError(f"{text!r} is no path, or names a field twice")
    return Template(text, tuple(segments), tuple(variables), verb)


def field_at(message: Descriptor, path: str) -> FieldDescriptor:
    """The field at a dotted path.

    Raises:
        ValueError: there is none, or the way to it is not one of single messages.
    """
    field: FieldDescriptor | None = None
    current: Descriptor | None = message
    for name in path.split("."):
        field = None if current is None else current.fields_by_name.get(name)
        if field is None:
            raise ValueError(f"{message.full_name} has no field {path}")
        current = None if field.is_repeated else field.message_type
    assert field is not None  # noqa: S101 - a path has at least one part
    return field


def _routes(method: MethodDescriptor, paths: Mapping[str, str]) -> Iterator[Route]:
    options: Any = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        try:
            yield _route(method, binding, options.Extensions[edge_pb2.edge], paths)
        except ValueError as error:
            raise ValueError(f"{method.full_name}: {error}") from error


def _route(method: MethodDescriptor, rule: Any, policy: edge_pb2.EdgePolicy, paths: Mapping[str, str]) -> Route:
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS:
        raise ValueError(f"a binding needs one of {', '.join(_VERBS)}")
    if method.client_streaming:
        raise ValueError("a client stream cannot be bound to HTTP")
    if policy.limit and policy.limit not in LIMITS:
        raise ValueError(f"there is no limit {policy.limit!r}; there are {', '.join(LIMITS)}")
    template = parse_template(getattr(rule, verb))
    request, response = method.input_type, method.output_type
    _check_fields(request, response, template, rule)
    reads = method.GetOptions().idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    cookies = policy.clear_cookies or response_cookies(response)
    if policy.stale_if_error_seconds and (not reads or method.server_streaming or cookies):
        raise ValueError("stale_if_error_seconds is for unary RPCs without side effects and cookies")
    if method.server_streaming:
        if rule.response_body:
            raise ValueError("a stream has no response_body")
        sse.formatter(response)  # raises when its shape is not that of a stream
    return Route(
        verb=verb.upper(),
        template=template,
        body=rule.body,
        response_body=rule.response_body,
        rpc=method,
        path=f"/{method.containing_service.full_name}/{method.name}",
        room=room_of(method),
        request=message_class(request),
        response=message_class(response),
        public=policy.access == edge_pb2.ACCESS_PUBLIC,
        cache_seconds=policy.cache_seconds,
        timeout=policy.timeout_seconds,
        max_body_bytes=policy.max_body_bytes,
        stale_seconds=policy.stale_if_error_seconds,
        reads=reads,
        status=policy.success_status or 200,
        request_cookies=request_cookies(request, paths),
        response_cookies=() if method.server_streaming else response_cookies(response),
        cleared_cookies=tuple((name, paths.get(name, "/")) for name in policy.clear_cookies),
        resume_field=_marked(request, edge_pb2.last_event_id) if method.server_streaming else _unmarked(request),
        key_field=_marked(request, edge_pb2.idempotency_key),
        rate_cost=policy.rate_cost or 1,
        limit=policy.limit,
        account_field=_marked(request, edge_pb2.account),
    )


def _marked(request: Descriptor, option: Any) -> str:
    """The name of the string field that bears an option; empty: none does.

    Raises:
        ValueError: several do, or it is no string.
    """
    fields = [field for field in request.fields if _has(field, option)]
    if len(fields) > 1:
        raise ValueError(f"{request.full_name}: only one field can have the option {option.name}")
    for field in fields:
        if field.is_repeated or field.type != FieldDescriptor.TYPE_STRING:
            raise ValueError(f"{field.full_name}: only a string can have the option {option.name}")
    return str(fields[0].name) if fields else ""


def _unmarked(request: Descriptor) -> str:
    if _marked(request, edge_pb2.last_event_id):
        raise ValueError(f"{request.full_name}: only a stream can go on after an event")
    return ""


def _has(field: FieldDescriptor, option: Any) -> bool:
    options: Any = field.GetOptions()
    return bool(options.Extensions[option])


def _check_fields(request: Descriptor, response: Descriptor, template: Template, rule: Any) -> None:
    for path in template.variables:
        field = field_at(request, path)
        if field.is_repeated or field.message_type is not None:
            raise ValueError(f"{path} is not a single plain value, so it cannot stand in a path")
    if rule.body and rule.body != "*":
        field_at(request, rule.body)
    if rule.response_body:
        field_at(response, rule.response_body)
