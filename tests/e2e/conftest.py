"""What end-to-end tests share: a running stack, a reader, and a novel with a conversation."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.reader import STORY, Reader, reader_at
from tests.fixtures.stack import RunningStack


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation and what it is about."""

    reader: Reader
    novel_id: str
    scenario_id: str
    character_id: str
    conversation_id: str


@pytest.fixture
async def reader(stack: Any) -> AsyncIterator[Reader]:
    """A new guest."""
    async with reader_at(stack["gateway"]) as guest:
        yield guest


@pytest.fixture(scope="module")
async def talk(running_stack: RunningStack) -> AsyncIterator[Talk]:
    """A guest with a novel, a scenario and a conversation; of one module, since its token lives for 15 minutes."""
    async with reader_at(running_stack.url) as guest:
        yield await talk_of(guest)


async def talk_of(guest: Reader, **more: Any) -> Talk:
    """A novel, of which more can be said, a scenario and a conversation for a guest."""
    about = {"author": "The Gaji project", "language": "en", **more}
    novel_id = await guest.add_novel("The Ferry at Marrow Point", STORY, **about)
    scenario = await guest.ok(
        "POST",
        "/api/scenarios",
        {
            "novel_id": novel_id,
            "title": "The ferryman refuses",
            "description": "What if Tobias had refused the coins?",
        },
    )
    characters = (await guest.ok("GET", f"/api/novels/{novel_id}/characters"))["characters"]
    conversation = await guest.ok(
        "POST",
        "/api/conversations",
        {
            "scenario_id": scenario["scenario_id"],
            "character_id": characters[0]["character_id"],
            "request_id": "the-talk",
        },
    )
    return Talk(
        guest,
        novel_id,
        scenario["scenario_id"],
        characters[0]["character_id"],
        conversation["conversation_id"],
    )
