"""TLS, HTTP/2 and HTTP/3 in front of a gateway that speaks HTTP/1.1."""

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived

from gateway.edge import Tls
from gateway.server import open_gateway
from tests.edge.h3_client import h3_client
from tests.fixtures.edge import SOURCE, Edge, free_port, open_edge
from tests.fixtures.servers import Bearer
from tests.gateway.conftest import ProbeSettings, error_of
from tests.gateway.probe_servicer import Probe, cursor
from tests.gateway.waiting import until

COOKIE = "__Host-gaji_access_token"
IDS = [f"id: {cursor(number)}" for number in range(1, 22)]
STREAM = "/probe/watch?to=20&interval_ms=10"


@asynccontextmanager
async def secure(settings: ProbeSettings, kind: str, tls: Tls) -> AsyncIterator[Edge]:
    settings = settings.model_copy(update={"cookie_secure": True, "trusted_proxies": (SOURCE,)})
    changes = {"tls": tls, "port": free_port(), "redirect_port": free_port(), "hosts": ("localhost",)}
    async with open_gateway(settings) as running:
        async with open_edge(kind, [running.address], settings, http3=kind == "envoy", **changes) as edge:
            yield edge


@pytest.fixture(scope="module")
async def site(settings: ProbeSettings, kind: str, tls: Tls) -> AsyncIterator[Edge]:
    async with secure(settings, kind, tls) as edge:
        yield edge


@pytest.fixture(scope="module")
async def quic_site(settings: ProbeSettings, tls: Tls) -> AsyncIterator[Edge]:
    async with secure(settings, "envoy", tls) as edge:
        yield edge


def trusting(tls: Tls) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tls.certificate)


@asynccontextmanager
async def browser(site: Edge, tls: Tls, *, http2: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    url = f"https://localhost:{site.front.port}"
    context = await asyncio.to_thread(trusting, tls)
    async with httpx.AsyncClient(base_url=url, verify=context, http2=http2, trust_env=False, timeout=20) as client:
        yield client


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
async def test_requests_and_streams_pass(site: Edge, tls: Tls, bearer: Bearer, http2: bool) -> None:
    async with browser(site, tls, http2=http2) as client:
        answer = await client.get("/probe/me", headers={"authorization": f"Bearer {bearer('u-1')}"})
        assert (answer.json()["user_id"], answer.http_version) == ("u-1", "HTTP/2" if http2 else "HTTP/1.1")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert ("alt-svc" in answer.headers) == site.front.http3
        async with client.stream("GET", STREAM) as stream:
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert "content-encoding" not in stream.headers
            assert [line async for line in stream.aiter_lines() if line.startswith("id: ")] == IDS
        async with client.stream("GET", "/probe/watch?to=20", headers={"last-event-id": cursor(18)}) as stream:
            assert [line async for line in stream.aiter_lines() if line.startswith("id: ")] == IDS[18:]


async def test_many_streams_share_a_connection(site: Edge, tls: Tls) -> None:
    async def ids(client: httpx.AsyncClient) -> list[str]:
        async with client.stream("GET", STREAM) as stream:
            return [line async for line in stream.aiter_lines() if line.startswith("id: ")]

    async with browser(site, tls) as client:
        assert (await client.get("/probe/anybody")).status_code == 200
        results = await asyncio.gather(*(ids(client) for _ in range(20)))
    assert results == [IDS] * 20


async def test_a_stream_that_is_left_is_ended_and_its_connection_goes_on(site: Edge, tls: Tls, probe: Probe) -> None:
    """What a browser does with a tab of several that is closed."""
    await until(lambda: probe.streams == 0)
    context = await asyncio.to_thread(trusting, tls)
    context.set_alpn_protocols(["h2"])
    http = H2Connection(H2Configuration(client_side=True))

    def ask(stream: int, path: str) -> None:
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        http.send_headers(stream, head, end_stream=True)

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", site.front.port, ssl=context, server_hostname="localhost"
    )
    try:
        http.initiate_connection()
        ask(1, "/probe/watch?to=1000&interval_ms=1000")
        writer.write(http.data_to_send())
        await until(lambda: probe.streams == 1)
        http.reset_stream(1, ErrorCodes.CANCEL)
        writer.write(http.data_to_send())
        await until(lambda: probe.streams == 0, 5)
        ask(3, "/probe/anybody")
        writer.write(http.data_to_send())
        body = b""
        async with asyncio.timeout(10):
            while b'"nobody"' not in body:
                events = http.receive_data(await reader.read(65536))
                body += b"".join(event.data for event in events if isinstance(event, DataReceived))
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def test_cookies_in_several_fields_are_one_and_origins_are_known(site: Edge, tls: Tls, bearer: Bearer) -> None:
    """HTTP/2 may split Cookie (RFC 9113, section 8.2.3); the gateway compares Origin with Host, the port included."""
    mine = [("cookie", f"{COOKIE}={bearer('u-2')}"), ("cookie", "theme=dark")]
    async with browser(site, tls) as client:
        assert (await client.get("/probe/me", headers=mine)).json()["user_id"] == "u-2"
        own, foreign = f"https://localhost:{site.front.port}", "https://localhost:1"
        for origin, status in ((own, 200), (foreign, 403)):
            answer = await client.post("/probe/calls", json={"name": "x"}, headers=[*mine, ("origin", origin)])
            assert answer.status_code == status
        opened = await client.post("/probe/session", json={"refresh_token": "r1"})
        assert "Secure" in opened.headers["set-cookie"]


async def test_old_tls_is_refused(site: Edge, tls: Tls) -> None:
    def shake(version: ssl.TLSVersion) -> str | None:
        context = trusting(tls)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is what is tried
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", site.front.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as made:
                return made.version()

    assert await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_1)


async def test_another_name_is_not_answered(site: Edge, tls: Tls) -> None:
    async with browser(site, tls) as client:
        answer = await client.get("/probe/anybody", headers={"host": "elsewhere.example"})
    assert answer.status_code == 421
    if site.kind == "envoy":  # nginx answers before it knows where, in words of its own
        assert error_of(answer)["reason"] == "HOST_NOT_FOUND"


async def test_plain_http_leads_to_https(site: Edge) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        answer = await client.get(f"http://localhost:{site.front.redirect_port}/probe/anybody?a=b")
    assert (answer.status_code, answer.headers["location"]) == (
        308,
        f"https://localhost:{site.front.port}/probe/anybody?a=b",
    )


async def test_http3_carries_requests_streams_and_cookies(
    quic_site: Edge, tls: Tls, bearer: Bearer, probe: Probe
) -> None:
    authority = f"localhost:{quic_site.front.port}"
    async with browser(quic_site, tls) as client:
        offered = (await client.get("/probe/anybody")).headers["alt-svc"]
    assert offered == f'h3=":{quic_site.front.port}"; ma=86400'

    async def text(answer: tuple[dict[str, str], AsyncIterator[bytes]]) -> tuple[dict[str, str], str]:
        head, parts = answer
        return head, b"".join([part async for part in parts]).decode()

    async with h3_client(quic_site.front.port, tls.certificate) as quic:
        mine = [("cookie", f"{COOKIE}={bearer('u-3')}"), ("cookie", "theme=dark")]
        head, body = await text(await quic.ask(authority, "/probe/me", mine))
        assert (head[":status"], '"u-3"' in body) == ("200", True)
        head, body = await text(await quic.ask(authority, STREAM))
        assert head["content-type"] == "text/event-stream; charset=utf-8"
        assert [line for line in body.splitlines() if line.startswith("id: ")] == IDS
        sent: Any = [*mine, ("content-type", "application/json"), ("origin", f"https://{authority}")]
        head, body = await text(await quic.ask(authority, "/probe/calls", sent, "POST", b'{"name": "x"}'))
        assert head[":status"] == "200"
    await until(lambda: probe.streams == 0)
