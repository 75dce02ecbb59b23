"""Unary calls: one request, one JSON answer."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.message import Message

from gateway.bindings import Route, field_at
from gateway.config import GatewaySettings
from gateway.cookies import clear_cookie_headers, set_cookie_headers
from gateway.edge_cache import EdgeCache
from gateway.errors import Header
from gateway.http import NO_STORE, Request
from gateway.upstreams import Upstream
from mesh.errors import translated
from mesh.protojson import to_object


class UnaryCalls:
    """Answers requests by unary calls.

    Args:
        settings: the default deadline, cookies.
        cache: for the routes whose policy allows it.
    """

    def __init__(self, settings: GatewaySettings, cache: EdgeCache) -> None:
        self._settings = settings
        self._cache = cache

    async def answer(self, request: Request, route: Route, upstream: Upstream, message: Message) -> None:
        """Calls and answers.

        Raises:
            MeshError: the call failed.
        """
        headers: list[Header] = [NO_STORE]
        if route.cache_seconds and self._settings.edge_cache_bytes:
            payload = message.SerializeToString(deterministic=True)
            key = (route.path, hashlib.sha256(payload).digest(), request.user_id)
            raw, hit = await self._cache.get(key, route.cache_seconds, lambda: self._call(route, upstream, payload))
            headers.append((b"x-cache", b"hit" if hit else b"miss"))
        else:
            raw = await self._call(route, upstream, message.SerializeToString())
        response = route.response.FromString(raw)
        secure = self._settings.cookie_secure
        headers += set_cookie_headers(route.response_cookies, response, secure=secure)
        headers += clear_cookie_headers(route.cleared_cookies, secure=secure)
        await request.respond(route.status, b"" if route.status == 204 else _encoder(route)(response), headers)

    async def _call(self, route: Route, upstream: Upstream, payload: bytes) -> bytes:
        with translated(upstream.room):
            return await upstream.unary(route.path, payload, route.timeout or self._settings.default_timeout)


@cache
def _encoder(route: Route) -> Callable[[Any], bytes]:
    name = route.response_body
    field = field_at(route.rpc.output_type, name) if name else None
    if field is not None and field.message_type is not None and not field.is_repeated:
        of_field = to_object(field.message_type)
        return lambda response: orjson.dumps(of_field(getattr(response, name)))
    convert = to_object(route.rpc.output_type)
    if name:
        return lambda response: orjson.dumps(convert(response).get(name))
    return lambda response: orjson.dumps(convert(response))
