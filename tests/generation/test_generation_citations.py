"""What replies tell of their sources, and that neither they nor prompts go beyond the spoiler limit."""

import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio
from gaji.generation.v1 import generation_service_pb2 as pb
from gaji.library.v1 import citation_pb2
from gaji.library.v1 import conversation_service_pb2 as library_pb
from hypothesis import given
from hypothesis import strategies as st

from mesh import plain_text, streams
from mesh.errors import Unavailable
from mesh.streamlog.redis_log import names
from services.generation.config import GenerationSettings
from services.generation.domain.passages import PassageFinder
from services.generation.domain.prompt import build
from services.generation.domain.sources import EXCERPT, Sources, citations, excerpt
from services.generation.ports import Message, Passage, ReplyContext
from services.generation.providers.openai import open_provider as open_openai
from services.generation.providers.scripted import ScriptedModel
from tests.fixtures.servers import JwtKeys
from tests.generation.conftest import make_settings
from tests.generation.http_fake import HttpFake
from tests.generation.rooms import CONVERSATION, Rooms, open_generation, open_peers, open_rooms
from tests.generation.test_generation_servicer import all_of, reply_request, says, words
from tests.generation.test_generation_takeover import DyingModel

CONTEXT = ReplyContext("n", "Emma", "Jane Austen", "A letter", "She keeps it.", "Emma", "ALL-OF-IT", character_id="c")


@pytest.fixture
def settings(jwt_keys: JwtKeys, redis_url: str) -> GenerationSettings:
    return make_settings(
        jwt_public_key_file=jwt_keys.public, redis_url=redis_url, log_lease_seconds=0.6, passages_seconds=1.0
    )


def found(number: int) -> citation_pb2.Citation:
    """How a passage is cited that search has found."""
    return citation_pb2.Citation(
        passage_id=f"p{number}",
        chapter=number,
        chapter_title=f"CHAPTER {number}",
        position=10 * number,
        excerpt=f"Found passage {number}.",
        score=0.9 - number / 10,
    )


async def test_a_reply_names_its_sources_to_its_reader_and_to_library(
    settings: GenerationSettings, redis_url: str, as_reader: Any
) -> None:
    async with open_peers(settings) as peers:
        async with open_generation(peers, ScriptedModel(3, 0)) as rooms:
            first = await all_of(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader))
            complete = first[-1].complete
            assert list(complete.citations) == [found(n) for n in range(6)]
            assert [one.passage_id for one in complete.citations] == list(complete.passage_ids)
            assert list(peers.library.completed[0].record.citations) == list(complete.citations)

            watch = pb.WatchReplyRequest(conversation_id=CONVERSATION, message_id=complete.message_id)
            again = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
            assert again[-1].complete == complete
            watch.after = first[3].cursor
            resumed = await all_of(rooms.stub.WatchReply(watch, metadata=as_reader))
            assert resumed[-1].complete == complete

        # Of a log that is gone the stored message tells the same, at any replica.
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            assert await client.delete(*names(UUID(complete.message_id)))
        async with open_generation(peers, ScriptedModel(3, 0)) as second:
            watch.after = ""
            told = await all_of(second.stub.WatchReply(watch, metadata=as_reader))
    assert told[0].progress.message == "The reply is there"
    assert list(told[-1].complete.citations) == list(complete.citations)


async def test_a_stopped_reply_and_one_without_search_name_theirs(settings: GenerationSettings, as_reader: Any) -> None:
    async with open_rooms(settings, ScriptedModel(1000, 100)) as rooms:
        rooms.search.error = Unavailable("down")
        rooms.library.scenario_passages = [
            library_pb.StoredPassage(passage_id="s1", content="Kept text.", chapter=1, chapter_title="One", position=7),
            library_pb.StoredPassage(passage_id="s2", content="Kept before titles were.", chapter=2),
        ]
        events: list[Any] = []
        async with streams.opened(rooms.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
            async for event in messages:
                events.append(event)
                if len([one for one in events if one.HasField("token")]) == 1:
                    message_id = next(iter(rooms.library.rows.values())).message.message_id
                    stop = pb.StopReplyRequest(conversation_id=CONVERSATION, message_id=message_id)
                    await rooms.stub.StopReply(stop, metadata=as_reader)
        stopped = events[-1].stopped
    assert list(stopped.degraded) == ["SEARCH_UNAVAILABLE"]
    assert list(stopped.citations) == [
        citation_pb2.Citation(passage_id="s1", chapter=1, chapter_title="One", position=7, excerpt="Kept text."),
        citation_pb2.Citation(passage_id="s2", chapter=2, excerpt="Kept before titles were."),
    ]
    assert not stopped.citations[1].HasField("position"), "0 would be a place"
    assert list(rooms.library.stopped[0].record.citations) == list(stopped.citations)


async def test_whoever_takes_a_reply_over_names_the_same_sources(settings: GenerationSettings, as_reader: Any) -> None:
    async with open_peers(settings) as peers, open_generation(peers, ScriptedModel(60, 0)) as second:
        peers.library.until_chapter = 3
        peers.search.descriptions = {2: "Seen by chapter 2."}
        async with open_generation(peers, DyingModel(25)) as first:
            async with streams.opened(first.stub.StreamReply(reply_request("r-1"), metadata=as_reader)) as messages:
                seen = []
                async for event in messages:
                    seen.append(event)
                    if "".join(one.token.content for one in seen) == words(25):
                        break
        after = next(event.cursor for event in reversed(seen) if event.cursor)
        request = pb.StreamReplyRequest(conversation_id=CONVERSATION, after=after)
        rest = await all_of(second.stub.StreamReply(request, metadata=as_reader))
    assert list(rest[-1].complete.citations) == [found(n) for n in range(4)]
    assert len(peers.search.searches) == len(peers.search.asked) == 1, "what it is made of is the same"


@asynccontextmanager
async def remote(settings: GenerationSettings, http_fake: HttpFake) -> AsyncIterator[Rooms]:
    changed = settings.model_copy(update={"openai_base_url": http_fake.url, "openai_model": "tiny"})
    http_fake.answer = says("Good day.")
    async with open_rooms(changed, await open_openai(changed)) as rooms:
        yield rooms


async def prompt_under(rooms: Rooms, http_fake: HttpFake, as_reader: Any, limit: int | None) -> str:
    """All that the model is told under a limit."""
    rooms.library.until_chapter = limit
    await all_of(rooms.stub.StreamReply(reply_request(), metadata=as_reader))
    return str(http_fake.exchanges[-1].body["messages"])


async def test_a_prompt_tells_of_a_character_what_the_reader_has_read(
    settings: GenerationSettings, http_fake: HttpFake, as_reader: Any
) -> None:
    async with remote(settings, http_fake) as rooms:
        rooms.search.descriptions = {2: "Seen by chapter 2.", 4: "Seen by chapter 4."}
        whole = await prompt_under(rooms, http_fake, as_reader, None)
        assert "Lively and playful." in whole
        assert not rooms.search.asked, "without a limit library tells"
        for limit, shown in ((4, "Seen by chapter 4."), (3, "Seen by chapter 2."), (0, "")):
            told = await prompt_under(rooms, http_fake, as_reader, limit)
            assert ("<character>" in told) == bool(shown)
            assert shown in told
            assert "Lively" not in told
            assert f"[chapter {limit + 1}]" not in told, "the search here finds what it must not"
        rooms.search.knows_limits = False
        told = await prompt_under(rooms, http_fake, as_reader, 4)
        assert "Everything of her." not in told, "a search that knows no limit tells of the whole novel"


class Leaking:
    """A search that heeds no limit."""

    def __init__(self, passages: list[Passage]) -> None:
        self._passages = passages

    async def search_passages(self, *_: Any, **__: Any) -> list[Passage]:
        return self._passages

    async def get_passages(self, *_: Any, **__: Any) -> list[Passage]:
        return self._passages[::-1]

    async def describe_character(self, character_id: str, *, until_chapter: int) -> str:
        raise Unavailable("down")


texts = st.text(alphabet=string.ascii_letters + " ", min_size=1, max_size=600)
passages = st.lists(
    st.builds(Passage, passage_id=st.uuids().map(str), content=texts, chapter=st.integers(0, 9), score=st.floats(0, 1)),
    max_size=9,
    unique_by=lambda passage: passage.passage_id,
)


@given(passages, passages, passages, st.none() | st.integers(0, 9), st.booleans())
async def test_neither_prompt_nor_citation_goes_beyond_the_limit_whoever_finds_them(
    leaked: list[Passage], of_scenario: list[Passage], of_novel: list[Passage], limit: int | None, opening: bool
) -> None:
    context = replace(
        CONTEXT,
        until_chapter=limit,
        scenario_passage_ids=tuple(passage.passage_id for passage in leaked),
        scenario_passages=tuple(of_scenario),
        novel_passages=tuple(of_novel),
        history=() if opening else (Message("m", "user", "And then?"),),
    )
    marked = {passage.passage_id: passage for passage in leaked + of_scenario + of_novel}
    chosen = await PassageFinder(Leaking(leaked)).find(context)
    built = build(replace(context, limited_description=chosen.description), chosen.passages, tokens=4000)
    assert set(built.passage_ids) <= set(marked)
    cited = citations(chosen.passages, built.passage_ids)
    assert [one.passage_id for one in cited] == list(built.passage_ids)
    if limit is not None:
        assert all(marked[passage_id].chapter <= limit for passage_id in built.passage_ids)
        assert all(one.chapter <= limit for one in cited)
        assert "ALL-OF-IT" not in built.prompt.system
    assert all(len(one.excerpt) <= EXCERPT for one in cited)


@given(st.text(max_size=700))
def test_an_excerpt_is_the_beginning_in_one_line(content: str) -> None:
    short = excerpt(content)
    assert len(short) <= EXCERPT
    assert "\n" not in short
    assert "\0" not in short
    assert plain_text.line(content.replace("\0", "")).startswith(short.removesuffix("…").rstrip())


def test_an_excerpt_ends_at_a_word() -> None:
    text = "It is a truth universally acknowledged " * 10
    assert excerpt(text).removesuffix("…").split()[-1] in text.split()
    assert excerpt(" One\n\nparagraph. ") == "One paragraph."
    assert len(excerpt("x" * 300)) == EXCERPT


@given(passages, st.text(max_size=50))
def test_sources_are_noted_whole(found: list[Passage], description: str) -> None:
    noted = Sources.loads(Sources.of(found, description).dumps())
    bare = [Passage(passage.passage_id, passage.content, passage.chapter) for passage in found]
    assert noted.told(bare) == found
    assert noted.description == description
    assert Sources().told(bare) == bare, "an earlier release has noted no more"
