"""Backup, destroy, restore: what readers had is there again, byte for byte."""

import asyncio
import itertools
import json
import re
import shutil
import stat
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Talk, talk_of
from tests.e2e.reader import Reader, reader_at
from tests.fixtures.stack import RunningStack, start_stack
from tests.operations.conftest import Gaji

QUICK = {"GAJI_SCRIPTED_RATE": "1000"}
PASSWORD = "correct horse battery"
QUERIES = ("a bell from a drowned village", "the green book", "ten gold coins", "who is Isolde?", "어머니의 배")


async def tale_of(reader: Reader) -> tuple[Talk, dict[str, Any], dict[str, Any]]:
    """A talk with branches, an account in the place of its guest, and the account's session."""
    talk = await talk_of(reader, visibility="VISIBILITY_PRIVATE")
    said = f"/api/conversations/{talk.conversation_id}/messages"
    events = await reader.all_events("POST", f"{said}-stream", {"content": "Who are you?", "request_id": "first"})
    reply = events[-1].data["message_id"]
    await reader.all_events("POST", f"{said}/{reply}:regenerate", {"request_id": "again"})
    messages = (await reader.ok("GET", said))["messages"]
    asked = next(message for message in messages if message["content"] == "Who are you?")
    await reader.all_events("POST", f"{said}/{asked['message_id']}:edit", {"content": "Why?", "request_id": "edit"})
    await reader.ok("PUT", f"/api/novels/{talk.novel_id}/progress", {"chapter": 2})
    await reader.ok("PATCH", f"/api/characters/{talk.character_id}", {"description": "The ferryman's daughter."})
    account = {"email": f"{uuid.uuid4().hex}@example.org", "password": PASSWORD}
    session = await reader.ok("POST", "/api/auth/register", {**account, "display_name": "Ann"})
    reader.client.headers["authorization"] = f"Bearer {session['access_token']}"
    return talk, account, session


async def everything(client: httpx.AsyncClient, talk: Talk) -> dict[str, bytes]:
    """What the API answers of all that a reader has."""
    novel, conversation = f"/api/novels/{talk.novel_id}", f"/api/conversations/{talk.conversation_id}"
    reads = ["/api/users/me", "/api/novels", "/api/conversations", f"/api/scenarios/{talk.scenario_id}", novel]
    reads += [f"{novel}/{what}" for what in ("characters", "chapters", "scenarios", "progress")]
    reads += [conversation, *(f"{conversation}/{what}" for what in ("messages", "tree", "export"))]
    reads.append(f"/api/characters/{talk.character_id}")
    answers = {path: await client.get(path) for path in reads}
    for query in QUERIES:
        for limit in ({}, {"until_chapter": 1}):
            body = {"novel_id": talk.novel_id, "query": query, "top_k": 10, **limit}
            answers[json.dumps(body)] = await client.post("/api/search/passages", json=body)
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 200)
    return {path: answer.content for path, answer in answers.items()}


async def read_twice(client: httpx.AsyncClient, talk: Talk, running: RunningStack) -> None:
    """Waits until a query in another language finds by the novel's second reading, which comes in the background."""
    admin = running.state["services"]["search"][0]["admin"]
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        for number in itertools.count():  # another query each time: answers are kept
            body = {"novel_id": talk.novel_id, "query": f"나룻배와 종 {number}", "top_k": 1}
            assert (await client.post("/api/search/passages", json=body)).status_code == 200
            told = (await http.get(f"http://{admin}/metrics")).text
            if re.search(r'^gaji_search_foreign_searches_total\{result="found"\} [1-9]', told, re.MULTILINE):
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_what_was_backed_up_and_destroyed_is_restored(server_folder: Path, gaji: Gaji) -> None:
    data, again, file = server_folder / "data", server_folder / "again", server_folder / "all.tar.zst"
    with start_stack(data, "--no-sample", env=QUICK) as running:
        async with reader_at(running.url) as reader, reader_at(running.url) as other:
            talk, account, session = await tale_of(reader)
            await read_twice(reader.client, talk, running)
            before = await everything(reader.client, talk)
            # Somebody else goes on writing meanwhile, and another novel is taken in.
            busy = asyncio.gather(talk_of(other, visibility="VISIBILITY_PRIVATE"))
            made = await asyncio.to_thread(gaji, "backup", file, "--data-dir", data)
            assert made.returncode == 0, made.stderr
            await busy
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "a stack that runs" in made.stdout
    assert "keep it to yourself" in made.stdout
    stopped = await asyncio.to_thread(gaji, "backup", server_folder, "--data-dir", data, "--no-keys")
    assert "a stack that is stopped" in stopped.stdout, stopped.stderr
    shutil.rmtree(data)

    done = await asyncio.to_thread(gaji, "restore", file, "--data-dir", again)
    assert done.returncode == 0, done.stderr
    with start_stack(again, "--no-sample", env=QUICK) as running:
        headers = {"authorization": f"Bearer {session['access_token']}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=60) as client:
            await read_twice(client, talk, running)
            assert await everything(client, talk) == before
            assert (await client.post("/api/auth/login", json=account)).status_code == 200
            renewed = await client.post("/api/auth/refresh", json={"refresh_token": session["refresh_token"]})
            assert renewed.json()["user_id"] == session["user_id"]
            same = Reader(client, session["access_token"], session["user_id"])
            path = f"/api/conversations/{talk.conversation_id}/messages-stream"
            events = await same.all_events("POST", path, {"content": "Are you still there?"})
            assert events[-1].name == "complete"
    refused = await asyncio.to_thread(gaji, "restore", server_folder, "--data-dir", again)
    assert refused.returncode == 1
    assert "would be replaced; choose another --data-dir, or say --force" in refused.stderr
