import asyncio
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from gateway.bindings import parse_template, routes_of
from gateway.contract import load_contract
from gateway.server import RunningGateway
from tests.gateway.conftest import compile_protos, error_of
from tests.gateway.probe_servicer import Probe


async def test_one_rpc_answers_on_all_its_bindings(client: httpx.AsyncClient) -> None:
    assert (await client.post("/probe/echo", json={"string_value": "a"})).json()["string_value"] == "a"
    assert (await client.get("/probe/echo", params={"string_value": "b"})).json()["string_value"] == "b"
    assert (await client.put("/probe/echo/c", json={"int32_value": 1})).json()["string_value"] == "c"
    assert (await client.post("/probe/echo/d:shout", json={})).json()["string_value"] == "d"
    assert (await client.get("/probe/numbers/7")).json()["int32_value"] == 7


async def test_a_field_may_be_the_body_and_another_the_answer(client: httpx.AsyncClient, probe: Probe) -> None:
    answer = await client.patch("/probe/echo/kim/child?bool_value=true", json={"size": "5"})
    assert answer.json() == {"name": "kim", "size": "5"}
    assert probe.seen[-1].bool_value is True


async def test_path_values_are_decoded_once_and_keep_their_slashes(client: httpx.AsyncClient, probe: Probe) -> None:
    assert (await client.delete("/probe/things/a%2Fb%20c%EA%B0%80%253A:x")).status_code == 204
    assert probe.seen[-1].name == "a/b c가%3A:x"


async def test_the_verb_after_a_colon_tells_routes_apart(client: httpx.AsyncClient) -> None:
    answer = await client.put("/probe/echo/a:whisper", json={})
    assert answer.json()["string_value"] == "a:whisper"
    assert (await client.put("/probe/echo/a:shout", json={})).json()["string_value"] == "a:shout"
    assert (await client.post("/probe/echo/a:b:shout", json={})).json()["string_value"] == "a:b"


@pytest.mark.parametrize(
    "path", ["/", "/probe", "/probe/echo/", "/probe/echo/a/", "/probe//echo", "/probe/things/", "/PROBE/echo"]
)
async def test_unknown_paths_are_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert error_of(answer)["reason"] == "ROUTE_NOT_FOUND"


async def test_a_wrong_method_is_405_and_says_which_would_do(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/probe/echo")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert error_of(answer)["reason"] == "METHOD_NOT_ALLOWED"
    assert (await client.get("/probe/things/x")).headers["allow"] == "DELETE, OPTIONS"


async def test_options_lists_the_methods(client: httpx.AsyncClient) -> None:
    answer = await client.options("/probe/count")
    assert answer.status_code == 204
    assert answer.headers["allow"] == "GET, OPTIONS, POST"
    assert (await client.options("/nothing")).status_code == 404
    assert (await client.options("/health")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_head_is_get_without_a_body_but_never_begins_a_stream(client: httpx.AsyncClient, probe: Probe) -> None:
    answer = await client.head("/probe/echo")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 0
    assert (await client.head("/probe/count?to=1")).status_code == 405
    assert (await client.head("/health")).status_code == 200


async def test_a_success_status_of_the_policy_is_used(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/probe/things/x")
    assert answer.status_code == 204
    assert answer.content == b""
    assert "content-length" not in answer.headers
    assert (await client.post("/probe/session")).status_code == 201


async def test_one_connection_serves_many_requests_and_pipelined_ones(running: RunningGateway) -> None:
    host, _, port = running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = b"GET /probe/numbers/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(b"".join(request % number for number in range(5)))
    received = b""
    async with asyncio.timeout(10):
        while received.count(b"HTTP/1.1 200") < 5 or b'"int32_value":4' not in received:
            received += await reader.read(65536)
    assert [received.index(b'"int32_value":%d,' % number) for number in range(5)] == sorted(
        received.index(b'"int32_value":%d,' % number) for number in range(5)
    )
    writer.close()
    await writer.wait_closed()


async def test_what_is_no_http_gets_400(running: RunningGateway) -> None:
    host, _, port = running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "text", ["/a/{b=*}", "/a/**", "/a/*", "a/b", "/a//b", "/a/{b}/{b}", "/a/{}", "/a/{B}", "", "/a/b c"]
)
def test_templates_that_the_gateway_does_not_offer_are_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no path|neither a literal"):
        parse_template(text)


def test_a_template_is_literals_variables_and_a_verb() -> None:
    template = parse_template("/api/{a.b}/x.y/{c}:stop")
    assert template.segments == ("api", None, "x.y", None)
    assert template.variables == ("a.b", "c")
    assert template.verb == "stop"


async def test_a_file_is_its_own_bytes_and_never_a_page_of_ours(client: httpx.AsyncClient) -> None:
    text = "<script>alert(1)</script> 가"
    answer = await client.get(f"/probe/files/{quote(text, safe='')}?content_type=text%2Fhtml%3B%20charset%3Dutf-8")
    assert answer.status_code == 200
    assert answer.content == text.encode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = await client.head("/probe/files/abc")
    assert (head.headers["content-length"], head.content) == ("3", b"")


@pytest.mark.parametrize("kind", ["", "nonsense", "text/plain\r\nx: y", "text/가", " text/plain"])
async def test_a_file_without_a_type_that_could_be_sent_is_any_bytes(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.get("/probe/files/abc", params={"content_type": kind})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == b"abc"


MARK = "[(gaji.gateway.v1.last_event_id) = true]"
TWO = f"string a = 1 {MARK}; string b = 2 {MARK};"


@pytest.mark.parametrize(
    ("field", "streaming", "problem"),
    [
        (f"int32 a = 1 {MARK};", True, "only a string"),
        ("repeated string a = 1 [(gaji.gateway.v1.idempotency_key) = true];", False, "only a string"),
        (f"string a = 1 {MARK};", False, "only a stream"),
        (TWO, True, "only one field"),
    ],
)
def test_marks_that_make_no_sense_are_refused_at_the_start(
    tmp_path: Path, field: str, streaming: bool, problem: str
) -> None:
    stream = "stream " if streaming else ""
    (tmp_path / "bad.proto").write_text(
        f"""syntax = "proto3";
        package gaji.bad.v1;
        import "gaji/gateway/v1/edge.proto";
        import "google/api/annotations.proto";
        service BadService {{
          rpc Bad(BadRequest) returns ({stream}BadResponse) {{ option (google.api.http) = {{get: "/bad"}}; }}
        }}
        message BadRequest {{ {field} }}
        message BadResponse {{ uint64 sequence = 1; oneof event {{ BadRequest token = 2; }} }}
        """
    )
    with pytest.raises(ValueError, match=problem):
        routes_of(load_contract(compile_protos(tmp_path, "bad.proto", tmp_path / "bad.binpb")))
