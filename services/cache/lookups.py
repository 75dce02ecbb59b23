"""Lookups over streams that stand: many at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import grpc
from gaji.cache.v1 import cache_service_pb2 as pb
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgument, MeshError
from mesh.telemetry.spans import calls
from mesh.validation import Violations
from services.cache.answers import found_answer, key_of, translated
from services.cache.domain.cache import Cache
from services.cache.domain.keys import Key
from services.cache.metrics import lookups
from services.cache.ports import Found

MAX_LOOKUPS = 256
_PATH = "/gaji.cache.v1.CacheService/Lookup"
_LARGE = 1024 * 1024
"""Bytes of values after which a message is large enough: gRPC's have a limit."""


class LookupStreams:
    """Answers streams of lookups.

    Args:
        cache: what is looked into.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._resting: set[asyncio.Task[Any]] = set()
        self._ended = False

    def end(self) -> None:
        """Ends all streams, each once what it was asked is answered."""
        self._ended = True
        for task in self._resting:
            task.cancel()

    async def answers(
        self, requests: AsyncIterator[pb.LookupManyRequest]
    ) -> AsyncGenerator[pb.LookupManyResponse, None]:
        """Answers one message after the other, until there are no more or `end` is called.

        Raises:
            InvalidArgument: what came is no request.
        """
        while (request := await self._next(requests)) is not None:
            check = Violations()
            check.range("lookups", len(request.lookups), 1, MAX_LOOKUPS)
            check.raise_if_any()
            for response in _messages(await self._results(request.lookups)):
                yield response

    async def _next(self, requests: AsyncIterator[pb.LookupManyRequest]) -> pb.LookupManyRequest | None:
        task = asyncio.current_task()
        if self._ended or task is None:
            return None
        self._resting.add(task)
        try:
            return await anext(requests, None)
        except asyncio.CancelledError:
            if not self._ended or task.uncancel():
                raise
            return None
        except DecodeError as error:
            raise InvalidArgument("what was sent is no LookupManyRequest", reason="MALFORMED_MESSAGE") from error
        finally:
            self._resting.discard(task)

    async def _results(self, asked: Sequence[pb.NumberedLookup]) -> list[pb.NumberedResult]:
        results: list[pb.NumberedResult] = []
        plain: list[tuple[pb.NumberedLookup, Key]] = []
        traced: list[tuple[pb.NumberedLookup, Key]] = []
        for one in asked:
            try:
                key = key_of(Violations(), one.key)
            except InvalidArgument as error:
                results.append(_refused(one, error))
            else:
                (traced if one.traceparent else plain).append((one, key))
        if not traced:
            return results + await self._looked_up(plain)
        # Each in a task, and so in a context, of its own: a span has one parent.
        parts = await asyncio.gather(self._looked_up(plain), *(self._traced(*one) for one in traced))
        return [*results, *(result for part in parts for result in part)]

    async def _looked_up(self, asked: Sequence[tuple[pb.NumberedLookup, Key]]) -> list[pb.NumberedResult]:
        if not asked:
            return []
        try:
            with translated():
                found = await self._cache.lookup_many([(key, one.renews) for one, key in asked])
        except MeshError as error:
            for _, key in asked:
                lookups(key.kind.name, "error").inc()
            return [_refused(one, error) for one, _ in asked]
        return [_result(one, key, what) for (one, key), what in zip(asked, found, strict=True)]

    async def _traced(self, one: pb.NumberedLookup, key: Key) -> list[pb.NumberedResult]:
        context = calls.enter_call(_PATH, one.request_id, one.traceparent)
        code, reason = grpc.StatusCode.OK, None
        try:
            with translated():
                (found,) = await self._cache.lookup_many([(key, one.renews)])
        except MeshError as error:
            code, reason = error.code, error.reason
            lookups(key.kind.name, "error").inc()
            return [_refused(one, error)]
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            calls.end_call(context, code, reason=reason)
        return [_result(one, key, found)]


def _result(one: pb.NumberedLookup, key: Key, found: Found) -> pb.NumberedResult:
    result, response = found_answer(found)
    lookups(key.kind.name, result).inc()
    return pb.NumberedResult(number=one.number, found=response)


def _refused(one: pb.NumberedLookup, error: MeshError) -> pb.NumberedResult:
    return pb.NumberedResult(number=one.number, status=error.to_status().SerializeToString())


def _messages(results: Sequence[pb.NumberedResult]) -> Iterator[pb.LookupManyResponse]:
    """The results in as few messages as may be."""
    first = size = 0
    for at, result in enumerate(results, 1):
        size += len(result.found.hit.value)
        if size >= _LARGE:
            yield pb.LookupManyResponse(results=results[first:at])
            first, size = at, 0
    if first < len(results):
        yield pb.LookupManyResponse(results=results[first:])
