"""CacheService: proto to domain and back."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeAlias

import grpc
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.cache.v1 import cache_service_pb2_grpc as rpc

from mesh import deadlines
from mesh.errors import Aborted, Unavailable
from mesh.validation import Violations
from services.cache.answers import found_answer, key_of, translated
from services.cache.domain.cache import Cache
from services.cache.domain.keys import KINDS, Key, KeyRefusedError, Prefix, parse_key, parse_prefix
from services.cache.lookups import LookupStreams
from services.cache.metrics import INVALIDATIONS, STORES, WATCHERS, lookups
from services.cache.ports import SILENCE_SECONDS, Beat, Bulletin

MAX_VALUE_BYTES = 1024 * 1024
MAX_WAIT_MS = 10_000
MAX_KEYS = 1_000
MAX_PREFIXES = 10
_SILENCE_MS = (3_000, 60_000)
_WAIT_SHARE = 0.75
"""The part of the caller's time left that a wait may take, so that it can still do something about the answer."""

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CacheServicer(rpc.CacheServiceServicer):
    """Serves a `Cache` and the news of a `Bulletin`."""

    def __init__(self, cache: Cache, bulletin: Bulletin) -> None:
        self._cache = cache
        self._bulletin = bulletin
        self._lookups = LookupStreams(cache)

    def end_lookups(self) -> None:
        """Ends the streams of lookups; whoever asks on looks up elsewhere."""
        self._lookups.end()

    async def Lookup(self, request: pb.LookupRequest, context: _Context) -> pb.LookupResponse:
        check = Violations()
        check.range("wait_ms", request.wait_ms, 0, MAX_WAIT_MS)
        key = key_of(check, request.key)
        wait, left = request.wait_ms / 1000, deadlines.remaining()
        if left is not None:
            wait = max(0.0, min(wait, left * _WAIT_SHARE))
        try:
            with translated():
                found = await self._cache.lookup(key, wait, renews=request.renews)
        except Unavailable:
            lookups(key.kind.name, "error").inc()
            raise
        result, response = found_answer(found)
        lookups(key.kind.name, result).inc()
        return response

    def LookupMany(
        self, request_iterator: AsyncIterator[pb.LookupManyRequest], context: _Context
    ) -> AsyncGenerator[pb.LookupManyResponse, None]:
        return self._lookups.answers(request_iterator)

    async def Store(self, request: pb.StoreRequest, context: _Context) -> pb.StoreResponse:
        check = Violations()
        _lease(check, request.lease_id)
        if len(request.value) > MAX_VALUE_BYTES:
            check.add("value", f"has {len(request.value):,} bytes; give at most {MAX_VALUE_BYTES:,}")
        if request.absent and request.value:
            check.add("value", "is given although the thing is absent; leave one of the two out")
        key = key_of(check, request.key)
        try:
            with translated():
                ttl_ms, fresh_ms = await self._cache.store(
                    key, request.lease_id, None if request.absent else request.value
                )
        except Aborted:
            STORES.labels(key.kind.name, "lost").inc()
            raise
        STORES.labels(key.kind.name, "stored").inc()
        return pb.StoreResponse(ttl_ms=ttl_ms, fresh_ms=fresh_ms)

    async def Release(self, request: pb.ReleaseRequest, context: _Context) -> pb.ReleaseResponse:
        check = Violations()
        _lease(check, request.lease_id)
        key = key_of(check, request.key)
        with translated():
            return pb.ReleaseResponse(released=await self._cache.release(key, request.lease_id))

    async def Invalidate(self, request: pb.InvalidateRequest, context: _Context) -> pb.InvalidateResponse:
        check = Violations()
        check.range("keys", len(request.keys), 0, MAX_KEYS)
        check.range("prefixes", len(request.prefixes), 0, MAX_PREFIXES)
        check.raise_if_any()
        keys, prefixes = _names(check, request)
        check.raise_if_any()
        if not keys and not prefixes:
            return pb.InvalidateResponse()
        with translated():
            removed = await self._cache.invalidate(keys, prefixes)
        for kind, count in removed.items():
            INVALIDATIONS.labels(kind).inc(count)
        return pb.InvalidateResponse(removed=removed.total())

    async def GetStats(self, request: pb.GetStatsRequest, context: _Context) -> pb.GetStatsResponse:
        tally = self._cache.tally
        rows = [
            pb.KindStats(
                kind=name,
                ttl_seconds=KINDS[name].ttl_seconds,
                hits=tally.hits[name],
                misses=tally.misses[name],
                stores=tally.stores[name],
                invalidations=tally.invalidations[name],
                stale=tally.stale[name],
                absent=tally.absent[name],
                fresh_seconds=KINDS[name].fresh_seconds,
                absent_seconds=KINDS[name].absent_seconds,
                stored_bytes=tally.stored_bytes[name],
                kept_bytes=tally.kept_bytes[name],
            )
            for name in sorted(KINDS)
        ]
        return pb.GetStatsResponse(kinds=rows, store_available=await self._cache.available())

    async def WatchInvalidations(
        self, request: pb.WatchInvalidationsRequest, context: _Context
    ) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        wanted = frozenset(request.kinds) or frozenset(KINDS)
        if unknown := sorted(wanted - KINDS.keys()):
            check = Violations()
            check.add("kinds", f"holds {unknown[0][:32]!r}, which is no kind; the kinds are {', '.join(sorted(KINDS))}")
            check.raise_if_any()
        silence = SILENCE_SECONDS
        if request.silence_ms:
            check = Violations()
            check.range("silence_ms", request.silence_ms, *_SILENCE_MS)
            check.raise_if_any()
            silence = request.silence_ms / 1000
        with (
            translated(),
            WATCHERS.track_inprogress(),
            self._bulletin.watching(beats=request.beats, silence=silence) as notices,
        ):
            sequence, watching = 1, pb.Watching(as_of_us=_micros(time.monotonic()))
            yield pb.WatchInvalidationsResponse(sequence=sequence, watching=watching)
            async for notice in notices:
                if isinstance(notice, Beat):
                    sequence += 1
                    beat = pb.Beat(as_of_us=_micros(notice.as_of))
                    yield pb.WatchInvalidationsResponse(sequence=sequence, beat=beat)
                    continue
                keys, prefixes = _of_kinds(notice.keys, wanted), _of_kinds(notice.prefixes, wanted)
                if keys or prefixes:
                    sequence += 1
                    yield pb.WatchInvalidationsResponse(
                        sequence=sequence, invalidated=pb.Invalidated(keys=keys, prefixes=prefixes)
                    )


def _names(check: Violations, request: pb.InvalidateRequest) -> tuple[list[Key], list[Prefix]]:
    keys: list[Key] = []
    prefixes: list[Prefix] = []
    for index, text in enumerate(request.keys):
        try:
            keys.append(parse_key(text))
        except KeyRefusedError as error:
            check.add(f"keys[{index}]", str(error))
    for index, text in enumerate(request.prefixes):
        try:
            name = parse_prefix(text)
        except KeyRefusedError as error:
            check.add(f"prefixes[{index}]", str(error))
            continue
        if isinstance(name, Key):
            keys.append(name)
        else:
            prefixes.append(name)
    return keys, prefixes


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _lease(check: Violations, lease_id: str) -> None:
    check.text("lease_id", lease_id, 1, 64)


def _of_kinds(names: tuple[str, ...], kinds: frozenset[str]) -> list[str]:
    return [name for name in names if name.partition(":")[0] in kinds]
