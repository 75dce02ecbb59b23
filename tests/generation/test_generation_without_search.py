"""Replies while search is away: from the passages that library keeps, marked as such."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from gaji.library.v1 import conversation_service_pb2 as library_pb
from hypothesis import given
from hypothesis import strategies as st

from mesh.client import open_channel
from mesh.config import MeshSettings
from mesh.errors import NotFound, Unavailable
from mesh.telemetry.metrics import REGISTRY
from services.generation.clients import SEARCH, SearchClient
from services.generation.domain.passages import PassageFinder
from services.generation.domain.stand_ins import stand_ins
from services.generation.ports import Passage, ReplyContext
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.rooms import Rooms, open_rooms
from tests.generation.test_generation_servicer import all_of, reply_request, words
from tests.mesh.raw_server import FakeGate, open_raw

Open = Callable[..., AbstractAsyncContextManager[Rooms]]
CONTEXT = ReplyContext("n", "Pride and Prejudice", "Jane Austen", "A letter", "She keeps it.", "Elizabeth", "Lively.")


@pytest.fixture
def open_scripted(jwt_keys: JwtKeys, redis_url: str) -> Open:
    def run(**changes: Any) -> AbstractAsyncContextManager[Rooms]:
        values = {"jwt_public_key_file": jwt_keys.public, "redis_url": redis_url, "passages_seconds": 0.2, **changes}
        return open_rooms(make_settings(**values), ScriptedModel(3, 0))

    return run


def kept(*numbers: int, of: str = "s") -> list[library_pb.StoredPassage]:
    """Passages of the chapters with these numbers."""
    return [library_pb.StoredPassage(passage_id=f"{of}{n}", content=f"Kept text {n}.", chapter=n) for n in numbers]


@pytest.mark.parametrize("trouble", ["down", "frozen", "without the novel"])
async def test_kept_passages_stand_in_and_the_reply_says_so(open_scripted: Open, as_reader: Any, trouble: str) -> None:
    async with open_scripted(retries=False) as rooms:
        rooms.library.scenario_passages = kept(1, 2)
        rooms.library.novel_passages = kept(2, 4, 5, 6, 7, 8, of="n")
        if trouble == "frozen":
            rooms.search.gate = asyncio.Event()
        else:
            rooms.search.error = Unavailable("down") if trouble == "down" else NotFound("no such novel")
        events = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
        complete = events[-1].complete
        assert complete.content == words(3)
        assert list(complete.passage_ids) == ["s1", "s2", "n2", "n4", "n5", "n6"]
        assert list(complete.degraded) == ["SEARCH_UNAVAILABLE"]
        assert events[1].progress.message == "Search does not answer; took 6 passages kept for this"
        assert list(rooms.library.completed[0].record.degraded) == ["SEARCH_UNAVAILABLE"]

        rooms.search.error, rooms.search.gate = None, None
        events = await all_of(rooms.stub.StreamReply(reply_request("r-2"), metadata=as_reader))
        assert not events[-1].complete.degraded, "search is back"
        assert list(events[-1].complete.passage_ids) == [f"p{n}" for n in range(6)]
        assert not rooms.library.completed[1].record.degraded


async def test_nothing_beyond_the_spoiler_limit_is_given_whoever_kept_it(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(retries=False) as rooms:
        rooms.search.error = Unavailable("down")
        rooms.library.until_chapter = 0
        rooms.library.scenario_passages = kept(0, 1, 9)
        rooms.library.novel_passages = kept(1, 2, of="n")
        events = await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    assert list(events[-1].complete.passage_ids) == ["s0"]


async def test_every_message_is_answered_while_search_is_dead(open_scripted: Open, as_reader: Any) -> None:
    before = REGISTRY.get_sample_value("gaji_generations_degraded_total", {"reason": "SEARCH_UNAVAILABLE"}) or 0
    async with open_scripted(search_target="127.0.0.1:1") as rooms:
        rooms.search.error = Unavailable("down")
        for start in range(0, 100, 20):
            requests = [reply_request(f"r-{start + number}") for number in range(20)]
            calls = [all_of(rooms.stub.StreamReply(request, metadata=as_reader)) for request in requests]
            for events in await asyncio.gather(*calls):
                assert events[-1].complete.content == words(3)
    after = REGISTRY.get_sample_value("gaji_generations_degraded_total", {"reason": "SEARCH_UNAVAILABLE"}) or 0
    assert after - before == 100


async def test_a_frozen_search_is_not_waited_for_again_and_again(open_scripted: Open, as_reader: Any) -> None:
    async with open_scripted(retries=False, breaker_window=4, breaker_minimum_calls=4) as rooms:
        rooms.search.gate = asyncio.Event()
        for number in range(8):
            events = await all_of(rooms.stub.StreamReply(reply_request(f"r-{number}"), metadata=as_reader))
            assert list(events[-1].complete.degraded) == ["SEARCH_UNAVAILABLE"]
        assert len(rooms.search.searches) < 8, "its circuit has opened"
        rooms.search.gate.set()


async def test_a_search_that_is_frozen_is_known_to_be_so() -> None:
    """A reply that waits no longer has not left of itself: else no circuit would ever open, and each reply wait."""
    gate, frozen = FakeGate(), asyncio.Event()

    async def hang(request: bytes, context: Any) -> bytes:
        await frozen.wait()
        return b""

    async with (
        open_raw(unary={f"/{SEARCH.full_name}/{name}": hang for name in ("SearchPassages", "GetPassages")}) as address,
        open_channel(address, MeshSettings(), [SEARCH], gate=gate) as channel,
    ):
        finder = PassageFinder(SearchClient(channel), seconds=0.3)
        for context in (CONTEXT, replace(CONTEXT, scenario_passage_ids=("p",))):
            assert not (await finder.find(context)).searched
    assert gate.ends == [grpc.StatusCode.DEADLINE_EXCEEDED] * 2


def test_passages_with_the_readers_words_come_first_in_each_group() -> None:
    def of(name: str, *texts: str) -> tuple[Passage, ...]:
        return tuple(Passage(f"{name}{n}", text, n) for n, text in enumerate(texts))

    context = replace(
        CONTEXT,
        scenario_passages=of("s", "The ball at Netherfield.", "She read the letter twice.", "Rain over Longbourn."),
        novel_passages=of("n", "Nothing of that.", "A letter from Mr Darcy.", "그녀는 편지를 읽었다."),
    )
    found = [passage.passage_id for passage in stand_ins(context, "What did Darcy's letter say?", 6)]
    assert found == ["s1", "s0", "s2", "n1", "n0", "n2"]
    assert [passage.passage_id for passage in stand_ins(context, "편지는 어디에 있나요?", 4)][-1] == "n2"
    assert [passage.passage_id for passage in stand_ins(context, "", 2)] == ["s0", "s1"]


passages = st.lists(
    st.builds(Passage, st.sampled_from("abcdef"), st.text(max_size=50), st.integers(0, 9)), max_size=36
).map(tuple)


@given(passages, passages, st.text(max_size=60), st.integers(1, 10), st.none() | st.integers(0, 9))
def test_stand_ins_are_few_different_and_within_the_limit(
    first: tuple[Passage, ...], second: tuple[Passage, ...], query: str, most: int, limit: int | None
) -> None:
    context = replace(CONTEXT, scenario_passages=first, novel_passages=second, until_chapter=limit)
    found = stand_ins(context, query, most)
    allowed = [p for p in first + second if limit is None or p.chapter <= limit]
    assert len(found) == min(most, len({p.passage_id for p in allowed}))
    assert len({p.passage_id for p in found}) == len(found)
    assert all(p in allowed for p in found)
