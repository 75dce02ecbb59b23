"""How much a client may take: rates, streams, connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import Counter

from gateway.metrics import CONNECTIONS_REFUSED, RATE_LIMITED, STREAMS_REFUSED
from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway, error_of

# One unit comes back in 1000 s, which no test waits for.
SLOW = {"rate_limit": 0.001, "rate_burst": 4}


@asynccontextmanager
async def counted(metric: Counter, *labels: str) -> AsyncIterator[list[float]]:
    """What is added to a metric in the block, in the first place of the list."""
    child: Any = metric.labels(*labels) if labels else metric
    before = child._value.get()
    added: list[float] = []
    yield added
    added.append(child._value.get() - before)


def field(answer: httpx.Response, name: str) -> dict[str, tuple[int, int]]:
    """The items of a RateLimit field by policy, the two numbers of each."""
    items = {}
    for item in answer.headers[name].split(", "):
        policy, first, second = item.split(";")
        items[policy.strip('"')] = (int(first[2:]), int(second[2:]))
    return items


async def test_a_client_is_told_what_is_left_and_refused_when_nothing_is(gateway: Gateway) -> None:
    async with gateway(**SLOW) as (client, _), counted(RATE_LIMITED, "default", "refused") as refused:
        for left in (3, 2, 1, 0):
            answer = await client.get("/probe/anybody")
            assert answer.is_success
            assert field(answer, "ratelimit-policy") == {"default": (4, 4000)}
            assert field(answer, "ratelimit")["default"][0] == left
        answer = await client.get("/probe/anybody")
        assert answer.status_code == 429
        assert error_of(answer)["reason"] == "RATE_LIMITED"
        seconds = int(answer.headers["retry-after"])
        assert 900 < seconds <= 1000
        assert field(answer, "ratelimit")["default"] == (0, seconds)
        assert answer.headers["cache-control"] == "no-store"
    assert refused == [1]


async def test_what_is_taken_comes_back_at_the_rate(gateway: Gateway) -> None:
    async with gateway(rate_limit=50, rate_burst=1) as (client, _):
        async with asyncio.timeout(20):
            allowed = 0
            while allowed < 5:
                answer = await client.get("/probe/anybody")
                allowed += answer.is_success
                assert answer.status_code in {200, 429}


async def test_zero_is_no_limit_and_no_fields(gateway: Gateway) -> None:
    async with gateway(rate_limit=0, rate_burst=1) as (client, _):
        for _ in range(5):
            answer = await client.get("/probe/anybody")
            assert answer.is_success
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers


async def test_users_do_not_share_a_budget_with_each_other_nor_with_the_anonymous(
    gateway: Gateway, bearer: Bearer
) -> None:
    async with gateway(**SLOW) as (client, _):
        readers = [{"authorization": f"Bearer {bearer()}"} for _ in range(2)]
        for headers in ({}, *readers):
            answers = [await client.get("/probe/anybody", headers=headers) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [200] * 4 + [429]


async def test_two_tokens_of_one_user_are_one_user(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(**SLOW) as (client, _):
        tokens = [bearer("4b1f2f0e-9d7f-4a52-8f77-0f3f0c9f2b11") for _ in range(5)]
        answers = [await client.get("/probe/me", headers={"authorization": f"Bearer {token}"}) for token in tokens]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429]


@pytest.mark.parametrize("token", ["", "Bearer forged"], ids=["none", "forged"])
async def test_who_has_no_valid_token_is_limited_by_address(gateway: Gateway, token: str) -> None:
    headers = {"authorization": token} if token else {}
    async with gateway(**SLOW) as (client, _):
        answers = [await client.get("/probe/me", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401] * 4 + [429]
        assert "ratelimit" in answers[0].headers


async def test_dear_calls_cost_more_and_never_more_than_there_can_be(gateway: Gateway) -> None:
    async with gateway(rate_limit=0.001, rate_burst=7) as (client, _):
        answers = [await client.get("/probe/cost") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert field(answers[1], "ratelimit")["default"][0] == 2
        assert (await client.get("/probe/anybody")).is_success
    async with gateway(rate_limit=0.001, rate_burst=3) as (client, _):
        assert (await client.get("/probe/cost")).is_success


async def test_errors_and_streams_bear_the_fields_too(gateway: Gateway) -> None:
    async with gateway(**SLOW) as (client, _):
        for path in ("/probe/fail?code=5", "/probe/count?to=1", "/probe/anybody?unknown=1"):
            assert "ratelimit" in (await client.get(path)).headers, path


async def test_pages_and_unknown_paths_have_no_limit(gateway: Gateway) -> None:
    async with gateway(**SLOW) as (client, _):
        for path in ("/health", "/nothing"):
            answers = [await client.get(path) for _ in range(6)]
            assert {answer.status_code for answer in answers} <= {200, 404}


async def test_other_origins_may_read_the_fields(gateway: Gateway) -> None:
    async with gateway(cors_origins=("https://app.example",), **SLOW) as (client, _):
        answer = await client.get("/probe/anybody", headers={"origin": "https://app.example"})
        exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= exposed


async def test_credentials_are_limited_by_address_as_well(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(credentials_rate=0.001, credentials_burst=2, rate_limit=100) as (client, _):
        statuses = []
        for _ in range(3):  # as another user each time
            headers = {"authorization": f"Bearer {bearer()}"}
            answer = await client.post("/probe/enter", json={}, headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [200, 200, 429]
        assert field(answer, "ratelimit-policy") == {"default": (200, 2), "credentials": (2, 2000)}
        assert error_of(answer)["reason"] == "RATE_LIMITED"
        assert (await client.get("/probe/anybody")).is_success


async def test_attempts_at_one_account_count_together_however_it_is_spelled(gateway: Gateway) -> None:
    async with gateway(login_rate=0.001, login_burst=3, trusted_proxies=("127.0.0.1",)) as (client, _):
        statuses = []
        for number, email in enumerate((" Ann@x.org", "ann@X.ORG ", "\uff41nn@x.org", "ann@x.org")):
            headers = {"x-forwarded-for": f"192.0.2.{number}"}  # from everywhere
            statuses.append((await client.post("/probe/enter", json={"email": email}, headers=headers)).status_code)
        assert statuses == [200, 200, 200, 429]
        assert (await client.post("/probe/enter", json={"email": "bob@x.org"})).is_success


async def test_the_name_of_an_account_is_in_no_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        async with gateway(login_rate=0.001, login_burst=1) as (client, _):
            for _ in range(2):
                await client.post("/probe/enter", json={"email": "secret@x.org"})
    assert caplog.records
    assert not any("secret@x.org" in str(vars(record)) for record in caplog.records)


@asynccontextmanager
async def streaming(client: httpx.AsyncClient, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
    async with client.stream("GET", "/probe/count?to=2&interval_ms=20000", headers=headers) as answer:
        lines = answer.aiter_lines()  # the answer is closed when nobody holds it any more
        if answer.is_success:
            while not (await anext(lines)).startswith("event: "):
                pass
        else:
            await answer.aread()
        yield answer


async def test_a_user_has_so_many_streams_at_once_and_gets_a_place_back(gateway: Gateway, bearer: Bearer) -> None:
    mine, other = ({"authorization": f"Bearer {bearer()}"} for _ in range(2))
    async with gateway(max_streams_per_user=2) as (client, _), counted(STREAMS_REFUSED) as refused:
        async with streaming(client, mine) as first:
            assert first.is_success
            async with streaming(client, mine), streaming(client, mine) as third, streaming(client, other) as others:
                assert third.status_code == 429
                assert error_of(third)["reason"] == "TOO_MANY_STREAMS"
                assert "close one" in error_of(third)["message"]
                assert others.is_success
        async with asyncio.timeout(20):
            while True:
                async with streaming(client, mine) as again:
                    if again.is_success:
                        break
    assert refused[0] >= 1


@pytest.mark.not_through_edge("the edge holds the readers' connections")
async def test_an_address_has_so_many_connections_at_once_and_gets_a_place_back(gateway: Gateway) -> None:
    async with gateway(max_connections_per_address=2) as (_, running), counted(CONNECTIONS_REFUSED) as refused:
        host, _, port = running.address.rpartition(":")
        async with asyncio.timeout(20):
            held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
            for reader, writer in held:
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in await reader.readline()
            reader, writer = await asyncio.open_connection(host, int(port))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429 ")
            assert b"TOO_MANY_CONNECTIONS" in body
            writer.close()
            for _, writer in held:
                writer.close()
                await writer.wait_closed()
            status = b""
            while b" 200 " not in status:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                status = await reader.readline()
                writer.close()
    assert refused[0] >= 1


async def test_the_connections_of_a_trusted_proxy_are_not_counted(gateway: Gateway) -> None:
    async with gateway(max_connections_per_address=1, trusted_proxies=("127.0.0.0/8",)) as (_, running):
        host, _, port = running.address.rpartition(":")
        async with asyncio.timeout(20):
            for _ in range(3):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in await reader.readline()
                writer.close()
