import asyncio

import grpc
import httpx
import pytest

from gateway.errors import HTTP_STATUS
from tests.gateway.conftest import Gateway, error_of


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("CANCELLED", 499),
        ("UNKNOWN", 500),
        ("INVALID_ARGUMENT", 400),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("PERMISSION_DENIED", 403),
        ("RESOURCE_EXHAUSTED", 429),
        ("FAILED_PRECONDITION", 400),
        ("ABORTED", 409),
        ("OUT_OF_RANGE", 400),
        ("UNIMPLEMENTED", 501),
        ("INTERNAL", 500),
        ("UNAVAILABLE", 503),
        ("UNAUTHENTICATED", 401),
    ],
)
async def test_a_status_becomes_http_with_its_details(client: httpx.AsyncClient, code: str, status: int) -> None:
    answer = await client.get("/probe/fail", params={"code": grpc.StatusCode[code].value[0]})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert error_of(answer) == {
        "code": code,
        "reason": "PROBE",
        "message": "it went wrong",
        "fields": {"code": "is bad"},
    }
    assert ("retry-after" in answer.headers) == (code == "RESOURCE_EXHAUSTED")
    assert ("www-authenticate" in answer.headers) == (code == "UNAUTHENTICATED")


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(grpc.StatusCode)


async def test_retry_after_is_rounded_up(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/fail?code=8")
    assert answer.headers["retry-after"] == "2"


async def test_the_deadline_of_the_policy_is_504(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/fail")
    assert answer.status_code == 504
    error = error_of(answer)
    assert (error["code"], error["reason"]) == ("DEADLINE_EXCEEDED", "PROBE_TOO_SLOW")
    assert error["message"] == "probe did not finish ProbeService.Fail within its 1 s; try again"


async def test_a_peer_that_is_down_is_503_without_the_transport_s_words(gateway: Gateway, unused_tcp_port: int) -> None:
    async with gateway(probe_target=f"127.0.0.1:{unused_tcp_port}", retries=False) as (client, _):
        for path in ("/probe/echo", "/probe/count?to=1"):
            answer = await client.get(path)
            assert answer.status_code == 503
            error = error_of(answer)
            assert error["reason"] == "PROBE_UNAVAILABLE"
            assert "127.0.0.1" not in error["message"]


async def test_errors_are_never_cached_by_anybody(client: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/probe/me", "/probe/fail?code=5"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_running_requests_are_finished_when_draining(gateway: Gateway) -> None:
    async with gateway(drain_seconds=5) as (client, running):
        host, _, port = running.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /probe/fail HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.get("/health")).status_code == 200  # by now the other request runs
    async with asyncio.timeout(5):
        received = await reader.read()
    assert received.startswith(b"HTTP/1.1 504")
    writer.close()
    await writer.wait_closed()
