"""Streams whose service goes away in the middle, over the relay and over calls of their own."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.contract import Contract
from gateway.server import RunningGateway
from mesh.config import MeshSettings
from mesh.server import MeshServer
from mesh.telemetry.metrics import REGISTRY
from tests.fixtures.otlp import Recording
from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway, ProbeSettings, error_of, gateway_factory
from tests.gateway.probe_process import probe_process
from tests.gateway.probe_servicer import Probe, cursor, open_probe
from tests.gateway.sse_client import Event, Stream, open_stream
from tests.gateway.waiting import until

STEADY = "/probe/watch?to=200&interval_ms=10"


@pytest.fixture(scope="module", params=[True, False], ids=["relay", "plain"])
def settings(settings: ProbeSettings, request: pytest.FixtureRequest) -> ProbeSettings:
    return settings.model_copy(update={"relay": request.param, "retries": False})


@pytest.fixture(scope="module")
def gateway(settings: ProbeSettings) -> Gateway:
    return gateway_factory(settings)


@pytest.fixture(scope="module")
async def running(gateway: Gateway) -> AsyncIterator[RunningGateway]:
    async with gateway() as (_, running):
        yield running


class Replica:
    """A probe's server in this process, which can be stopped."""

    def __init__(self, probe: Probe, server: MeshServer, stack: AsyncExitStack) -> None:
        self.probe = probe
        self.address = server.address
        self._stack = stack

    async def stop(self) -> None:
        await self._stack.aclose()


Replicas = Callable[[int], Any]


@pytest.fixture
async def replicas(contract: Contract, mesh_settings: MeshSettings) -> Replicas:
    """Opens so many servers."""

    @asynccontextmanager
    async def run(count: int) -> AsyncIterator[list[Replica]]:
        opened = []
        async with AsyncExitStack() as all_of_them:
            for _ in range(count):
                stack = await all_of_them.enter_async_context(AsyncExitStack())
                probe = Probe(contract)
                server = await stack.enter_async_context(
                    open_probe(probe, mesh_settings.model_copy(update={"drain_seconds": 0.1}))
                )
                opened.append(Replica(probe, server, stack))
            yield opened

    return run


def target(replicas: list[Replica]) -> str:
    return ",".join(replica.address for replica in replicas)


def exact(events: list[Event], to: int, first: int = 1) -> None:
    """Every number once, in order, with its own id, and the end."""
    assert [event.data for event in events[:-1]] == [{"content": str(number)} for number in range(first, to + 1)]
    assert [event.id for event in events] == [cursor(number) for number in range(first, to + 2)]
    assert events[-1].name == "complete"


def resumes() -> float:
    return REGISTRY.get_sample_value("gaji_sse_resumes_total", {"room": "probe"}) or 0.0


async def after_some(stream: Stream, count: int, reached: asyncio.Event) -> list[Event]:
    """All of a stream's events; says when so many have come."""
    events = []
    async for event in stream.events():
        if event.name:
            events.append(event)
        if len(events) == count:
            reached.set()
    return events


async def test_killing_a_replica_is_not_seen_by_any_reader(
    gateway: Gateway, descriptors_file: Path, jwt_keys: Any
) -> None:
    before = resumes()
    async with (
        probe_process(descriptors_file, jwt_keys.public) as first,
        probe_process(descriptors_file, jwt_keys.public) as second,
        gateway(probe_target=f"{first.address},{second.address}") as (client, running),
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        await until_ready(client)
        reached = [asyncio.Event() for _ in range(20)]
        readings = []
        for number in range(20):
            stream = await stack.enter_async_context(open_stream(running.address, STEADY))
            readings.append(tasks.create_task(after_some(stream, 20 + number, reached[number])))
        for event in reached:
            await event.wait()
        await first.kill()
        for reading in readings:
            exact(await reading, 200)
    assert resumes() > before


async def until_ready(client: httpx.AsyncClient) -> None:
    """Connections to all replicas are there."""
    async with asyncio.timeout(10):
        while (await client.get("/ready")).status_code != 200:
            await asyncio.sleep(0.02)


async def test_a_replica_that_is_killed_and_comes_back_is_waited_for(
    gateway: Gateway, descriptors_file: Path, jwt_keys: Any, unused_tcp_port: int
) -> None:
    listen = f"127.0.0.1:{unused_tcp_port}"
    async with gateway(probe_target=listen, heartbeat_seconds=0.1) as (client, running), AsyncExitStack() as stack:
        async with probe_process(descriptors_file, jwt_keys.public, listen=listen) as first:
            await until_ready(client)
            stream = await stack.enter_async_context(open_stream(running.address, STEADY))
            blocks: list[Event] = []
            reading = stream.events()
            while len(blocks) < 30:
                blocks.append(await anext(reading))
            await first.kill()
        while blocks[-1].others != [":"]:  # until the silence is seen
            blocks.append(await anext(reading))
        async with probe_process(descriptors_file, jwt_keys.public, listen=listen):
            blocks += [block async for block in reading]
    exact([block for block in blocks if block.name], 200)


async def test_a_server_that_stops_hands_its_streams_on(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, running):
        await until_ready(client)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            reached = [asyncio.Event() for _ in range(6)]
            readings = []
            for event in reached:
                stream = await stack.enter_async_context(open_stream(running.address, STEADY))
                readings.append(tasks.create_task(after_some(stream, 20, event)))
            for event in reached:
                await event.wait()
            await both[0].stop()
            for reading in readings:
                exact(await reading, 200)
        assert both[1].probe.seen[-1].after or not both[0].probe.seen


async def test_many_events_in_one_block_and_events_without_id_do_no_harm(gateway: Gateway, replicas: Replicas) -> None:
    path = "/probe/watch?to=4000&unmarked=3"
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, running):
        await until_ready(client)
        async with open_stream(running.address, path + "&padding=1000", limit=2**14) as stream:
            reading = stream.events()
            events = [await anext(reading) for _ in range(10)]
            for replica in both:
                if replica.probe.streams:
                    await replica.stop()
                    break
            events += [event async for event in reading]
    tokens = [event for event in events if event.name == "token"]
    assert [event.id for event in tokens] == [cursor(number) for number in range(1, 4001)]
    others = [event.id for event in events if event.name == "progress"]
    assert set(others) == {""}
    assert len(others) in {1332, 1333}, "where it broke there is no place to go on from between the two"


async def test_a_request_whose_replica_dies_before_it_answers_is_repeated(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, _):
        await until_ready(client)
        for replica in both:
            replica.probe.gate.clear()
        answering = asyncio.create_task(client.post("/probe/watch", json={"to": 1}))
        await until(lambda: any(replica.probe.streams for replica in both))
        asked, other = sorted(both, key=lambda replica: not replica.probe.streams)
        other.probe.gate.set()
        await asked.stop()
        answer = await answering
    assert answer.status_code == 200
    assert answer.text.count("event: ") == 2
    keys = {request.request_id for replica in both for request in replica.probe.seen}
    assert len(keys) == 1, "the two are one"
    assert len(keys.pop()) == 32


async def test_a_room_s_own_word_is_passed_on_at_once(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(1) as (replica,), gateway(probe_target=replica.address) as (client, running):
        answer = await client.get("/probe/watch?fail_with=14&reason=MODEL_UNREACHABLE")
        assert (answer.status_code, error_of(answer)["reason"]) == (503, "MODEL_UNREACHABLE")
        assert (await client.get("/probe/watch?fail_with=5&reason=REPLICA_STOPS")).status_code == 404
        async with open_stream(running.address, "/probe/watch?to=1&fail_with=14&reason=LOG_UNAVAILABLE") as stream:
            events = await stream.rest()
        assert (events[-1].name, events[-1].id) == ("failed", "")
        assert len(replica.probe.seen) == 3, "none was asked again"


@pytest.mark.parametrize("reason", ["UNAVAILABLE", "REPLICA_STOPS", "DRAINING", "RELAY_CLOSED", "PROBE_UNAVAILABLE"])
async def test_what_nobody_decided_is_tried_until_the_time_is_over(
    gateway: Gateway, replicas: Replicas, reason: str
) -> None:
    async with replicas(1) as (replica,), gateway(probe_target=replica.address, resume_seconds=0.4) as (_, running):
        async with open_stream(running.address, f"/probe/watch?to=2&fail_with=14&reason={reason}") as stream:
            events = await stream.rest()
        assert [event.name for event in events] == ["token", "token", "failed"]
        assert events[-1].data["code"] == "UNAVAILABLE"
        assert events[-1].data["retryable"] is True
        assert events[-1].id == ""
        afters = [request.after for request in replica.probe.seen]
        assert len(afters) >= 3
        assert afters == ["", *[cursor(2)] * (len(afters) - 1)]


async def test_a_replica_that_stops_is_not_asked_again_while_there_is_another(
    gateway: Gateway, replicas: Replicas
) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both), resume_seconds=2) as (client, running):
        await until_ready(client)
        async with open_stream(running.address, "/probe/watch?to=2&fail_with=14&reason=REPLICA_STOPS") as stream:
            await stream.rest()
        counts = sorted(len(replica.probe.seen) for replica in both)
    assert counts[0] >= 2
    assert counts[1] - counts[0] <= 2, "they take turns, once all connections are there"


async def test_a_repeated_call_is_its_reader_s_own(gateway: Gateway, replicas: Replicas, bearer: Bearer) -> None:
    path = "/probe/watch?to=2&fail_with=14&reason=REPLICA_STOPS"
    users = [str(uuid.uuid4()) for _ in range(3)]

    async def read(address: str, user: str) -> None:
        async with open_stream(address, path, f"Authorization: Bearer {bearer(user)}") as stream:
            await stream.rest()

    async with replicas(1) as (replica,), gateway(probe_target=replica.address, resume_seconds=0.5) as (_, running):
        await asyncio.gather(*(read(running.address, user) for user in users))
        counts = Counter(replica.probe.watchers)
    assert set(counts) == set(users)
    assert min(counts.values()) >= 3


async def test_without_any_replica_the_answer_is_503_when_the_time_is_over(
    gateway: Gateway, unused_tcp_port: int
) -> None:
    async with gateway(probe_target=f"127.0.0.1:{unused_tcp_port}", resume_seconds=0.3) as (client, _):
        answer = await client.get("/probe/watch?to=1")
        assert (answer.status_code, error_of(answer)["reason"]) == (503, "PROBE_UNAVAILABLE")
        assert (await client.get("/probe/count?to=1")).status_code == 503


async def test_a_stream_that_is_not_marked_ends_with_its_call(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, running):
        await until_ready(client)
        async with open_stream(running.address, "/probe/count?to=1000&interval_ms=10") as stream:
            reading = stream.events()
            events = [await anext(reading) for _ in range(3)]
            for replica in both:
                if replica.probe.streams:
                    await replica.stop()
                    break
            events += [event async for event in reading]
    assert events[-1].name == "failed"


async def test_a_key_alone_repeats_only_what_has_not_been_answered(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, running):
        await until_ready(client)
        for replica in both:
            replica.probe.gate.clear()
        async with open_stream(running.address, "/probe/count-once?key=k1") as stream:
            reading = stream.events()
            assert [(await anext(reading)).name for _ in range(2)] == ["", "token"]
            asked = next(replica for replica in both if replica.probe.seen)
            await asked.stop()
            assert [event.name async for event in reading] == ["failed"]
    assert sum(len(replica.probe.seen) for replica in both) == 1


async def test_a_unary_call_with_a_key_is_repeated_too(gateway: Gateway, replicas: Replicas) -> None:
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, _):
        await until_ready(client)
        for replica in both:
            replica.probe.gate.clear()
        answering = asyncio.create_task(client.post("/probe/make", json={"name": "a"}))
        await until(lambda: any(replica.probe.seen for replica in both))
        asked, other = sorted(both, key=lambda replica: not replica.probe.seen)
        other.probe.gate.set()
        await asked.stop()
        answer = await answering
        assert answer.status_code == 200
        assert answer.json()["key"] == asked.probe.seen[0].key == other.probe.seen[0].key != ""


async def test_the_end_of_a_stream_is_204(running: RunningGateway, gateway: Gateway) -> None:
    async with open_stream(running.address, "/probe/watch?to=3", f"Last-Event-ID: {cursor(4)}") as stream:
        assert stream.status == 204
        assert "content-length" not in stream.headers
        assert "content-type" not in stream.headers
        assert stream.headers["cache-control"] == "no-store"
    async with gateway(first_event_seconds=0.05) as (_, slow):
        path = f"/probe/watch?to=3&wait_ms=500&after={cursor(4)}"
        async with open_stream(slow.address, path) as stream:
            assert stream.status == 200
            assert [event.others async for event in stream.events()] == [["retry: 2000"]]


async def test_last_event_id_goes_before_the_query(running: RunningGateway, probe: Probe) -> None:
    path = f"/probe/watch?to=9&after={cursor(2)}"
    async with open_stream(running.address, path, f"Last-Event-ID: {cursor(5)}") as stream:
        exact(await stream.rest(), 9, first=6)
    for header in ("Last-Event-ID:", "Last-Event-ID:   ", "X-Other: 1"):
        async with open_stream(running.address, path, header) as stream:
            exact(await stream.rest(), 9, first=3)
    async with open_stream(running.address, "/probe/count?to=1", "Last-Event-ID: anything") as stream:
        assert len(await stream.rest()) == 2, "no field is marked there"


async def test_a_header_that_is_no_text_names_itself(running: RunningGateway) -> None:
    host, _, port = running.address.rpartition(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"GET /probe/watch?to=9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLast-Event-ID: \xff\xfe\r\n\r\n"
        writer.write(head)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert b" 400 " in received.partition(b"\r\n")[0]
    assert b'"after":"the header Last-Event-ID is not UTF-8' in received


async def test_a_cursor_of_another_stream_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/watch?to=1", headers={b"Last-Event-ID": "gibberish-가".encode()})
    assert answer.status_code == 400
    assert error_of(answer)["fields"] == {"after": "is none"}


async def test_a_key_is_made_for_each_request_that_has_none(client: httpx.AsyncClient) -> None:
    keys = [(await client.post("/probe/make", json={"name": "a"})).json()["key"] for _ in range(3)]
    assert len(set(keys)) == 3
    assert all(len(key) == 32 and int(key, 16) for key in keys)
    assert (await client.post("/probe/make", json={"key": "mine"})).json()["key"] == "mine"


async def test_the_trace_of_a_stream_shows_all_of_its_calls(
    gateway: Gateway, replicas: Replicas, recorded: Recording
) -> None:
    trace_id = uuid.uuid4().hex
    header = f"traceparent: 00-{trace_id}-{'a' * 16}-00"
    async with replicas(2) as both, gateway(probe_target=target(both)) as (client, running):
        await until_ready(client)
        async with open_stream(running.address, STEADY, header) as stream:
            reading = stream.events()
            events = [await anext(reading) for _ in range(10)]
            stopped = next(replica for replica in both if replica.probe.streams)
            await stopped.stop()
            events += [event async for event in reading]
        await until(lambda: any(span.parent_id == "a" * 16 for span in recorded.ended(trace_id)))
        spans = recorded.ended(trace_id)
    (request,) = (span for span in spans if span.parent_id == "a" * 16)
    assert request.event_names == ["first event", "resumed"]
    assert request.attributes["gaji.stream.events"] == len([event for event in events if event.name])
    calls = [span for span in spans if span.kind == "CLIENT"]
    assert [span.failed for span in calls] == [True, False]
    assert {span.parent_id for span in calls} == {request.span_id}
    assert all(span.event_names == ["first message"] for span in calls)
    answers = [span for span in spans if span.parent_id in {call.span_id for call in calls}]
    assert [span.kind for span in answers] == ["SERVER", "SERVER"]
