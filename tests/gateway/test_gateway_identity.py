"""Who is let in: forged tokens, pages of other origins, cookies, keys, and how long a stream may go on."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth import Watch
from gateway.revocations import Revocations
from gateway.server import RunningGateway
from mesh.errors import Unauthenticated
from mesh.identity import Identity
from mesh.keys import key_set, parse_key_set, pem_key, to_document
from tests.fixtures.forged import FORGED, READER, signed
from tests.fixtures.servers import Bearer, JwtKeys
from tests.gateway.conftest import Gateway, error_of
from tests.gateway.raw_socket import connected

COOKIE = "gaji_access_token"
NOWHERE = "http://127.0.0.1:9/keys"


async def test_no_forged_token_is_taken(client: httpx.AsyncClient, jwt_keys: JwtKeys) -> None:
    for name, (reason, forge) in FORGED.items():
        token = await asyncio.to_thread(forge, jwt_keys, NOWHERE)
        for headers in ({"authorization": f"Bearer {token}"}, {"cookie": f"{COOKIE}={token}"}):
            for path in ("/probe/me", "/probe/private-count?to=1"):
                answer = await client.get(path, headers=headers)
                assert (name, answer.status_code, error_of(answer)["reason"]) == (name, 401, reason)
                assert answer.headers["www-authenticate"] == 'Bearer realm="gaji", error="invalid_token"'
        anybody = await client.get("/probe/anybody", headers={"authorization": f"Bearer {token}"})
        assert anybody.json()["user_id"] == "nobody", name
    good = await asyncio.to_thread(signed, jwt_keys.private)
    assert (await client.get("/probe/me", headers={"authorization": f"Bearer {good}"})).json()["user_id"] == READER


async def test_a_head_without_end_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/me", headers={"authorization": f"Bearer {'x' * 1_000_000}"})
    assert (answer.status_code, error_of(answer)["reason"]) == (431, "HEAD_TOO_LARGE")


async def test_a_pipelined_request_is_not_of_the_reader_before_it(running: RunningGateway, bearer: Bearer) -> None:
    mine = f"GET /probe/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer()}\r\n\r\n"
    nobodys = "GET /probe/anybody HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with connected(running) as (reader, writer):
        writer.write((mine + nobodys).encode())
        answers = (await reader.read()).decode()
    assert answers.count("HTTP/1.1 200 ") == 2
    assert json.loads(answers.rpartition("\r\n\r\n")[2])["user_id"] == "nobody"


OWN = "own"  # stands for the gateway's own origin
BAD = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "https://sibling.example"},
    {"sec-fetch-site": "cross-site", "origin": OWN},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://[::1"},
]
GOOD = [
    {},
    {"sec-fetch-site": "same-origin", "origin": "http://behind.a.proxy"},
    {"sec-fetch-site": "none"},
    {"origin": OWN},
]


def said(headers: dict[str, str], client: httpx.AsyncClient) -> dict[str, str]:
    own = str(client.base_url).rstrip("/")
    return {name: own if value == OWN else value for name, value in headers.items()}


@pytest.mark.parametrize("headers", BAD, ids=range(len(BAD)))
async def test_another_sites_page_uses_no_cookies(
    client: httpx.AsyncClient, bearer: Bearer, headers: dict[str, str]
) -> None:
    headers = said(headers, client)
    cookie = {"cookie": f"{COOKIE}={bearer()}"}
    for method, path, body in (
        ("POST", "/probe/calls", {"name": "x"}),
        ("GET", "/probe/count-once", None),  # a GET that creates, for EventSource
        ("POST", "/probe/session", {"refresh_token": "r"}),
        ("POST", "/probe/session/close", {}),
    ):
        answer = await client.request(method, path, json=body, headers={**headers, **cookie})
        assert (path, answer.status_code, error_of(answer)["reason"]) == (path, 403, "CROSS_SITE")
        assert "set-cookie" not in answer.headers
    login = await client.post("/probe/session", json={"refresh_token": "r"}, headers=headers)
    assert login.status_code == 403, "nor does it log anybody in"


@pytest.mark.parametrize("headers", GOOD, ids=range(len(GOOD)))
async def test_our_own_page_and_programs_do(client: httpx.AsyncClient, bearer: Bearer, headers: dict[str, str]) -> None:
    headers = {**said(headers, client), "cookie": f"{COOKIE}={bearer()}"}
    assert (await client.post("/probe/calls", json={"name": "x"}, headers=headers)).status_code == 200
    assert (await client.post("/probe/session", json={"refresh_token": "r"}, headers=headers)).status_code == 201


async def test_a_link_that_is_followed_creates_nothing(client: httpx.AsyncClient, bearer: Bearer) -> None:
    headers = {"cookie": f"{COOKIE}={bearer()}", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}
    answer = await client.get("/probe/count-once", headers=headers)
    assert (answer.status_code, error_of(answer)["reason"]) == (403, "CROSS_SITE")
    assert (await client.get("/probe/me", headers=headers)).status_code == 200


@pytest.mark.not_through_edge("Envoy refuses HTTP/1.0 with 426", edge="envoy")
async def test_no_origin_is_not_no_host(running: RunningGateway, bearer: Bearer) -> None:
    async with connected(running) as (reader, writer):
        head = f"POST /probe/session/close HTTP/1.0\r\nOrigin: null\r\nCookie: {COOKIE}={bearer()}\r\n\r\n"
        writer.write(head.encode())
        assert b" 403 " in await reader.readline()


@pytest.mark.parametrize("headers", BAD, ids=range(len(BAD)))
async def test_reading_and_header_tokens_are_not_asked_where_they_come_from(
    client: httpx.AsyncClient, bearer: Bearer, headers: dict[str, str]
) -> None:
    headers = said(headers, client)
    by_cookie, by_header = {"cookie": f"{COOKIE}={bearer()}"}, {"authorization": f"Bearer {bearer()}"}
    assert (await client.get("/probe/me", headers={**headers, **by_cookie})).status_code == 200
    assert (await client.post("/probe/calls", json={"name": "x"}, headers={**headers, **by_header})).status_code == 200


async def test_origins_that_may_call_may_use_cookies(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(cors_origins=("https://app.example",)) as (client, _):
        cookie = {"cookie": f"{COOKIE}={bearer()}", "sec-fetch-site": "cross-site"}
        for origin, status in (("https://app.example", 200), ("https://app.example.evil", 403)):
            answer = await client.post("/probe/calls", json={"name": "x"}, headers={**cookie, "origin": origin})
            assert answer.status_code == status


async def test_with_tls_cookies_are_of_this_host_alone(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(cookie_secure=True) as (client, _):
        opened = await client.post("/probe/session", json={"refresh_token": "r1"})
        closed = await client.post("/probe/session/close")
        for answer in (opened, closed):
            cookies = {header.partition("=")[0]: header for header in answer.headers.get_list("set-cookie")}
            assert set(cookies) == {"__Host-gaji_access_token", "__Secure-probe_refresh"}
            assert "Path=/;" in cookies["__Host-gaji_access_token"]
            assert all("Secure" in cookie and "Domain" not in cookie for cookie in cookies.values())
        token = bearer(READER)
        for name, status in ((f"__Host-{COOKIE}", 200), (COOKIE, 401)):
            answer = await client.get("/probe/me", headers={"cookie": f"{name}={token}"})
            assert answer.status_code == status, "a cookie without the prefix may be anybody's"
        for name, token in (("__Secure-probe_refresh", "after-r9"), ("probe_refresh", "after-")):
            answer = await client.post("/probe/session", headers={"cookie": f"{name}=r9"})
            assert answer.json()["refresh_token"] == token


async def test_keys_are_published(gateway: Gateway, jwt_keys: JwtKeys, tmp_path: Path) -> None:
    pem = await asyncio.to_thread(lambda: pem_key(jwt_keys.public.read_bytes()))
    file = tmp_path / "keys.json"
    await asyncio.to_thread(file.write_text, json.dumps(to_document(key_set([pem]).values())))
    for changes in ({}, {"jwt_public_key_file": None, "jwt_keys_file": file}):
        async with gateway(**changes) as (client, _):
            answer = await client.get("/.well-known/jwks.json")
            assert answer.headers["cache-control"] == "public, max-age=60"
            assert list(parse_key_set(answer.content)) == [pem.key_id]
            assert set(answer.json()["keys"][0]) == {"kty", "crv", "x", "kid", "use", "alg"}, "nothing private"


async def until_end(client: httpx.AsyncClient, path: str, token: str) -> list[str]:
    """The names of a stream's events until its end; the test's own time limit is the limit."""
    names = []
    async with client.stream("GET", path, headers={"authorization": f"Bearer {token}"}) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                names.append(line[7:])
            elif line.startswith("data: ") and names[-1] == "failed":
                names.append(json.loads(line[6:])["reason"])
    return names


async def test_a_stream_does_not_outlive_its_token(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(stream_token_grace_seconds=0) as (client, _):
        names = await until_end(client, "/probe/private-count?to=1000&interval_ms=100", bearer(ttl=3))
        assert names[-2:] == ["failed", "TOKEN_EXPIRED"]


async def test_one_that_can_go_on_elsewhere_ends_without_a_word(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(stream_token_grace_seconds=0) as (client, _):
        names = await until_end(client, "/probe/watch?to=1000&interval_ms=100", bearer(ttl=3))
        assert set(names) == {"token"}, "its reader comes back, with a new token or in vain"


def test_a_stream_is_watched() -> None:
    now = 1_000.0
    revocations = Revocations(None, lambda: now)
    watch = Watch(revocations, grace=20.0, now=lambda: now)
    reader = Identity(READER, guest=True, expires_at=1_010.0, token="t", session_id="s", ends_at=1_010.0)
    assert watch.refusal(None) is None
    assert watch.refusal(reader) is None
    now = 1_029.9
    assert watch.refusal(reader) is None
    now = 1_030.0
    refusal: Any = watch.refusal(reader)
    assert (type(refusal), refusal.reason) == (Unauthenticated, "TOKEN_EXPIRED")


async def test_a_ticket_is_no_parameter_where_nobody_sells_any(client: httpx.AsyncClient, bearer: Bearer) -> None:
    headers = {"authorization": f"Bearer {bearer()}"}
    answer = await client.get("/probe/private-count?to=1&ticket=secret-ticket", headers=headers)
    assert answer.status_code == 400
    assert "secret-ticket" not in answer.text
