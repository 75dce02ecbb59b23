import json
import logging
import re

import httpx
import pytest

from mesh.telemetry.logs import JsonFormatter
from tests.fixtures.edge import CHOSEN
from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway
from tests.gateway.sse_client import open_stream

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    "path", ["/probe/echo", "/nothing", "/probe/me", "/health", "/openapi.json", "/probe/count?to=1"]
)
async def test_every_answer_has_security_headers_and_an_id(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers or CHOSEN == "nginx"  # which cannot leave it out


async def test_a_request_id_goes_through_and_a_bad_one_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/anybody", headers={"x-request-id": "my-id.1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "my-id.1"
    answer = await client.get("/probe/anybody", headers={"x-request-id": "no spaces"})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_one_line_of_log_a_request(
    client: httpx.AsyncClient, bearer: Bearer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    await client.delete(
        "/probe/things/secret", headers={"x-request-id": "log-1", "authorization": f"Bearer {bearer('u-1')}"}
    )
    records = [record for record in caplog.records if record.name == "gateway.access"]
    assert len(records) == 1
    record = records[0]
    line = json.loads(JsonFormatter("gateway").format(record))
    facts = {key: line[key] for key in ("method", "route", "status", "bytes", "user_id")}
    assert facts == {"method": "DELETE", "route": "/probe/things/{name}", "status": 204, "bytes": 0, "user_id": "u-1"}
    assert line["ms"] >= 0
    assert "secret" not in json.dumps(line)


async def test_metrics_count_requests_by_route_and_events(gateway: Gateway) -> None:
    async with gateway() as (client, running):

        async def metric(line: str) -> float:
            async with httpx.AsyncClient(trust_env=False) as admin:
                text = (await admin.get(f"http://{running.admin_address}/metrics")).text
            values = [float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line)]
            return sum(values)

        requests = 'http_server_request_duration_seconds_count{error_type="",http_request_method="GET",'
        name = requests + 'http_response_status_code="200",http_route="/probe/numbers/{int32_value}"}'
        before, events = await metric(name), await metric("gaji_sse_events_total")
        await client.get("/probe/numbers/1")
        await client.get("/probe/numbers/2")
        assert await metric(name) == before + 2
        async with open_stream(running.address, "/probe/count?to=4&interval_ms=50") as stream:
            assert await metric("gaji_sse_connections") >= 1
            async for _ in stream.events():
                pass
        await client.get("/nothing/1")
        assert await metric("gaji_sse_events_total") >= events + 5
        assert await metric(requests + 'http_response_status_code="404",http_route=""}') >= 1


async def test_other_origins_are_let_in_by_setting_only(gateway: Gateway, client: httpx.AsyncClient) -> None:
    origin = {"origin": "https://app.example"}
    assert "access-control-allow-origin" not in (await client.get("/probe/echo", headers=origin)).headers
    async with gateway(cors_origins=("https://app.example", "https://b.example")) as (open_client, _):
        for path in ("/probe/echo", "/nothing", "/probe/count?to=1"):
            answer = await open_client.get(path, headers=origin)
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        asks = origin | {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
        answer = await open_client.options("/probe/echo", headers=asks)
        assert answer.status_code == 200
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        answer = await open_client.get("/probe/echo", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
