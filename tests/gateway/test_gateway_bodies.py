import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.server import RunningGateway
from tests.gateway.conftest import Gateway, error_of

JSON = {"content-type": "application/json"}


async def slowly(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", ""]
)
async def test_a_body_must_be_json(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/probe/echo", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.headers["accept"] == "application/json"
    assert error_of(answer)["reason"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", content=b"{}", headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; Charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_by_its_other_spellings(client: httpx.AsyncClient, kind: str) -> None:
    assert (await client.post("/probe/echo", content=b"{}", headers={"content-type": kind})).status_code == 200


async def test_no_body_is_an_empty_request(client: httpx.AsyncClient) -> None:
    assert (await client.post("/probe/echo")).status_code == 200


@pytest.mark.parametrize(
    "body", [b"{", b"{'a': 1}", b'{"string_value": "a" ', b"{}{}", b"NaN", b'{"double_value": NaN}', b"\xef\xbb\xbf{}"]
)
async def test_broken_json_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/probe/echo", content=body, headers=JSON)
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_JSON")


async def test_invalid_utf8_is_400_and_names_the_field_and_the_byte(client: httpx.AsyncClient) -> None:
    body = b'{"child_list": [{"name": "caf\xe9"}]}'
    answer = await client.post("/probe/echo", content=body, headers=JSON)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["reason"] == "INVALID_UTF8"
    place = body.index(b"\xe9")
    assert error["fields"] == {"child_list[0].name": f"holds bytes that are not UTF-8 at byte {place}"}


async def test_invalid_utf8_in_what_is_no_json_either_names_the_byte(client: httpx.AsyncClient) -> None:
    error = error_of(await client.post("/probe/echo", content=b"\xff{", headers=JSON))
    assert error["reason"] == "INVALID_UTF8"
    assert "at byte 0" in error["message"]


async def test_a_lone_surrogate_is_400_and_names_the_field(client: httpx.AsyncClient) -> None:
    body = b'{"string_map": {"a": "\\ud83d\\ude00", "b": "x\\ud800y"}}'
    error = error_of(await client.post("/probe/echo", content=body, headers=JSON))
    assert error["reason"] == "INVALID_JSON"
    assert list(error["fields"]) == ["string_map.b"]
    assert "surrogate" in error["message"]


async def test_a_body_where_none_is_taken_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.request("DELETE", "/probe/things/x", content=b"{}", headers=JSON)
    assert answer.status_code == 400
    assert error_of(answer)["reason"] == "BODY_NOT_ALLOWED"


async def test_a_body_over_the_limit_is_413_before_it_is_sent(running: RunningGateway) -> None:
    host, _, port = running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"POST /probe/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
    async with asyncio.timeout(10):
        received = await reader.read()
    assert received.startswith(b"HTTP/1.1 413")
    assert b"BODY_TOO_LARGE" in received
    writer.close()
    await writer.wait_closed()


@pytest.mark.not_through_edge("over HTTP/1.1 Envoy does not read on after a refusal", edge="envoy")
async def test_a_large_body_gets_its_413_though_it_is_still_being_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", content=b" " * 5_000_000, headers=JSON)
    assert answer.status_code == 413
    assert "1,048,576" in error_of(answer)["message"]


async def test_a_chunked_body_is_counted_while_it_comes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/echo", content=slowly(*[b" " * 100_000] * 12), headers=JSON)
    assert answer.status_code == 413
    answer = await client.post("/probe/echo", content=slowly(b'{"string', b'_value": "', b'a"}'), headers=JSON)
    assert answer.json()["string_value"] == "a"


async def test_the_policy_may_allow_more(client: httpx.AsyncClient) -> None:
    assert (await client.post("/probe/measure", json={"name": "x" * 2_500_000})).json() == {"times": "2500000"}
    assert (await client.post("/probe/measure", json={"name": "x" * 3_000_001})).status_code == 413


async def test_what_no_peer_would_take_is_413(gateway: Gateway) -> None:
    async with gateway(max_message_bytes=1000) as (client, _):
        answer = await client.post("/probe/echo", json={"string_value": "x" * 2000})
        assert answer.status_code == 413
        assert error_of(answer)["reason"] == "BODY_TOO_LARGE"


async def test_a_body_that_does_not_come_is_408(gateway: Gateway) -> None:
    async with gateway(body_seconds=0.2) as (_, running):
        host, _, port = running.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"POST /probe/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: 10\r\n\r\n{")
        async with asyncio.timeout(10):
            received = await reader.read()
        assert received.startswith(b"HTTP/1.1 408")
        assert b"BODY_TOO_SLOW" in received
        writer.close()
        await writer.wait_closed()


async def test_a_query_that_is_too_long_is_414(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/echo?string_value=" + "x" * 62_000)
    assert answer.status_code == 414
    assert error_of(answer)["reason"] == "QUERY_TOO_LONG"


def test_the_limit_for_a_novel_leaves_room_for_its_escapes() -> None:
    assert GatewaySettings().max_message_bytes > 9 * 1024 * 1024


async def test_a_file_is_sent_as_it_is(client: httpx.AsyncClient) -> None:
    file = bytes(range(256)) * 3
    for kind in ("application/epub+zip", "application/octet-stream", "text/plain; charset=latin-1", ""):
        sent = await client.post("/probe/file", params={"name": "a b"}, content=file, headers={"content-type": kind})
        assert (sent.status_code, sent.json()["size"], sent.json()["name"]) == (200, len(file), "a b")
    empty = await client.post("/probe/file", params={"name": "nothing"})
    assert empty.json() == {"name": "nothing", "size": 0}
    packed = await client.post("/probe/file", content=file, headers={"content-encoding": "gzip"})
    assert packed.status_code == 415
    inside = await client.post("/probe/file", params={"data": "AAAA"}, content=file)
    assert error_of(inside)["fields"] == {"data": "belongs in the body, not in the query"}
    large = await client.post("/probe/file", content=bytes(2_000_001))
    assert large.status_code == 413
