"""The status of the house: asked of real servers, told once and as a stream, to operators alone."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError

from gateway.bindings import routes_of
from gateway.config import GatewaySettings
from gateway.contract import Contract, load_contract
from gateway.openapi import openapi_document
from gateway.status.access import Operators
from gateway.status.watchers import MOST, Feed
from mesh.breaker import Breakers, BreakerSettings, State
from mesh.config import MeshSettings
from mesh.errors import PermissionDenied
from mesh.server import open_server
from mesh.telemetry.metrics import REGISTRY
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.probe_process import probe_process
from tests.gateway.probe_servicer import Probe, open_probe
from tests.gateway.sse_client import Event, Stream, open_stream

PATH, STREAM = "/api/status", "/api/status/stream"


async def report_of(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(PATH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    report: dict[str, Any] = answer.json()
    return report


def services_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{one['service']} {one['address']}": one for one in report["services"]}


async def next_event(stream: Stream) -> Event:
    async for event in stream.events():
        if event.name:
            return event
    raise AssertionError("the stream has ended")


async def test_the_report_tells_of_the_gateway_and_of_every_replica(
    gateway: Gateway, contract: Contract, mesh_settings: MeshSettings
) -> None:
    async with (
        open_probe(Probe(contract), mesh_settings) as one,
        open_probe(Probe(contract), mesh_settings) as other,
        gateway(probe_target=f"{one.address},{other.address}") as (client, _),
    ):
        async with asyncio.timeout(20):  # on a busy machine an answer may come too late for one report
            report = await report_of(client)
            while any(told["health"] == "UNREACHABLE" for told in report["services"]):
                await asyncio.sleep(0.1)
                report = await report_of(client)
        assert report["interval_seconds"] == 2.0
        own, *others = report["services"]
        assert (own["service"], own["health"], own["error"]) == ("gateway", "SERVING", "")
        assert own["status"]["health"] == "HEALTH_SERVING"
        assert [(told["service"], told["address"], told["health"]) for told in others] == [
            ("probe", one.address, "SERVING"),
            ("probe", other.address, "SERVING"),
        ]
        assert all(told["status"]["started_at"] and told["seconds"] > 0 for told in others)


async def test_a_replica_that_serves_nobody_is_asked_all_the_same(
    gateway: Gateway, contract: Contract, mesh_settings: MeshSettings
) -> None:
    async with (
        open_probe(Probe(contract), mesh_settings) as server,
        gateway(probe_target=server.address, status_seconds=0.02) as (client, _),
    ):
        await server.set_serving(False)
        told = services_of(await report_of(client))[f"probe {server.address}"]
        assert (told["health"], told["status"]["health"]) == ("NOT_SERVING", "HEALTH_NOT_SERVING")


async def test_who_does_not_answer_is_shown_as_such(
    gateway: Gateway, descriptors_file: Any, jwt_keys: Any, unused_tcp_port: int
) -> None:
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    async with probe_process(descriptors_file, jwt_keys.public) as frozen:
        frozen.freeze()
        async with gateway(probe_target=f"{nowhere},{frozen.address}", ready_seconds=0.3) as (client, _):
            told = services_of(await report_of(client))
            for address in (nowhere, frozen.address):
                one = told[f"probe {address}"]
                assert (one["health"], "status" in one) == ("UNREACHABLE", False)
                assert "does not answer" in one["error"]


async def test_a_release_that_tells_nothing_still_serves(
    gateway: Gateway, contract: Contract, mesh_settings: MeshSettings
) -> None:
    # A server with nothing of the mesh's.

    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with gateway(probe_target=f"127.0.0.1:{port}") as (client, _):
            told = services_of(await report_of(client))[f"probe 127.0.0.1:{port}"]
            assert (told["health"], "status" in told) == ("SERVING", False)
            assert "release" in told["error"]
    finally:
        await server.stop(0)


async def test_breakers_are_told(gateway: Gateway, contract: Contract, mesh_settings: MeshSettings) -> None:
    breakers = Breakers(BreakerSettings())
    breakers.gate("cache", [contract.pool.FindServiceByName("gaji.probe.v1.ProbeService")])
    breakers.force(State.FORCED_OPEN)
    async with (
        open_server(mesh_settings, [], name="probe", breakers=breakers) as server,
        gateway(probe_target=server.address) as (client, _),
    ):
        told = services_of(await report_of(client))[f"probe {server.address}"]["status"]["breakers"]
        assert {(one["peer"], one["state"]) for one in told} == {("cache", "BREAKER_STATE_FORCED_OPEN")}


async def test_a_stream_tells_it_again_and_again_and_all_watch_the_same(gateway: Gateway) -> None:
    async with gateway(status_seconds=0.05) as (client, running), AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(open_stream(running.address, STREAM, host="localhost")) for _ in range(3)
        ]
        assert all(stream.headers["content-type"] == "text/event-stream; charset=utf-8" for stream in streams)
        times = [[(await next_event(stream)).data["time"] for _ in range(6)] for stream in streams]
        assert all(told == sorted(told) for told in times)
        assert len({time for told in times for time in told}) < 18, "each was asked for once"
        event = await next_event(streams[0])
        assert (event.name, event.id) == ("status", "")
        assert services_of(event.data).keys() == services_of(await report_of(client)).keys()


async def test_nobody_is_asked_while_nobody_watches(gateway: Gateway) -> None:
    async with gateway(status_seconds=0.02) as (_, running):
        for _ in range(2):  # and it begins anew
            before = asked()
            async with open_stream(running.address, STREAM, host="localhost") as stream:
                for _ in range(3):
                    await next_event(stream)
            assert asked() > before
            seen = -1.0
            while seen != asked():
                seen = asked()
                await asyncio.sleep(0.2)


def asked() -> float:
    """How often the probe was asked."""
    labels = {"grpc_method": "gaji.mesh.v1.StatusService/GetStatus", "grpc_status": "OK"}
    return REGISTRY.get_sample_value("grpc_server_call_duration_seconds_count", labels) or 0.0


async def test_so_many_watch_and_no_more(gateway: Gateway) -> None:
    async with gateway(status_seconds=0.05) as (client, running), AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(open_stream(running.address, STREAM, host="localhost")) for _ in range(MOST)
        ]
        refused = await client.get(STREAM)
        assert (refused.status_code, error_of(refused)["reason"]) == (429, "TOO_MANY_STREAMS")
        await streams[0].close()
        while True:
            async with open_stream(running.address, STREAM, host="localhost") as stream:
                if stream.status == 200:
                    break
            await asyncio.sleep(0.02)


async def test_a_stream_ends_when_its_time_is_over_and_its_reader_comes_back(gateway: Gateway) -> None:
    async with (
        gateway(status_seconds=0.05, stream_timeout=0.3, sse_retry_ms=70) as (_, running),
        open_stream(running.address, STREAM, host="localhost") as stream,
    ):
        events = [event async for event in stream.events()]
    assert {event.name for event in events} == {"status", ""}
    assert events[-1].others == ["retry: 70"]


async def test_a_gateway_that_stops_lets_go_of_watchers(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        async with gateway(status_seconds=0.05) as (_, running):
            stream = await stack.enter_async_context(open_stream(running.address, STREAM, host="localhost"))
            await next_event(stream)
        assert "failed" not in {event.name for event in await stream.rest()}


class Slow:
    """A sink that takes nothing by itself."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def data(self, data: bytes) -> bool:
        self.got.append(data)
        return False

    def end(self, error: Any) -> None:
        raise AssertionError(error)


async def test_whoever_is_behind_gets_the_newest_alone() -> None:
    class Nobody:
        def enter(self, feed: Any) -> None:
            pass

        leave = enter

    nobody: Any = Nobody()
    feed, sink = Feed(nobody), Slow()
    feed.open(sink)
    for event in (b"one", b"two", b"three"):
        feed.put(event)
    assert sink.got == [b"one"]
    feed.taken(3)
    feed.put(b"four")
    assert sink.got == [b"one", b"four"]
    feed.cancel()
    feed.taken(4)
    feed.put(b"five")
    assert sink.got == [b"one", b"four"]


async def test_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    for path in (PATH, STREAM):
        answer = await client.post(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


LOOPBACK = ("127.0.0.0/8", "::1/128")
WIDE = (*LOOPBACK, "10.0.0.0/8", "2001:db8::/32")


def asks(client: str, peer: str = "", **headers: str) -> Any:
    """A request from somewhere, which came over a connection of somebody's."""
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in {"host": "localhost", **headers}.items()}
    return SimpleNamespace(
        client=client, peer=peer or client, headers=sent, header=lambda name: sent.get(name, b"").decode()
    )


@pytest.mark.parametrize(
    ("networks", "request_"),
    [
        (LOOPBACK, asks("127.0.0.1")),
        (LOOPBACK, asks("127.9.9.9", host="127.0.0.1:8080")),
        (LOOPBACK, asks("::1", host="[::1]:8080")),
        (LOOPBACK, asks("::1", "::ffff:127.0.0.1")),
        (LOOPBACK, asks("127.0.0.1", sec_fetch_site="same-origin")),
        (LOOPBACK, asks("127.0.0.1", sec_fetch_site="none")),
        (WIDE, asks("10.1.2.3", host="gaji.example")),
        (WIDE, asks("10.1.2.3", "10.0.0.7", x_forwarded_for="10.1.2.3", host="gaji.example")),
        (WIDE, asks("2001:db8::7", host="gaji.example")),
    ],
    ids=range(9),
)
def test_operators_are_let_in(networks: tuple[str, ...], request_: Any) -> None:
    Operators(networks).check(request_)


@pytest.mark.parametrize(
    ("networks", "request_", "says"),
    [
        (LOOPBACK, asks("203.0.113.9"), "203.0.113.9 is not in GAJI_OPERATOR_NETWORKS"),
        (LOOPBACK, asks("10.1.2.3"), "GAJI_OPERATOR_NETWORKS"),
        (LOOPBACK, asks("unknown", "/run/socket"), "GAJI_OPERATOR_NETWORKS"),
        ((), asks("127.0.0.1"), "GAJI_OPERATOR_NETWORKS"),
        (LOOPBACK, asks("127.0.0.1", x_forwarded_for="127.0.0.1"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("127.0.0.1", x_forwarded_for="203.0.113.9"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("127.0.0.1", forwarded="for=127.0.0.1"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("127.0.0.1", x_real_ip="127.0.0.1"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("127.0.0.1", via="1.1 somebody"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("127.0.0.1", "::ffff:127.0.0.1", x_forwarded_for="x"), "GAJI_TRUSTED_PROXIES"),
        (LOOPBACK, asks("203.0.113.9", "127.0.0.1", x_forwarded_for="203.0.113.9"), "GAJI_OPERATOR_NETWORKS"),
        (LOOPBACK, asks("127.0.0.1", "10.0.0.7", x_forwarded_for="127.0.0.1"), "hearsay"),
        (LOOPBACK, asks("127.0.0.1", host="rebound.example"), "localhost"),
        (LOOPBACK, asks("127.0.0.1", host=""), "localhost"),
        (LOOPBACK, asks("127.0.0.1", host="[::1"), "localhost"),
        (LOOPBACK, asks("127.0.0.1", sec_fetch_site="cross-site"), "other origins"),
        (WIDE, asks("10.1.2.3", sec_fetch_site="same-site"), "other origins"),
    ],
    ids=range(17),
)
def test_nobody_else_is(networks: tuple[str, ...], request_: Any, says: str) -> None:
    with pytest.raises(PermissionDenied, match=says) as caught:
        Operators(networks).check(request_)
    assert caught.value.reason in {"NOT_AN_OPERATOR", "CROSS_SITE"}


@pytest.mark.not_through_edge("the edge is a proxy that is known")
async def test_a_proxy_is_seen_through(gateway: Gateway) -> None:
    said = {"x-forwarded-for": "203.0.113.9"}
    async with gateway() as (client, _):
        for path in (PATH, STREAM):
            answer = await client.get(path, headers=said)
            assert (answer.status_code, error_of(answer)["reason"]) == (403, "NOT_AN_OPERATOR")
            assert "GAJI_TRUSTED_PROXIES" in error_of(answer)["message"]
    async with gateway(trusted_proxies=("127.0.0.1",)) as (client, _):
        answer = await client.get(PATH, headers=said)
        assert answer.status_code == 403
        assert "GAJI_OPERATOR_NETWORKS" in error_of(answer)["message"]
    async with gateway(trusted_proxies=("127.0.0.1",), operator_networks=("203.0.113.0/24",)) as (client, _):
        assert (await client.get(PATH, headers=said)).status_code == 200
        assert (await client.get(PATH)).status_code == 403


@pytest.mark.parametrize(
    ("value", "networks"),
    [("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")), ("none", ()), ("", ("127.0.0.0/8", "::1/128"))],
)
def test_networks_come_from_the_environment(
    value: str, networks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAJI_OPERATOR_NETWORKS", value)
    assert GatewaySettings().operator_networks == networks


@pytest.mark.parametrize("value", ["office", "10.0.0.1/8", "none, 10.0.0.0/8"])
def test_networks_that_are_none_are_refused_at_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAJI_OPERATOR_NETWORKS", value)
    with pytest.raises(ValidationError, match="operator_networks"):
        GatewaySettings()


def test_the_document_describes_the_report_with_the_meshs_own_words() -> None:
    contract = load_contract()
    document = openapi_document(contract, routes_of(contract))
    OpenAPIV31SpecValidator(document).validate()
    schemas = document["components"]["schemas"]
    told = schemas["StatusReport"]["properties"]["services"]["items"]["properties"]
    assert told["status"] == {"$ref": "#/components/schemas/Status"}
    assert "active_streams" in schemas["Status"]["properties"]
    assert set(document["paths"][PATH]["get"]["responses"]) == {"200", "403"}
    stream = document["paths"][STREAM]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert stream["x-events"] == {"status": {"$ref": "#/components/schemas/StatusReport"}}
