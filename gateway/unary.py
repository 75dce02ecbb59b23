"""Unary calls: one request, one answer: JSON, or a file."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.message import Message

from gateway.bindings import Route, field_at
from gateway.config import GatewaySettings
from gateway.cookies import clear_cookie_headers, set_cookie_headers
from gateway.copies import Copies, unanswered
from gateway.edge_cache import EdgeCache, Key
from gateway.errors import Header
from gateway.files import ATTACHMENT, content_type, is_file
from gateway.http import JSON, NO_STORE, Request
from gateway.metrics import COPIES
from gateway.repeats import pause_before, peer_lost
from gateway.upstreams import Upstream
from mesh.errors import MeshError, translated
from mesh.protojson import to_object
from mesh.retries import note_retry


class UnaryCalls:
    """Answers requests by unary calls.

    Args:
        settings: the default deadline, cookies.
        cache: for the routes whose policy allows it.
        copies: of answers, for when nobody answers.
    """

    def __init__(self, settings: GatewaySettings, cache: EdgeCache, copies: Copies) -> None:
        self._settings = settings
        self._cache = cache
        self._copies = copies

    async def answer(self, request: Request, route: Route, upstream: Upstream, message: Message) -> None:
        """Calls and answers.

        Raises:
            MeshError: the call failed.
        """
        headers: list[Header] = [NO_STORE]
        cached = bool(route.cache_seconds and self._settings.edge_cache_bytes)
        copied = bool(route.stale_seconds and self._copies.on)
        payload = message.SerializeToString(deterministic=cached or copied)
        if not (cached or copied):
            raw = await self._call(route, upstream, payload)
        else:
            key = (route.path, hashlib.sha256(payload).digest(), request.user_id)
            if copied:
                raw = await self._call_or_copy(route, upstream, payload, key, headers)
            else:
                raw, hit = await self._cache.get(key, route.cache_seconds, lambda: self._call(route, upstream, payload))
                request.kind = f"{request.label} {'hit' if hit else 'miss'}"
                headers.append((b"x-cache", b"hit" if hit else b"miss"))
        response = route.response.FromString(raw)
        secure = self._settings.cookie_secure
        headers += set_cookie_headers(route.response_cookies, response, secure=secure)
        headers += clear_cookie_headers(route.cleared_cookies, secure=secure)
        kind = JSON
        if _is_file(route):
            file = getattr(response, route.response_body)
            body, kind = file.data, content_type(file)
            headers.append(ATTACHMENT)
        else:
            body = b"" if route.status == 204 else _encoder(route)(response)
        await request.respond(route.status, body, headers, content_type=kind)

    async def _call_or_copy(
        self, route: Route, upstream: Upstream, payload: bytes, key: Key, headers: list[Header]
    ) -> bytes:
        """Calls and keeps a copy of the answer; gives the copy from before where nobody answers, marked by headers."""
        copy = self._copies.get(key, route.stale_seconds)
        patience = self._settings.copy_after_seconds if copy else None
        with self._copies.reading(key[2]) as reading:
            try:
                raw = await self._call(route, upstream, payload, patience)
            except MeshError as error:
                self._copies.refused(key, error)
                copy = self._copies.get(key, route.stale_seconds) if unanswered(error) and reading.current else None
                if copy is None:
                    raise
                COPIES.labels(route.template.text).inc()
                headers += [(b"x-cache", b"stale"), (b"age", b"%d" % copy.age)]
                return copy.raw
            self._copies.keep(reading, key, raw)
            return raw

    async def _call(self, route: Route, upstream: Upstream, payload: bytes, patience: float | None = None) -> bytes:
        """Calls; where an idempotency key makes repeated calls one, again while the peer is lost."""
        now = asyncio.get_running_loop().time
        seconds = route.timeout or self._settings.default_timeout
        deadline = now() + (seconds if patience is None else min(seconds, patience))
        keyed = bool(route.key_field)
        last_start = min(deadline, now() + self._settings.resume_seconds) if keyed else 0.0
        attempt = 0
        while True:
            try:
                with translated(upstream.room):
                    return await upstream.unary(route.path, payload, max(0.001, deadline - now()), once=keyed)
            except MeshError as error:
                if not peer_lost(error, upstream.room):
                    raise
                while True:
                    pause = pause_before(attempt)
                    if now() + pause > last_start:
                        raise
                    attempt += 1
                    await asyncio.sleep(pause)
                    if upstream.ready():
                        break
            note_retry(route.path)


_is_file = cache(is_file)


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
