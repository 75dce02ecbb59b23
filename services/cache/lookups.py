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
from services.cache.answers import found_answer, key_of, translated, unavailable
from services.cache.domain.cache import Cache
from services.cache.domain.keys import Key, parse_key
from services.cache.metrics import lookups
from services.cache.ports import Found, StoreUnavailableError

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
            unwritten: list[pb.NumberedResult] = []
            try:
                await self._answer(request.lookups, unwritten)
                for response in _messages(tuple(unwritten)):
                    yield response
                    del unwritten[: len(response.results)]
            finally:
                if unwritten:  # the stream was cut off
                    self._give_back(request.lookups, unwritten)

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

    async def _answer(self, asked: Sequence[pb.NumberedLookup], results: list[pb.NumberedResult]) -> None:
        """Looks up, and adds each result as soon as it is there."""
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
            await self._plain(plain, results)
        else:
            # Each in a task, and so in a context, of its own: a span has one parent.
            await asyncio.gather(self._plain(plain, results), *(self._traced(*one, results) for one in traced))

    async def _plain(self, asked: Sequence[tuple[pb.NumberedLookup, Key]], results: list[pb.NumberedResult]) -> None:
        if asked:
            found = await self._found(asked)
            results.extend(_result(one, key, what) for (one, key), what in zip(asked, found, strict=True))

    async def _traced(self, one: pb.NumberedLookup, key: Key, results: list[pb.NumberedResult]) -> None:
        context = calls.enter_call(_PATH, one.request_id, one.traceparent)
        code, reason = grpc.StatusCode.OK, None
        try:
            (found,) = await self._found([(one, key)])
            if isinstance(found, MeshError):
                code, reason = found.code, found.reason
            results.append(_result(one, key, found))
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            calls.end_call(context, code, reason=reason)

    async def _found(self, asked: Sequence[tuple[pb.NumberedLookup, Key]]) -> list[Found | MeshError]:
        try:
            with translated():
                found = await self._cache.lookup_many([(key, one.renews) for one, key in asked])
        except MeshError as error:
            return [error] * len(asked)
        return [unavailable(one) if isinstance(one, StoreUnavailableError) else one for one in found]

    def _give_back(self, asked: Sequence[pb.NumberedLookup], results: Sequence[pb.NumberedResult]) -> None:
        keys = {one.number: one.key for one in asked}
        leases: list[tuple[Key, str]] = []
        for result in results:
            found = result.found
            lease = found.hit.renewal if found.HasField("hit") else found.lease
            if lease.lease_id:
                leases.append((parse_key(keys[result.number]), lease.lease_id))
        if leases:
            self._cache.give_back(leases)


def _result(one: pb.NumberedLookup, key: Key, found: Found | MeshError) -> pb.NumberedResult:
    if isinstance(found, MeshError):
        lookups(key.kind.name, "error").inc()
        return _refused(one, found)
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
