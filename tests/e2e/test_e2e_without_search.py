"""Search stands still: conversations begin and go on all the same, say that they are less, and later no more."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Talk, talk_of
from tests.e2e.reader import Reader, reader_at
from tests.fixtures.servers import temporary_folder
from tests.fixtures.stack import RunningStack, start_stack

SECONDS = 60.0
DEGRADED = ["SEARCH_UNAVAILABLE"]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[RunningStack]:
    """A stack of this module alone, since its search stands still for a while, and its circuits are open for 2 s."""
    env = {"GAJI_SCRIPTED_TOKENS": "5", "GAJI_BREAKER_OPEN_SECONDS": "2", "GAJI_BREAKER_OPEN_MAX_SECONDS": "2"}
    with temporary_folder() as folder, start_stack(folder / "data", "--no-sample", env=env) as running:
        running.wait_for_workers()
        yield running


@pytest.fixture(scope="module")
async def talk(own_stack: RunningStack) -> AsyncIterator[Talk]:
    async with reader_at(own_stack.url) as guest:
        yield await talk_of(guest)


@contextmanager
def standing_still(running: RunningStack, service: str) -> Iterator[None]:
    """A room's processes answer nothing within the block, though their sockets are open."""
    pids = [replica["pid"] for replica in running.state["services"][service]]
    assert pids
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def opened(talk: Talk, scenario_id: str) -> dict[str, Any]:
    """A conversation's first message, written while the reader looks on: how it has ended."""
    params = {"scenario_id": scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
    events = await talk.reader.all_events("GET", "/api/conversations/create-stream", params=params)
    assert events[-1].name == "complete", events[-1]
    return dict(events[-1].data)


async def said(reader: Reader, conversation_id: str) -> dict[str, Any]:
    body = {"content": "Who are you?", "request_id": uuid.uuid4().hex}
    events = await reader.all_events("POST", f"/api/conversations/{conversation_id}/messages-stream", body)
    assert events[-1].name == "complete", events[-1]
    return dict(events[-1].data)


@pytest.mark.timeout(240)
async def test_a_conversation_is_begun_and_goes_on_while_search_stands_still(
    own_stack: RunningStack, talk: Talk
) -> None:
    reader = talk.reader
    named = (await opened(talk, talk.scenario_id))["conversation_id"]
    character = (await reader.ok("GET", f"/api/conversations/{named}"))["character_name"]
    with standing_still(own_stack, "search"):
        about = {"novel_id": talk.novel_id, "title": "The river is dry", "description": "What if no river ran?"}
        scenario_id = (await reader.ok("POST", "/api/scenarios", about))["scenario_id"]
        first = await opened(talk, scenario_id)
        assert first["degraded"] == DEGRADED
        assert (await said(reader, first["conversation_id"]))["degraded"] == DEGRADED

        body = {"scenario_id": scenario_id, "character_id": talk.character_id, "request_id": uuid.uuid4().hex}
        made = await reader.ok("POST", "/api/conversations", body)
        events = await reader.all_events("GET", f"/api/conversations/{made['conversation_id']}/events")
        assert events[-1].name == "complete"
        assert events[-1].data["degraded"] == DEGRADED
        assert (await said(reader, made["conversation_id"]))["degraded"] == DEGRADED
        shown = await reader.ok("GET", f"/api/conversations/{made['conversation_id']}")
        assert shown["character_name"] == character
        messages = (await reader.ok("GET", f"/api/conversations/{made['conversation_id']}/messages"))["messages"]
        assert [m["record"]["degraded"] for m in messages if m["role"] == "MESSAGE_ROLE_CHARACTER"] == [DEGRADED] * 2
    async with asyncio.timeout(SECONDS):
        while (await said(reader, made["conversation_id"])).get("degraded"):
            await asyncio.sleep(0.2)
    assert not (await opened(talk, scenario_id)).get("degraded")
