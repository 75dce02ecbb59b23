"""A reader's whole way through a stack that tells all it can: no log has a secret, and keys change meanwhile."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.e2e.reader import STORY, Reader, parse
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, clean_environment, start_stack
from tests.generation.http_fake import Exchange, open_http_fake

EMAIL = "isolde.wren@marrow-point.example"
PASSWORD = "tar-barrel-green-book-41"
API_KEY = "sk-marrow-point-0123456789abcdef"
QUESTION = "Whatever became of the quicksilver lantern?"
URL_QUESTION = "Did the cormorant sing?"
REPLY = ("Ask", " the", " heron", " of", " Saltmarsh.")
POLL = "0.5"


async def speak(exchange: Exchange) -> None:
    """A model of somebody else's."""
    assert exchange.headers["authorization"] == f"Bearer {API_KEY}"
    await exchange.begin()
    for word in REPLY:
        await exchange.event({"choices": [{"delta": {"content": word}}]})
    await exchange.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    await exchange.send("data: [DONE]\r\n\r\n")
    await exchange.end()


def rotate(running: RunningStack) -> str:
    command = [sys.executable, "-m", "stack.cli", "keys", "rotate", "--poll-seconds", POLL]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--data-dir", str(running.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=clean_environment(running.data_dir),
    )
    return done.stdout


async def _rotating(running: RunningStack, reader: Reader) -> str:
    """Rotates while the reader goes on; returns the new key's id."""
    task = asyncio.create_task(asyncio.to_thread(rotate, running))
    asked = 0
    while not task.done():
        await reader.ok("GET", "/api/users/me")
        asked += 1
        await asyncio.sleep(0.05)
    assert asked
    return (await task).splitlines()[1].split()[0]


async def _talk(reader: Reader, path: str) -> list[str]:
    """Two messages, the second by a ticket and with its text in the URL; returns what must be in no log."""
    reply = await reader.all_events("POST", f"{path}/messages-stream", {"content": QUESTION})
    assert reply[-1].data["content"] == "".join(REPLY)

    ticket = (await reader.ok("POST", "/api/auth/stream-ticket", {}))["ticket"]
    own = reader.client.headers.pop("authorization")
    query = {"content": URL_QUESTION, "request_id": uuid.uuid4().hex, "ticket": ticket}
    async with reader.client.stream("GET", f"{path}/messages-stream", params=query) as answer:
        assert answer.status_code == 200
        events = [event async for event in parse(answer.aiter_lines())]
    assert (events[-1].name, events[-1].data["content"]) == ("complete", "".join(REPLY))
    refused = await reader.client.get(f"{path}/events", params={"ticket": f"{ticket}x"})
    assert refused.status_code == 401
    reader.client.headers["authorization"] = own
    return [ticket, ticket.rpartition(".")[2]]


async def _live(running: RunningStack) -> list[str]:
    """A reader's life; returns what must be in no log."""
    secrets = [EMAIL, PASSWORD, API_KEY, QUESTION, URL_QUESTION, "quicksilver", "Saltmarsh"]
    secrets += ["untied the rope", "The bell rang once", "locked iron chest"]  # of the novel
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
        reader = Reader(client, "", "")
        account = {"email": EMAIL, "password": PASSWORD, "display_name": "Isolde of Marrow"}

        def keep(session: Any) -> Any:
            secrets.extend([session["access_token"], session["access_token"].rpartition(".")[2]])
            secrets.append(session["refresh_token"])
            client.headers["authorization"] = f"Bearer {session['access_token']}"
            client.cookies.clear()
            return session

        first = keep(await reader.ok("POST", "/api/auth/register", account))
        assert (await reader.call("POST", "/api/auth/register", account)).status_code == 409
        wrong = await reader.call("POST", "/api/auth/login", {"email": EMAIL, "password": f"{PASSWORD}!"})
        assert wrong.status_code == 401
        keep(await reader.ok("POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD}))
        session = keep(await reader.ok("POST", "/api/auth/refresh", {"refresh_token": first["refresh_token"]}))

        novel_id = await reader.add_novel("The Ferry at Marrow Point", STORY)
        scenario = await reader.ok(
            "POST", "/api/scenarios", {"novel_id": novel_id, "title": "Frost", "description": "What if it thawed?"}
        )
        await reader.ok("POST", "/api/search/passages", {"novel_id": novel_id, "query": QUESTION})
        character = (await reader.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"][0]
        conversation = await reader.ok(
            "POST",
            "/api/conversations",
            {"scenario_id": scenario["scenario_id"], "character_id": character["character_id"]},
        )
        path = f"/api/conversations/{conversation['conversation_id']}"
        secrets += await _talk(reader, path)

        key_id = await _rotating(running, reader)
        async with asyncio.timeout(30):
            while True:
                newer = keep(await reader.ok("POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD}))
                if jwt.get_unverified_header(newer["access_token"])["kid"] == key_id:
                    break
                await asyncio.sleep(0.1)
        published = (await client.get("/.well-known/jwks.json")).json()["keys"]
        assert {key["kid"] for key in published} > {key_id}
        for token in (session, newer):
            headers = {"authorization": f"Bearer {token['access_token']}"}
            assert (await client.get("/api/users/me", headers=headers)).status_code == 200

        await reader.ok("POST", "/api/auth/logout", {"refresh_token": newer["refresh_token"]})
        async with asyncio.timeout(30):
            while (answer := await reader.call("GET", "/api/users/me")).status_code == 200:
                await asyncio.sleep(0.1)
        assert answer.json()["error"]["reason"] == "TOKEN_REVOKED"
    return secrets


def kept(folder: Path) -> Iterable[str]:
    """What the stack keeps for itself."""
    for path in (folder / "secrets").iterdir():
        text = path.read_text().strip()
        if path.suffix == ".pem":
            yield text.splitlines()[1]
        elif path.suffix != ".json" and text:
            yield text


@pytest.mark.timeout(300)
async def test_no_secret_is_in_a_log() -> None:
    with temporary_folder() as folder:
        async with open_http_fake() as fake:
            fake.answer = speak
            env = {
                "GAJI_LOG_LEVEL": "DEBUG",
                "GAJI_PROVIDER": "openai",
                "GAJI_OPENAI_BASE_URL": f"{fake.url}/v1",
                "GAJI_OPENAI_MODEL": "heron",
                "GAJI_OPENAI_API_KEY": API_KEY,
                "GAJI_JWT_KEYS_POLL_SECONDS": POLL,
            }
            with start_stack(folder / "data", "--no-sample", env=env) as running:
                secrets = [*await _live(running), *kept(running.data_dir)]
        logs = {path.name: path.read_text(errors="replace") for path in (folder / "data" / "logs").glob("*.log*")}
        logs["up.out"] = running.output
    assert {"gateway.log", "library.log", "generation.log", "search.log", "postgres.log", "worker-high.log"} <= set(
        logs
    )
    assert '"level":"DEBUG"' in "".join(logs.values()), "they say all they can"
    assert len(secrets) > 25
    found = [
        (name, secret, next(line[:300] for line in text.splitlines() if secret in line))
        for name, text in logs.items()
        for secret in secrets
        if secret in text
    ]
    assert not found
