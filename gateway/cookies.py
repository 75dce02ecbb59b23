"""Cookies bound to fields (``gaji.gateway.v1.CookiePolicy``)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from gaji.gateway.v1 import edge_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.contract import Contract

_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]+")  # cookie-octet of RFC 6265, section 4.1.1


@dataclass(frozen=True, slots=True)
class RequestCookie:
    """A cookie that fills a field which the request leaves out."""

    field: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ResponseCookie:
    """A cookie that a field of the response sets.

    Attributes:
        field: dotted path of the field in the response.
        max_age_field: dotted path of the field with its lifetime in seconds; empty: a session cookie.
    """

    field: str
    name: str
    path: str
    max_age_field: str


def request_cookies(message: Descriptor, paths: Mapping[str, str]) -> tuple[RequestCookie, ...]:
    """The cookies bound to fields of a request.

    Args:
        message: the request.
        paths: what cookies are set for, by their names.

    Raises:
        ValueError: one of them is not a string.
    """
    found = []
    for field, policy in _policies(message):
        if field.is_repeated or field.type != FieldDescriptor.TYPE_STRING:
            raise ValueError(f"{field.full_name}: only a string can come from a cookie")
        found.append(RequestCookie(field.name, policy.name, paths.get(policy.name, "/")))
    return tuple(found)


def response_cookies(message: Descriptor) -> tuple[ResponseCookie, ...]:
    """The cookies bound to fields of a response and of the single messages in it."""
    return tuple(_response_cookies(message, "", frozenset()))


def cookie_paths(contract: Contract) -> dict[str, str]:
    """Cookie name -> the path that it is set for, under which alone a browser forgets it."""
    return {
        policy.name: policy.path or "/"
        for message in contract.messages()
        for _, policy in _policies(message)
        if policy.max_age_field or policy.path
    }


def set_cookie_headers(
    cookies: tuple[ResponseCookie, ...], response: Any, *, secure: bool
) -> list[tuple[bytes, bytes]]:
    """``Set-Cookie`` headers of a response; a field that is empty or no cookie value sets none."""
    headers = []
    for cookie in cookies:
        value = attrgetter(cookie.field)(response)
        if _VALUE.fullmatch(value):
            max_age = attrgetter(cookie.max_age_field)(response) if cookie.max_age_field else None
            headers.append(_header(cookie.name, value, cookie.path, max_age, secure=secure))
    return headers


def clear_cookie_headers(cookies: tuple[tuple[str, str], ...], *, secure: bool) -> list[tuple[bytes, bytes]]:
    """``Set-Cookie`` headers that make a browser forget cookies, each a name and a path."""
    return [_header(name, "", path, 0, secure=secure) for name, path in cookies]


def wire_name(name: str, path: str, *, secure: bool) -> str:
    """A cookie's name between browser and gateway.

    With TLS it bears a prefix for which browsers take it only from this very host and through TLS, so that no page of a
    sibling domain can plant one (RFC 6265bis, section 4.1.3): ``__Host-``, or ``__Secure-`` where it has a path.
    """
    if not secure:
        return name
    return f"__Host-{name}" if path == "/" else f"__Secure-{name}"


def parse_cookies(header: str) -> Mapping[str, str]:
    """The cookies of a ``Cookie`` header; of a name given twice the first counts, which has the longer path."""
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, found, value = part.strip().partition("=")
        if found:
            cookies.setdefault(name, value.strip('"'))
    return cookies


def _header(name: str, value: str, path: str, max_age: int | None, *, secure: bool) -> tuple[bytes, bytes]:
    text = f"{wire_name(name, path, secure=secure)}={value}; Path={path}; HttpOnly; SameSite=Strict"
    if max_age is not None:
        text += f"; Max-Age={max_age}"
    if secure:
        text += "; Secure"
    return b"set-cookie", text.encode()


def _policies(message: Descriptor) -> Iterator[tuple[FieldDescriptor, edge_pb2.CookiePolicy]]:
    for field in message.fields:
        options: Any = field.GetOptions()
        if options.HasExtension(edge_pb2.cookie):
            yield field, options.Extensions[edge_pb2.cookie]


def _response_cookies(message: Descriptor, prefix: str, seen: frozenset[str]) -> Iterator[ResponseCookie]:
    for field, policy in _policies(message):
        age = prefix + policy.max_age_field if policy.max_age_field else ""
        yield ResponseCookie(prefix + field.name, policy.name, policy.path or "/", age)
    inside = seen | {message.full_name}
    for field in message.fields:
        if field.message_type is not None and not field.is_repeated and field.message_type.full_name not in inside:
            yield from _response_cookies(field.message_type, f"{prefix}{field.name}.", inside)
