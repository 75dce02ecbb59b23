"""Feeds: messages that a handler leaves to whoever sends them, on a relay and on plain calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh import errors
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.relay import RelayClient
from mesh.relay.calls import WINDOW
from mesh.streams import Feed, Shared
from mesh.telemetry.metrics import REGISTRY
from tests.mesh.conftest import Serve

METHOD = "gaji.cache.v1.CacheService/WatchInvalidations"
LARGE = 10_000


class Said:
    """A source that grows by what a test says."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)
        self._over = False
        self.taken = 0
        self.listeners: list[Callable[[], None]] = []

    def say(self, *numbers: int, over: bool = False) -> None:
        self._numbers += numbers
        self._over = over
        for heard in list(self.listeners):
            heard()

    def take(self) -> int | None:
        if not self._numbers:
            return None
        self.taken += 1
        return self._numbers.pop(0)

    @property
    def over(self) -> bool:
        return self._over

    def listen(self, heard: Callable[[], None]) -> None:
        self.listeners.append(heard)

    def leave(self, heard: Callable[[], None]) -> None:
        self.listeners.remove(heard)


def numbered(sequence: int) -> pb.WatchInvalidationsResponse:
    return pb.WatchInvalidationsResponse(sequence=sequence, invalidated=pb.Invalidated())


def large(sequence: int) -> Shared:
    return Shared(pb.WatchInvalidationsResponse(sequence=sequence, invalidated=pb.Invalidated(keys=["x" * LARGE])))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def plain(server: Any, stub: Any, settings: MeshSettings, request: Any) -> list[int]:
    return [message.sequence async for message in stub.WatchInvalidations(request)]


async def relayed(server: Any, stub: Any, settings: MeshSettings, request: Any) -> list[int]:
    async with open_channel(server.address, settings) as channel:
        client = RelayClient(channel)
        try:
            call = client.open(f"/{METHOD}", request.SerializeToString(), metadata={}, timeout=30)
            text = b"".join([data async for data in call]).decode()
        finally:
            await client.close()
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


def messages() -> float:
    return REGISTRY.get_sample_value("gaji_rpc_messages_sent_total", {"grpc_method": METHOD}) or 0.0


@pytest.mark.parametrize("read", [plain, relayed])
async def test_messages_come_in_order_and_the_handler_says_what_is_between(
    serve: Serve, settings: MeshSettings, read: Any
) -> None:
    first, second = Said(2), Said(5, 6)
    second.say(over=True)

    async def watch(request: Any) -> AsyncIterator[Any]:
        yield numbered(1)
        yield Feed(first, numbered)
        yield numbered(4)
        yield Feed(second, lambda number: Shared(numbered(number)))
        yield numbered(7)

    before = messages()
    async with serve(watch=watch) as (server, stub):
        reading = asyncio.create_task(read(server, stub, settings, pb.WatchInvalidationsRequest()))
        await until(lambda: first.taken == 1)
        first.say()  # nothing, which ends nothing
        first.say(3)
        await until(lambda: first.taken == 2)
        first.say(over=True)
        assert await asyncio.wait_for(reading, 5) == [1, 2, 3, 4, 5, 6, 7]
        await until(lambda: messages() == before + 7)
    assert not first.listeners
    assert not second.listeners


async def test_what_is_said_waits_for_a_reader_who_does_not_read_and_for_nobody_else(
    serve: Serve, settings: MeshSettings
) -> None:
    said = {"slow": Said(), "fast": Said()}

    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[Any]:
        yield Feed(said[request.kinds[0]], large)

    async with serve(watch=watch) as (server, _), open_channel(server.address, settings) as channel:
        client = RelayClient(channel)
        calls = {
            name: client.open(
                f"/{METHOD}", pb.WatchInvalidationsRequest(kinds=[name]).SerializeToString(), metadata={}, timeout=30
            )
            for name in said
        }
        await until(lambda: all(one.listeners for one in said.values()))
        for one in said.values():
            one.say(*range(1, 201))
            one.say(over=True)
        fast = b"".join([data async for data in calls["fast"]])
        assert fast.count(b"event:") == said["fast"].taken == 200
        assert said["slow"].taken * LARGE <= WINDOW + LARGE
        slow = b"".join([data async for data in calls["slow"]])
        assert slow == fast
        await client.close()


@pytest.mark.parametrize("read", [plain, relayed])
async def test_a_message_that_cannot_be_made_ends_its_call_and_is_not_the_sources_trouble(
    serve: Serve, settings: MeshSettings, read: Any
) -> None:
    said = Said(1)

    def make(number: int) -> Any:
        return numbered(10 // (2 - number))

    async def watch(request: Any) -> AsyncIterator[Any]:
        yield Feed(said, make)

    async with serve(watch=watch) as (server, stub):
        reading = asyncio.create_task(read(server, stub, settings, pb.WatchInvalidationsRequest()))
        await until(lambda: said.taken == 1)
        said.say(2)
        said.say(3)
        with pytest.raises((errors.Internal, grpc.aio.AioRpcError), match="something went wrong on our side"):
            await asyncio.wait_for(reading, 5)
        await until(lambda: not said.listeners)


async def test_what_is_urgent_waits_for_no_batch_and_takes_along_what_does(
    serve: Serve, settings: MeshSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.relay.server.pause_after", lambda frames: 3_600.0)
    said = Said(1)

    async def watch(request: Any) -> AsyncIterator[Any]:
        yield Feed(said, lambda number: Shared(numbered(number), urgent=number == 3))

    async with serve(watch=watch) as (server, _), open_channel(server.address, settings) as channel:
        client = RelayClient(channel)
        call = client.open(f"/{METHOD}", b"", metadata={}, timeout=30)
        assert b"id: 1\n" in await asyncio.wait_for(anext(call), 5)
        said.say(2)
        await asyncio.sleep(0.05)  # in which it would come if it did not wait
        said.say(3)
        both = await asyncio.wait_for(anext(call), 5)
        assert (b"id: 2\n" in both, b"id: 3\n" in both) == (True, True)
        await client.close()


async def test_a_reader_who_leaves_is_not_called_any_more(serve: Serve, settings: MeshSettings) -> None:
    said = Said(1)

    async def watch(request: Any) -> AsyncIterator[Any]:
        yield Feed(said, numbered)

    async with serve(watch=watch) as (server, _), open_channel(server.address, settings) as channel:
        client = RelayClient(channel)
        call = client.open(f"/{METHOD}", b"", metadata={}, timeout=30)
        assert b"id: 1" in await asyncio.wait_for(anext(call), 5)
        call.cancel()
        await until(lambda: not said.listeners)
        said.say(2)
        assert said.taken == 1
        with pytest.raises(errors.DeadlineExceeded):
            async for _ in client.open(f"/{METHOD}", b"", metadata={}, timeout=0.2):
                pass
        await until(lambda: not said.listeners)
        await client.close()
