"""A batch of many frames: who gets his first, and what a stream that breaks has already brought."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from gaji.mesh.v1 import relay_service_pb2 as pb

from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.errors import MeshError, NotFound, Unavailable
from mesh.process import ended
from mesh.relay import RelayClient
from mesh.relay.client import SLICE
from tests.mesh.raw_server import open_raw

RELAY = "/gaji.mesh.v1.RelayService/Relay"
MANY = 5 * SLICE


class Heard:
    """A sink that notes what comes, in one list with the others."""

    def __init__(self, name: int, heard: list[tuple[int, Any]]) -> None:
        self._name, self._heard = name, heard
        self.ended: asyncio.Future[MeshError | None] = asyncio.get_running_loop().create_future()

    def data(self, data: bytes) -> bool:
        self._heard.append((self._name, data))
        return True

    def end(self, error: MeshError | None) -> None:
        self._heard.append((self._name, "end"))
        self.ended.set_result(error)


def batch(calls: Sequence[int], data: bytes, *, last: bool = False) -> bytes:
    """A frame for each of the calls."""
    status = pb.CallStatus() if last else None
    return pb.RelayResponse(
        frames=[pb.Frame(call_id=call, data=data, status=status) for call in calls]
    ).SerializeToString()


async def heard_of(
    batches: Sequence[bytes],
    calls: int,
    settings: MeshSettings,
    beside: Callable[[list[tuple[int, Any]]], Coroutine[Any, Any, None]] | None = None,
) -> tuple[list[tuple[int, Any]], Any]:
    """What the sinks of so many calls hear when a server sends these batches and ends the stream; and the errors.

    What runs ``beside`` may add to what is heard, and is cancelled in the end.
    """

    async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        for _ in range(calls):
            await anext(requests)
        for each in batches:
            yield each
        if beside is not None:
            await asyncio.sleep(30)  # at the end of a stream nothing waits for its turn

    heard: list[tuple[int, Any]] = []
    async with open_raw(both={RELAY: answer}) as address, open_channel(address, settings) as channel:
        client = RelayClient(channel)
        sinks = [Heard(number, heard) for number in range(1, calls + 1)]
        for sink in sinks:
            client.push("/a/B", b"", sink, metadata={}, timeout=30)
        other = asyncio.create_task(beside(heard)) if beside is not None else None
        async with asyncio.timeout(10):
            errors = [await sink.ended for sink in sinks]
        await client.close()
        await ended(*filter(None, [other]))
    return heard, errors


async def test_who_waits_for_its_first_output_gets_it_before_the_rest_of_a_batch(settings: MeshSettings) -> None:
    others, late = list(range(1, MANY + 1)), MANY + 1
    batches = [batch(others, b"1"), batch([*others, late], b"2"), batch([*others, late], b"3", last=True)]
    heard, errors = await heard_of(batches, late, settings)
    seconds = [name for name, what in heard if what == b"2"]
    assert seconds[0] == late
    assert sorted(seconds) == [*others, late]
    assert errors == [None] * late


async def test_every_call_hears_its_frames_in_order_however_many_there_are(settings: MeshSettings) -> None:
    calls = list(range(1, MANY + 1))
    batches = [batch(calls[: MANY // (1 + number % 3)], b"%d" % number) for number in range(30)]
    heard, _ = await heard_of([*batches, batch(calls, b"30", last=True)], MANY, settings)
    for call in calls:
        expected = [b"%d" % number for number in range(30) if call <= MANY // (1 + number % 3)]
        assert [what for name, what in heard if name == call] == [*expected, b"30", "end"]


async def test_others_have_their_turn_between_slices(settings: MeshSettings) -> None:
    calls = list(range(1, MANY + 1))

    async def beside(heard: list[tuple[int, Any]]) -> None:
        while True:
            heard.append((0, "turn"))
            await asyncio.sleep(0)

    heard, _ = await heard_of([batch(calls, b"1"), batch(calls, b"2", last=True)], MANY, settings, beside)
    seconds = [number for number, (_, what) in enumerate(heard) if what == b"2"]
    between = heard[seconds[0] : seconds[-1]]
    assert sum(what == "turn" for _, what in between) >= MANY // SLICE - 1


async def test_a_status_that_cannot_be_read_ends_its_own_call_alone(settings: MeshSettings) -> None:
    calls = list(range(1, MANY + 1))
    bad = pb.Frame(call_id=1, status=pb.CallStatus(code=5, details=b"\xff"))
    broken = pb.RelayResponse(frames=[bad]).SerializeToString()
    heard, errors = await heard_of([batch(calls, b"1"), broken, batch(calls[1:], b"2", last=True)], MANY, settings)
    assert [type(error) for error in errors] == [NotFound, *[type(None)] * (MANY - 1)]
    assert [what for name, what in heard if name == 1] == [b"1", "end"]


async def test_a_stream_that_breaks_loses_nothing_that_has_come(settings: MeshSettings) -> None:
    calls = list(range(1, MANY + 1))
    heard, errors = await heard_of([batch(calls, b"1"), batch(calls, b"2")], MANY, settings)
    for call in calls:
        assert [what for name, what in heard if name == call] == [b"1", b"2", "end"]
    assert {type(error) for error in errors} == {Unavailable}
