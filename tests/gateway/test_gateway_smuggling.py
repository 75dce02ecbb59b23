"""What two servers could read in two ways is refused, and no spelling of a path reaches another route."""

import asyncio
import json
import re
from contextlib import suppress

import pytest

from gateway.protocol import MAX_PIPELINED
from gateway.server import RunningGateway
from tests.gateway.conftest import Gateway
from tests.gateway.probe_servicer import Probe
from tests.gateway.raw_socket import connected

POST = b"POST /probe/measure HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"name":"abc"}'
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = CHUNKED.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
NEXT = b"GET /probe/me HTTP/1.1\r\nHost: x\r\n\r\n"  # what is smuggled: its answer would be 401

REFUSED = {
    "content-length and chunked": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "chunked and content-length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + CHUNK,
    "two lengths": POST + b"Content-Length: 14\r\nContent-Length: 3\r\n\r\n" + BODY,
    "the same length twice": POST + b"Content-Length: 14\r\nContent-Length: 14\r\n\r\n" + BODY,
    "a list of lengths": POST + b"Content-Length: 14, 14\r\n\r\n" + BODY,
    "a length with a sign": POST + b"Content-Length: +14\r\n\r\n" + BODY,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a hexadecimal length": POST + b"Content-Length: 0xe\r\n\r\n" + BODY,
    "an empty length": POST + b"Content-Length:\r\n\r\n" + BODY,
    "a length in two words": POST + b"Content-Length: 1 4\r\n\r\n" + BODY,
    "a length beyond all bounds": POST + b"Content-Length: 18446744073709551630\r\n\r\n" + BODY,
    "a folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "a folded length": POST + b"Content-Length:\r\n 14\r\n\r\n" + BODY,
    "a folded first header": b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n",
    "lines that end in LF": b"GET /health HTTP/1.1\nHost: x\n\n",
    "a header that ends in LF": GET + b"X-A: b\nX-B: c\r\n\r\n",
    "a CR in a header": GET + b"X-A: b\rX-B: c\r\n\r\n",
    "two CR at the end": GET + b"X-A: b\r\r\n\r\n",
    "a NUL in a header": GET + b"X-A: b\0c\r\n\r\n",
    "a control character in a header": GET + b"X-A: b\x01c\r\n\r\n",
    "a space before the colon": GET + b"X-A : b\r\n\r\n",
    "a space in a name": POST + b"Content Length: 14\r\n\r\n" + BODY,
    "a space before the colon of chunked": POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNK,
    "a header without a name": GET + b": b\r\n\r\n",
    "a name that is no token": GET + b"X(A): b\r\n\r\n",
    "another transfer coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNK,
    "one more transfer coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNK,
    "chunked and then another": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNK,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNK,
    "chunked behind a vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNK,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNK,
    "a chunk that ends in LF": CHUNKED + CHUNK.replace(b"e\r\n", b"e\n", 1),
    "chunk data that end in LF": CHUNKED + CHUNK.replace(b"}\r\n", b"}\n", 1),
    "a chunk extension that ends in LF": CHUNKED + CHUNK.replace(b"e\r\n", b"e;a\n", 1),
    "a chunk extension with a CR": CHUNKED + CHUNK.replace(b"e\r\n", b"e;a\rb\r\n", 1),
    "a negative chunk": CHUNKED + b"-" + CHUNK,
    "a chunk of 0x": CHUNKED + b"0x" + CHUNK,
    "a chunk beyond all bounds": CHUNKED + b"10000000000000000" + CHUNK,
    "a chunk longer than it says": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a trailer that is a length": CHUNKED + CHUNK[:-2] + b"Content-Length: 3\r\n\r\n",
    "chunk extensions without end": CHUNKED + b"1;" + b"a" * 1_000_000,
    "trailers without end": CHUNKED + CHUNK[:-2] + b"X-A: b\r\n" * 100_000,
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade to h2c": GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    "an upgrade to a WebSocket": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT with a path": b"CONNECT /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab in the first line": b"GET\t/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the target": b"GET /he\0alth HTTP/1.1\r\nHost: x\r\n\r\n",
    "a CR in the target": b"GET /he\ralth HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the target": b"GET /he\xc0\xafalth HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def answered(running: RunningGateway, *sent: bytes) -> bytes:
    """All that comes on a connection until the gateway closes it."""
    async with connected(running) as (reader, writer):
        for part in sent:
            writer.write(part)
            with suppress(ConnectionError):
                await writer.drain()
        return await reader.read()


def answers(received: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.1 \d", received))


@pytest.mark.not_through_edge("the edge's parser reads it; tests/edge counts what both make of it")
@pytest.mark.parametrize("how", REFUSED)
async def test_what_can_be_read_in_two_ways_is_400_and_the_end(running: RunningGateway, how: str) -> None:
    received = await answered(running, REFUSED[how] + NEXT)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), received
    assert b"connection: close" in head
    assert json.loads(body)["error"]["reason"] == "MALFORMED_REQUEST"
    assert answers(received) == 1  # nothing that came behind was answered


@pytest.mark.not_through_edge("the edge's parser reads it")
@pytest.mark.parametrize("how", ["chunk data that end in LF", "a folded header", "CONNECT"])
async def test_it_is_the_same_byte_by_byte(running: RunningGateway, how: str) -> None:
    async with connected(running) as (reader, writer):
        for byte in REFUSED[how]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert b" 400 " in await reader.readline()


async def test_a_bad_request_behind_a_good_one_ends_the_connection(running: RunningGateway) -> None:
    received = await answered(running, GET + b"\r\n" + REFUSED["two lengths"] + NEXT)
    assert b" 401 " not in received
    assert received.count(b"HTTP/1.1 200") <= 1


async def test_chunks_and_their_extensions_are_read_as_they_should_be(running: RunningGateway) -> None:
    for body in (
        CHUNK,
        CHUNK.replace(b"e\r\n", b"e;name=value\r\n", 1),
        b"1\r\n{\r\nd\r\n" + BODY[1:] + b"\r\n0\r\n\r\n",
    ):
        received = await answered(running, CLOSING + body)
        assert b" 200 " in received
        assert b'"times":3' in received.replace(b'"3"', b"3")


async def test_a_body_in_chunks_of_one_byte_is_a_body(running: RunningGateway) -> None:
    body = b'{"name":"' + b"a" * 20_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    assert b" 200 " in await answered(running, CLOSING + chunks)


async def test_a_trailer_is_no_header(gateway: Gateway) -> None:
    """In one segment with its request it would come before the request is looked at."""
    async with gateway(trusted_proxies=("127.0.0.1",), rate_limit=0.001, rate_burst=1) as (_, running):
        statuses = []
        for number in range(2):
            trailers = b"X-Forwarded-For: 192.0.2.%d\r\nAuthorization: Bearer x\r\n\r\n" % number
            received = await answered(running, CLOSING + CHUNK[:-2] + trailers)
            statuses.append(received[9:12])
    assert statuses == [b"200", b"429"]


@pytest.mark.not_through_edge("what is said of HTTP/1.0 is said by the edge: Envoy refuses it, nginx keeps it alive")
async def test_http_1_0_is_answered_once(running: RunningGateway) -> None:
    old = b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    received = await answered(running, old + NEXT)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in received
    assert answers(received) == 1


async def test_what_comes_behind_connection_close_is_not_answered(running: RunningGateway) -> None:
    received = await answered(running, GET + b"Connection: close\r\n\r\n" + NEXT)
    assert answers(received) == 1


@pytest.mark.parametrize("method", [b"TRACE", b"PROPFIND", b"PURGE"])
@pytest.mark.parametrize("path", [b"/health", b"/probe/echo", b"/nowhere"])
async def test_other_methods_are_refused(running: RunningGateway, method: bytes, path: bytes) -> None:
    sent = b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Secret: s3cret\r\n\r\n" % (method, path)
    received = await answered(running, sent)
    assert received.startswith((b"HTTP/1.1 404", b"HTTP/1.1 405"))
    assert b"s3cret" not in received


@pytest.mark.not_through_edge("the edge hands on requests that come in one line on connections of their own")
async def test_some_requests_may_wait_behind_one_and_not_any_number(running: RunningGateway) -> None:
    received = await answered(running, (GET + b"\r\n") * 20 + GET + b"Connection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200") == 21
    received = await answered(running, (GET + b"\r\n") * 5 * MAX_PIPELINED)
    assert received.count(b"HTTP/1.1 200") <= 1


PATHS = [
    "/probe/things/../me",
    "/probe/things/%2e%2e/me",
    "/probe/things/..%2fme",
    "/probe/things/%2E%2E%2Fme",
    "/probe/./me",
    "/probe/%2e/me",
    "//probe/me",
    "/probe//me",
    "/probe/me/",
    "/probe/me//",
    "/probe/me;x=1",
    "/probe;x=1/me",
    "/probe/me%00",
    "/probe/me%00.html",
    "/probe/me%20",
    "/probe%2fme",
    "/probe%5cme",
    "/probe\\me",
    "/probe/%c0%ae%c0%ae/me",
    "/probe/m%c1%a5",
    "/probe/%e0%80%af/me",
    "/probe/%u006de",
    "/probe/%6de%",
    "/PROBE/ME",
    "/probe/things/a/../../me",
    "/x/../probe/me",
    "/health/../probe/me",
    "/probe/\uff4de",
]
# Envoy makes them what they mean, as browsers do, before anybody routes: they are asked for as if spelled so.
RESOLVED = {0, 1, 4, 5, 17, 24, 25, 26}
BY_ENVOY = pytest.mark.not_through_edge("the edge resolves it before anybody routes", edge="envoy")


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[BY_ENVOY] if i in RESOLVED else [], id=str(i)) for i, p in enumerate(PATHS)]
)
async def test_no_spelling_of_a_path_reaches_another_route(running: RunningGateway, path: str) -> None:
    """GET /probe/me asks for a token; what is not that path does not."""
    sent = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    received = await answered(running, sent)
    assert received.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 405")), received


@pytest.mark.not_through_edge("a name of dots is resolved before anybody routes", edge="envoy")
async def test_a_segment_stays_one_whatever_is_in_it(running: RunningGateway, probe: Probe) -> None:
    for segment, name in (("..%2f..%2fme", "../../me"), ("%2e%2e", ".."), ("a;b=c", "a;b=c"), ("a%3Ashout", "a:shout")):
        probe.seen.clear()
        sent = f"DELETE /probe/things/{segment} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        assert b" 204 " in await answered(running, sent)
        assert [request.name for request in probe.seen] == [name]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/probe/things/" + "a" * 50_000, b"204"),
        ("/probe/things/" + "a" * 70_000, b"400"),
        ("/" + "a/" * 20_000, b"404"),
    ],
    ids=["long", "too long", "deep"],
)
async def test_a_url_has_an_end(running: RunningGateway, target: str, status: bytes) -> None:
    sent = f"DELETE {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert (await answered(running, sent)).startswith(b"HTTP/1.1 " + status)
