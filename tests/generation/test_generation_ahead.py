"""Searches that begin before library has answered: for readers it has let in, and used only if they fit its answer."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from mesh import identity
from mesh.errors import NotFound
from mesh.identity import Identity
from services.generation.domain.ahead import Ahead
from services.generation.domain.passages import Asked, PassageFinder
from services.generation.ports import Edit, OpeningOf, Outcome, Passage, Regeneration, Reply, ReplyContext, ReplyTo
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.rooms import Rooms, open_rooms
from tests.generation.test_generation_servicer import all_of, reply_request, status_of, words

Open = Callable[[], AbstractAsyncContextManager[Rooms]]
CONTEXT = ReplyContext("n", "Pride and Prejudice", "Jane Austen", "A letter", "She keeps it.", "Elizabeth", "Lively.")


@pytest.fixture
def open_scripted(jwt_keys: JwtKeys, redis_url: str) -> Open:
    return lambda: open_rooms(
        make_settings(jwt_public_key_file=jwt_keys.public, redis_url=redis_url), ScriptedModel(3, 0)
    )


async def count(of: list[Any], expected: int) -> None:
    async with asyncio.timeout(10):
        while len(of) < expected:
            await asyncio.sleep(0.005)


async def test_a_search_does_not_wait_for_library_once_the_conversation_is_known(
    open_scripted: Open, as_reader: Any
) -> None:
    async with open_scripted() as rooms:
        rooms.library.until_chapter = 3
        rooms.search.descriptions = {1: "Seen by chapter 1."}
        await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        rooms.library.begin_gate = asyncio.Event()
        reading = asyncio.create_task(
            all_of(rooms.stub.StreamReply(reply_request("r-2", "And then?"), metadata=as_reader))
        )
        await count(rooms.search.searches, 2)
        await count(rooms.search.asked, 2)
        rooms.library.begin_gate.set()
        events = await reading
    assert events[-1].complete.content == words(3)
    assert list(events[-1].complete.passage_ids) == [f"p{n}" for n in range(4)]
    assert [one.query for one in rooms.search.searches] == [
        "Are you happy? A different answer",
        "And then? A different answer",
    ]
    assert len(rooms.search.asked) == 2, "and nothing was asked once more"


async def test_what_library_says_counts_and_not_what_was_guessed(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        rooms.library.until_chapter = 2
        rooms.library.begin_gate = asyncio.Event()
        reading = asyncio.create_task(all_of(rooms.stub.StreamReply(reply_request("r-2"), metadata=as_reader)))
        await count(rooms.search.searches, 2)
        rooms.library.begin_gate.set()
        events = await reading
    assert list(events[-1].complete.passage_ids) == ["p0", "p1", "p2"]
    limits = [one.until_chapter if one.HasField("until_chapter") else None for one in rooms.search.searches]
    assert limits == [None, None, 2]


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_refusal_stands_whatever_becomes_of_the_search(
    open_scripted: Open, as_reader: Any, frozen: bool
) -> None:
    async with open_scripted() as rooms:
        await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        rooms.library.begin_error = NotFound("no such conversation", reason="CONVERSATION_NOT_FOUND")
        rooms.library.begin_gate = asyncio.Event()
        rooms.search.gate = asyncio.Event() if frozen else None
        reading = asyncio.create_task(status_of(rooms.stub.StreamReply(reply_request("r-2"), metadata=as_reader)))
        await count(rooms.search.searches, 2)
        rooms.library.begin_gate.set()
        assert (await reading).reason == "CONVERSATION_NOT_FOUND"
        async with asyncio.timeout(5):
            while rooms.search.left < frozen:  # what nobody needs is not searched on
                await asyncio.sleep(0.005)


async def test_a_search_that_has_failed_early_is_made_again(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted() as rooms:
        await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        rooms.library.begin_gate = asyncio.Event()
        rooms.search.error = NotFound("not now", reason="NOVEL_NOT_FOUND")
        reading = asyncio.create_task(all_of(rooms.stub.StreamReply(reply_request("r-2"), metadata=as_reader)))
        await count(rooms.search.searches, 2)
        await asyncio.sleep(0.1)  # until its answer is here
        rooms.search.error = None
        rooms.library.begin_gate.set()
        events = await reading
    assert events[-1].complete.passage_ids
    assert not events[-1].complete.degraded


class Nothing:
    """A search that finds nothing."""

    async def search_passages(self, *_: Any, **__: Any) -> list[Passage]:
        return []

    get_passages = search_passages

    async def describe_character(self, character_id: str, *, until_chapter: int) -> str:
        return ""


async def test_it_is_begun_for_the_reader_and_the_conversation_that_library_has_told_of() -> None:
    one, other = (Identity(str(uuid.uuid4()), guest=True, expires_at=1e12, token="t") for _ in range(2))
    ahead = Ahead(PassageFinder(Nothing()))
    identity.enter(one)
    said = ReplyTo("c", "Why?")
    assert ahead.begin(said) is None
    ahead.learn(Reply("c", "m", Outcome.PENDING, 1), replace(CONTEXT, until_chapter=4, character_id="e"))
    for work in (ReplyTo("c", "Why\r\nthat?"), Edit("c", "m", "Why\nthat?")):
        early = ahead.begin(work)
        assert early is not None
        assert early.asked == Asked("n", "Why\nthat? A letter", 4, "e")
        assert await early.answer == ([], "")
    for other_work in (ReplyTo("d", "Why?"), Regeneration("c", "m"), OpeningOf("s", "e")):
        assert ahead.begin(other_work) is None
    identity.enter(other)
    assert ahead.begin(said) is None
