import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import grpc
import pytest
from gaji.cache.v1 import cache_service_pb2 as pb
from gaji.mesh.v1 import relay_service_pb2 as relay_pb
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mesh import deadlines, errors, identity
from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.relay import RelayCall, RelayClient
from mesh.relay.calls import WINDOW
from mesh.server import MeshServer
from mesh.telemetry import trace
from mesh.telemetry.metrics import REGISTRY
from tests.mesh.conftest import Serve, Watch
from tests.mesh.raw_server import FakeGate

WATCH = "/gaji.cache.v1.CacheService/WatchInvalidations"


def numbered(sequence: int, text: str = "") -> pb.WatchInvalidationsResponse:
    return pb.WatchInvalidationsResponse(sequence=sequence, invalidated=pb.Invalidated(keys=[text] if text else []))


@pytest.fixture
def relay(serve: Serve, settings: MeshSettings) -> Any:
    """Serves a stream and opens a relay to it."""

    @asynccontextmanager
    async def run(watch: Watch, **changes: Any) -> AsyncIterator[tuple[RelayClient, MeshServer]]:
        async with serve(watch=watch, **changes) as (server, _), open_channel(server.address, settings) as channel:
            client = RelayClient(channel)
            try:
                yield client, server
            finally:
                await client.close()

    return run


def opened(client: RelayClient, *, kinds: tuple[str, ...] = (), timeout: float = 30, **metadata: str) -> RelayCall:
    request = pb.WatchInvalidationsRequest(kinds=kinds).SerializeToString()
    return client.open(WATCH, request, metadata=metadata, timeout=timeout)


async def text_of(call: RelayCall) -> bytes:
    return b"".join([data async for data in call])


async def test_frames_come_formatted_whole_and_in_order(relay: Any) -> None:
    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield pb.WatchInvalidationsResponse(sequence=1, watching=pb.Watching())
        yield numbered(2, request.kinds[0])

    async with relay(watch) as (client, _):
        assert await text_of(opened(client, kinds=("한글",))) == (
            b'event: watching\nid: 1\ndata: {"as_of_us":"0"}\n\n'
            b"event: invalidated\nid: 2\ndata: " + '{"keys":["한글"],"prefixes":[]}'.encode() + b"\n\n"
        )
        assert client.active == 0


async def test_many_calls_share_the_stream_without_mixing(relay: Any) -> None:
    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        for sequence in range(1, 201):
            yield numbered(sequence, request.kinds[0])
            if sequence % 7 == 0:
                await asyncio.sleep(0)

    def expected(name: str) -> bytes:
        rows = (f'event: invalidated\nid: {n}\ndata: {{"keys":["{name}"],"prefixes":[]}}\n\n' for n in range(1, 201))
        return "".join(rows).encode()

    async with relay(watch) as (client, _):
        names = [f"reader-{number}" for number in range(100)]
        texts = await asyncio.gather(*(text_of(opened(client, kinds=(name,))) for name in names))
        assert texts == [expected(name) for name in names]


async def test_the_first_event_is_not_held_back_for_a_batch(relay: Any) -> None:
    release = asyncio.Event()

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        await release.wait()

    async with relay(watch) as (client, _):
        call = opened(client)
        assert b"id: 1" in await asyncio.wait_for(anext(call), 5)
        release.set()
        assert await text_of(call) == b""


async def test_a_status_arrives_after_the_events_with_its_details(relay: Any) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        raise errors.ResourceExhausted("full", reason="FULL", retry_after=2)

    async with relay(watch) as (client, _):
        call = opened(client)
        assert b"id: 1" in await anext(call)
        with pytest.raises(errors.ResourceExhausted) as caught:
            await anext(call)
        assert (caught.value.reason, caught.value.retry_after) == ("FULL", 2)


async def test_a_bug_in_a_handler_is_internal_and_ends_no_other_call(relay: Any) -> None:
    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        if request.kinds == ["bad"]:
            raise KeyError("the secret")
        await asyncio.sleep(0.05)
        yield numbered(2)

    async with relay(watch) as (client, _):
        good, bad = opened(client, kinds=("good",)), opened(client, kinds=("bad",))
        with pytest.raises(errors.Internal) as caught:
            await text_of(bad)
        assert "secret" not in caught.value.message
        assert b"id: 2" in await text_of(good)


@pytest.mark.parametrize(
    "method",
    ["/gaji.cache.v1.CacheService/Nothing", "/gaji.cache.v1.CacheService/Lookup"],
)
async def test_only_streaming_methods_are_relayed(relay: Any, method: str) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)

    async with relay(watch) as (client, _):
        with pytest.raises(errors.Unimplemented):
            await text_of(client.open(method, b"", metadata={}, timeout=5))
        with pytest.raises(errors.InvalidArgument):
            await text_of(client.open(WATCH, b"\xff\xff", metadata={}, timeout=5))


async def test_cancelling_reaches_the_handler_and_no_other(relay: Any) -> None:
    closed: list[str] = []

    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        try:
            for sequence in range(1, 1000):
                yield numbered(sequence)
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0)  # cleaning up may wait
            closed.append(request.kinds[0])

    async with relay(watch) as (client, _):
        leaving, staying = opened(client, kinds=("leaving",)), opened(client, kinds=("staying",))
        await anext(leaving)
        leaving.cancel()
        await asyncio.wait_for(_until(lambda: closed == ["leaving"]), 5)
        assert b"id: 999" in await text_of(staying)


async def test_deadline_identity_and_trace_are_the_calls_own(relay: Any, bearer: Any) -> None:
    seen: list[tuple[str | None, str | None, float | None]] = []

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        caller, context = identity.current(), trace.current()
        request_id = context.request_id if context else None
        seen.append((caller.user_id if caller else None, request_id, deadlines.remaining()))
        yield numbered(1)

    alice, bob = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    async with relay(watch) as (client, _):
        for user, timeout in ((alice, 5.0), (bob, 50.0)):
            metadata = {"authorization": f"Bearer {bearer(user)}", "x-request-id": f"of-{user}"}
            await text_of(client.open(WATCH, b"", metadata=metadata, timeout=timeout))
        await text_of(opened(client, timeout=1))
        with pytest.raises(errors.Unauthenticated):
            await text_of(client.open(WATCH, b"", metadata={"authorization": "Bearer no"}, timeout=5))
    assert [(user, request) for user, request, _ in seen[:2]] == [(alice, f"of-{alice}"), (bob, f"of-{bob}")]
    assert seen[2][0] is None
    lefts = [left for _, _, left in seen if left is not None]
    assert len(lefts) == 3
    assert all(left < limit for left, limit in zip(lefts, (5, 50, 1), strict=True))


async def test_an_expired_deadline_ends_the_call(relay: Any) -> None:
    closed = asyncio.Event()

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        try:
            await asyncio.sleep(60)
        finally:
            closed.set()

    async with relay(watch) as (client, _):
        with pytest.raises(errors.DeadlineExceeded):
            await text_of(opened(client, timeout=0.2))
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_reader_that_does_not_read_stops_its_producer_and_nobody_elses(relay: Any) -> None:
    made = {"slow": 0, "fast": 0}
    big = "x" * 10_000

    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        for sequence in range(1, 201):
            made[request.kinds[0]] = sequence
            yield numbered(sequence, big)

    async with relay(watch) as (client, _):
        slow, fast = opened(client, kinds=("slow",)), opened(client, kinds=("fast",))
        assert (await text_of(fast)).count(b"event:") == 200
        assert made["slow"] * len(big) <= WINDOW + 2 * len(big)
        assert (await text_of(slow)).count(b"event:") == 200
    assert made == {"slow": 200, "fast": 200}


async def test_a_broken_stream_ends_its_calls_and_the_next_call_opens_another(relay: Any) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        await asyncio.sleep(60)

    async with relay(watch) as (client, _):
        call = opened(client)
        await anext(call)
        await client.close()
        with pytest.raises(errors.Unavailable):
            await anext(call)
        again = opened(client)
        assert b"id: 1" in await anext(again)
        again.cancel()


async def test_a_dead_peer_is_unavailable_and_not_a_hang(settings: MeshSettings) -> None:
    async with open_channel("127.0.0.1:1", settings) as channel:
        client = RelayClient(channel)
        with pytest.raises(errors.Unavailable):
            await asyncio.wait_for(text_of(opened(client)), 10)
        await client.close()


async def test_a_connection_that_breaks_is_told_of_in_our_words(
    serve: Serve, settings: MeshSettings, unused_tcp_port: int
) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        await asyncio.sleep(60)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    known = asyncio.all_tasks()
    async with serve(watch=watch) as (server, _), asyncio.TaskGroup() as pipes:
        host, _, port = server.address.rpartition(":")
        cut: list[asyncio.Task[None]] = []

        async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer_reader, peer_writer = await asyncio.open_connection(host, int(port))
            for ends in ((reader, peer_writer), (peer_reader, writer)):
                cut.append(pipes.create_task(pipe(*ends)))

        async with (
            await asyncio.start_server(joined, "127.0.0.1", unused_tcp_port) as between,
            open_channel(f"127.0.0.1:{unused_tcp_port}", settings) as channel,
        ):
            client = RelayClient(channel)
            call = opened(client)
            await anext(call)
            between.close()
            for task in cut:
                task.cancel()
            with pytest.raises(errors.Unavailable) as caught:
                await asyncio.wait_for(anext(call), 10)
            await asyncio.wait_for(
                _until(lambda: not any("_consume_request" in repr(t) for t in asyncio.all_tasks() - known)), 5
            )
            await client.close()
    assert caught.value.reason == "RELAY_CLOSED"
    assert "ocket" not in caught.value.message


async def raw_relay(address: str, *requests: bytes) -> grpc.StatusCode:
    """The status of a relay stream on which these bytes are sent and nothing more is."""

    async def sending() -> AsyncIterator[bytes]:
        for request in requests:
            yield request
        await asyncio.sleep(60)

    async with grpc.aio.insecure_channel(address) as channel:
        relay: Any = channel.stream_stream("/gaji.mesh.v1.RelayService/Relay")
        call = relay(sending(), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
    return caught.value.code()


async def test_a_relay_that_breaks_the_rules_is_told_at_once_and_its_calls_end(relay: Any) -> None:
    closed = asyncio.Event()

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        try:
            await asyncio.sleep(60)
        finally:
            closed.set()

    opening = relay_pb.OpenCall(method=WATCH, format=relay_pb.FRAME_FORMAT_SSE, window_bytes=WINDOW)
    twice = relay_pb.RelayRequest(call_id=1, open=opening).SerializeToString()
    async with relay(watch) as (_, server):
        assert await raw_relay(server.address, twice, twice) is grpc.StatusCode.ABORTED
        await asyncio.wait_for(closed.wait(), 5)
        assert await raw_relay(server.address, b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT


async def test_credit_for_what_was_never_sent_widens_no_window(relay: Any) -> None:
    made = 0

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        nonlocal made
        for made in range(1, 201):
            yield numbered(made, "x" * 10_000)

    async with relay(watch) as (client, _):
        call = opened(client)
        client.send(relay_pb.RelayRequest(call_id=1, credit=relay_pb.Credit(bytes=2**32 - 1)))
        await asyncio.wait_for(_until(lambda: made * 10_000 >= WINDOW), 5)
        await asyncio.sleep(0.05)  # it would run on if it could
        assert made * 10_000 <= 2 * WINDOW + 20_000  # what was sent before the credit came, and a window
        assert (await text_of(call)).count(b"event:") == 200


async def test_draining_lets_calls_end_and_takes_no_new_ones(serve: Serve, settings: MeshSettings) -> None:
    release = asyncio.Event()

    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        await release.wait()
        yield numbered(2)

    async with AsyncExitStack() as stack:
        scope = serve(watch=watch, drain_seconds=10)
        server, _ = await scope.__aenter__()
        client = RelayClient(await stack.enter_async_context(open_channel(server.address, settings)))
        stack.push_async_callback(client.close)
        call = opened(client)
        await anext(call)
        stopping = asyncio.create_task(scope.__aexit__(None, None, None))
        await asyncio.wait_for(_until(lambda: client.draining), 5)
        with pytest.raises(errors.Unavailable):
            await text_of(opened(client))
        release.set()
        assert b"id: 2" in await text_of(call)
        await asyncio.wait_for(stopping, 8)


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.lists(st.integers(0, 3000), max_size=60), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
)
async def test_whatever_the_sizes_and_pauses_every_reader_gets_its_own_text(
    relay: Any, sizes: list[list[int]], seed: int
) -> None:
    pauses = Random(seed)

    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        for sequence, size in enumerate(sizes[int(request.kinds[0])], 1):
            yield numbered(sequence, "y" * size + request.kinds[0])
            if pauses.random() < 0.2:
                await asyncio.sleep(pauses.random() / 200)

    async with relay(watch) as (client, _):
        texts = await asyncio.gather(*(text_of(opened(client, kinds=(str(n),))) for n in range(len(sizes))))
    for number, text in enumerate(texts):
        expected = "".join(
            f'event: invalidated\nid: {n}\ndata: {{"keys":["{"y" * size}{number}"],"prefixes":[]}}\n\n'
            for n, size in enumerate(sizes[number], 1)
        )
        assert text == expected.encode()


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def test_a_server_that_lives_says_so_and_a_quiet_stream_does_not_stand_still(
    relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that has not begun is another matter: that its server lives does not answer it."""
    monkeypatch.setattr("mesh.relay.server.BEAT_SECONDS", 0.02)

    async def watch(request: pb.WatchInvalidationsRequest) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        if request.kinds:
            yield numbered(1)
        await asyncio.Event().wait()

    async with relay(watch) as (client, _):
        client._gate = FakeGate()
        quiet, silent = opened(client, kinds=("a",)), opened(client)
        assert b"id: 1" in await anext(quiet)
        begun, unbegun = quiet._call, silent._call
        assert begun is not None
        assert unbegun is not None
        async with asyncio.timeout(10):
            while begun.waiting_since() <= begun.heard_at + 0.1:
                await asyncio.sleep(0.01)
        assert begun.waiting_since() == client.heard_at
        assert unbegun.waiting_since() == unbegun.heard_at
        quiet.cancel()
        silent.cancel()


async def test_closing_before_the_stream_began_ends_its_calls(relay: Any) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)

    async with relay(watch) as (client, _):
        call = opened(client)
        await client.close()
        with pytest.raises(errors.Unavailable):
            await asyncio.wait_for(text_of(call), 5)


async def test_a_late_call_is_counted_as_late(relay: Any) -> None:
    async def watch(request: Any) -> AsyncIterator[pb.WatchInvalidationsResponse]:
        yield numbered(1)
        await asyncio.sleep(60)

    def late() -> float:
        method = "gaji.cache.v1.CacheService/WatchInvalidations"
        labels = {"grpc_method": method, "grpc_status": "DEADLINE_EXCEEDED"}
        return REGISTRY.get_sample_value("grpc_server_call_duration_seconds_count", labels) or 0.0

    before = late()
    async with relay(watch) as (client, _):
        with pytest.raises(errors.DeadlineExceeded):
            await text_of(opened(client, timeout=0.1))
        await asyncio.wait_for(_until(lambda: late() == before + 1), 5)
