"""Spans of requests, and who may ask that they are recorded."""

import httpx
import pytest

from tests.fixtures.otlp import Recording, recording
from tests.gateway.conftest import Gateway

TRACE, BROWSER = "c" * 32, "d" * 16


def header(flags: str = "00") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{BROWSER}-{flags}"}


@pytest.mark.not_through_edge("the edge is a proxy that is trusted")
@pytest.mark.parametrize(
    ("sampled_from", "proxies", "flags", "recorded"),
    [
        ("nobody", ("127.0.0.1",), "01", False),
        ("proxies", (), "01", False),
        ("proxies", ("10.0.0.0/8",), "01", False),
        ("proxies", ("127.0.0.1",), "01", True),
        ("proxies", ("127.0.0.1",), "00", False),
        ("anybody", (), "01", True),
        ("anybody", (), "00", False),
    ],
)
async def test_who_may_ask_for_a_trace(
    gateway: Gateway, sampled_from: str, proxies: tuple[str, ...], flags: str, recorded: bool
) -> None:
    with recording(ratio=0.0) as recorder:
        async with gateway(trace_sampled_from=sampled_from, trusted_proxies=proxies) as (client, _):
            await client.get("/openapi.json", headers=header(flags))
        assert bool(recorder.ended(TRACE)) is recorded


async def test_an_id_that_every_ratio_takes_draws_no_sample(client: httpx.AsyncClient) -> None:
    lowest = f"00-{'0' * 31}1-{BROWSER}-01"
    with recording(ratio=0.01) as recorder:
        for _ in range(50):
            await client.get("/openapi.json", headers={"traceparent": lowest})
        assert len(recorder.ended()) < 25


async def test_a_request_goes_on_in_the_browsers_trace(client: httpx.AsyncClient, recorded: Recording) -> None:
    answer = await client.get(
        "/probe/numbers/7", params={"string_value": "a secret text"}, headers={**header(), "x-request-id": "r-7"}
    )
    assert answer.status_code == 200
    request, call, below = recorded.ended(TRACE)
    assert (request.name, request.kind) == ("GET /probe/numbers/{int32_value}", "SERVER")
    assert (request.parent_id, call.parent_id, below.parent_id) == (BROWSER, request.span_id, call.span_id)
    assert request.attributes == {
        "http.request.method": "GET",
        "http.response.body.size": len(answer.content),
        "http.response.status_code": 200,
        "http.route": "/probe/numbers/{int32_value}",
        "gaji.request_id": "r-7",
        "url.path": "/probe/numbers/7",
        "url.scheme": "http",
    }
    assert "a secret text" not in str([(span.name, span.attributes) for span in (request, call, below)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/probe/fail?code=5", (404, "GET /probe/fail", False)),
        ("/probe/fail?code=13", (500, "GET /probe/fail", True)),
        ("/no/such/secret", (404, "GET", False)),
    ],
)
async def test_whose_fault_an_answer_is(
    client: httpx.AsyncClient, recorded: Recording, path: str, expected: tuple[int, str, bool]
) -> None:
    status, name, failed = expected
    assert (await client.get(path, headers=header())).status_code == status
    request = recorded.ended(TRACE)[0]
    assert (request.name, request.failed) == (name, failed)
    assert request.attributes["http.response.status_code"] == status
    assert "secret" not in str(request.attributes)
