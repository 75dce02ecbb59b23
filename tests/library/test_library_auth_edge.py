"""Sessions as readers meet them: a gateway before a library."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from gaji.library.v1 import auth_service_pb2 as pb

from gateway.bindings import routes_of
from gateway.config import GatewaySettings
from gateway.contract import load_contract
from gateway.server import open_gateway
from mesh.telemetry.rpc_metrics import SERVER_SECONDS
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeJobs, LibraryClient, Reader

POLL = 0.1


@asynccontextmanager
async def opened(library: LibraryClient, jwt_keys: JwtKeys, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        library_target=library.server.address,
        search_target="127.0.0.1:1",
        generation_target="127.0.0.1:1",
        jwt_public_key_file=jwt_keys.public,
        drain_seconds=0.5,
        revocation_poll_seconds=POLL,
        stream_token_grace_seconds=0,
        **more,
    )
    async with (
        open_gateway(settings) as running,
        httpx.AsyncClient(base_url=f"http://{running.address}", timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
async def client(library: LibraryClient, jwt_keys: JwtKeys) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(library, jwt_keys) as client:
        yield client


async def guest(client: httpx.AsyncClient) -> dict[str, str]:
    session: dict[str, str] = (await client.post("/api/auth/guest", json={})).json()
    client.cookies.clear()
    return session


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def refusal(client: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None) -> str:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 401, answer.text
    return str(answer.json()["error"]["reason"])


async def until_revoked(client: httpx.AsyncClient, token: str) -> None:
    async with asyncio.timeout(20):
        while (answer := await client.get("/api/users/me", headers=bearing(token))).status_code == 200:
            await asyncio.sleep(0.05)
    assert answer.json()["error"]["reason"] == "TOKEN_REVOKED"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@asynccontextmanager
async def watching(
    client: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[str]]:
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield answer.aiter_lines()


async def failure(lines: AsyncIterator[str]) -> str:
    """The reason of a stream's `failed`; its deadline is the test's own."""
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: ") and name == "failed":
            return str(json.loads(line[6:])["reason"])
    return "none"


async def stream_of(library: LibraryClient, jobs: FakeJobs, token: str) -> str:
    """The path of a stream that goes on and on: nobody ingests the novel."""
    jobs.drives = False
    return f"/api/novels/{await library.novel(Reader(token))}/ingestion-stream"


async def test_logging_out_ends_requests_and_streams(
    client: httpx.AsyncClient, library: LibraryClient, jobs: FakeJobs
) -> None:
    session, other = await guest(client), await guest(client)
    token = session["access_token"]
    path = await stream_of(library, jobs, token)
    async with (
        watching(client, path, bearing(token)) as mine,
        watching(client, path, bearing(other["access_token"])) as theirs,
    ):
        assert (await client.post("/api/auth/logout", json={}, headers=bearing(token))).status_code == 204
        await until_revoked(client, token)
        assert await failure(mine) == "TOKEN_REVOKED"
        assert (await client.get("/api/users/me", headers=bearing(other["access_token"]))).status_code == 200
        async for line in theirs:
            if line:
                break
    login = await client.post("/api/auth/guest", json={}, headers=bearing(token))
    assert login.status_code == 201, "an ended session keeps nobody from a new one"


async def test_a_session_ends_with_all_its_access_tokens(client: httpx.AsyncClient, library: LibraryClient) -> None:
    session = await guest(client)
    body = {"refresh_token": session["refresh_token"]}
    second = (await client.post("/api/auth/refresh", json=body)).json()
    third = (await client.post("/api/auth/refresh", json={"refresh_token": second["refresh_token"]})).json()
    assert (await client.post("/api/auth/refresh", json=body)).status_code == 200, "it may be another tab"
    await library.nobody.call(library.auth.Logout, pb.LogoutRequest(refresh_token=third["refresh_token"]))
    for token in (session, second, third):
        await until_revoked(client, token["access_token"])


async def test_a_ticket_opens_streams_and_nothing_else(
    client: httpx.AsyncClient, library: LibraryClient, jobs: FakeJobs
) -> None:
    session = await guest(client)
    token = session["access_token"]
    path = await stream_of(library, jobs, token)
    answer = await client.post("/api/auth/stream-ticket", json={}, headers=bearing(token))
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    assert 0 < answer.json()["expires_in"] <= 60
    assert "set-cookie" not in answer.headers
    async with watching(client, f"{path}?ticket={ticket}") as lines:
        async for line in lines:
            if line.startswith("event: "):
                break
        assert await refusal(client, "/api/users/me", bearing(ticket)) == "TOKEN_INVALID"
        assert await refusal(client, "/api/users/me", {"cookie": f"gaji_access_token={ticket}"}) == "TOKEN_INVALID"
        assert await refusal(client, path, bearing(ticket)) == "TOKEN_INVALID"
        assert await refusal(client, f"/api/users/me?ticket={ticket}") == "TOKEN_MISSING"
        assert await refusal(client, f"{path}?ticket={token}") == "TOKEN_INVALID", "an access token is no ticket"
        assert await refusal(client, f"{path}?ticket=") == "TOKEN_MISSING"
        unknown = await client.get(f"{path}?ticket={ticket}&more=1")
        assert unknown.status_code == 400
        assert ticket not in unknown.text
        await client.post("/api/auth/logout", json={"refresh_token": session["refresh_token"]})
        assert await failure(lines) == "TOKEN_REVOKED"
    assert await refusal(client, f"{path}?ticket={ticket}") == "TOKEN_REVOKED"


async def test_a_ticket_that_is_used_too_often_is_not_redeemed(library: LibraryClient, jwt_keys: JwtKeys) -> None:
    redeemed: Any = SERVER_SECONDS.labels("gaji.library.v1.AuthService/RedeemStreamTicket", "OK")
    async with opened(library, jwt_keys, rate_limit=0.001, rate_burst=4) as client:
        token = (await guest(client))["access_token"]
        ticket = (await client.post("/api/auth/stream-ticket", json={}, headers=bearing(token))).json()["ticket"]
        before = sum(bucket.get() for bucket in redeemed._buckets)
        path = f"/api/novels/{uuid.uuid4()}/ingestion-stream?ticket={ticket}"
        statuses = [(await client.get(path)).status_code for _ in range(6)]
        assert statuses == [404] * 3 + [429] * 3
        assert sum(bucket.get() for bucket in redeemed._buckets) - before == 3


async def test_a_stream_ends_with_the_access_token_that_its_ticket_was_bought_with(
    client: httpx.AsyncClient, library: LibraryClient, jobs: FakeJobs, jwt_keys: JwtKeys
) -> None:
    session = await guest(client)
    path = await stream_of(library, jobs, session["access_token"])
    private = await asyncio.to_thread(jwt_keys.private.read_bytes)
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    ends = int(claims["iat"]) + 8
    short = jwt.encode({**claims, "exp": ends}, private, algorithm="EdDSA")
    ticket = (await client.post("/api/auth/stream-ticket", json={}, headers=bearing(short))).json()["ticket"]
    async with watching(client, f"{path}?ticket={ticket}") as lines:
        assert await failure(lines) in {"TOKEN_EXPIRED", "none"}
    assert await refusal(client, f"{path}?ticket={ticket}") == "TOKEN_EXPIRED", "the page buys another one"


def test_what_is_for_the_gateway_is_on_no_route() -> None:
    rpcs = {route.rpc.name for route in routes_of(load_contract(None))}
    assert "CreateStreamTicket" in rpcs
    assert not rpcs & {"ListRevocations", "RedeemStreamTicket"}
