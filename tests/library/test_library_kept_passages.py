"""Passages that the library keeps for when search does not answer."""

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb
from gaji.search.v1 import search_service_pb2 as search_pb

from mesh import deadlines, priority
from mesh.errors import Unavailable
from services.library.domain import kept
from services.library.domain.keeping import Keeping
from services.library.models import StoredPassage
from tests.library.conftest import FakeSearch, LibraryClient, Reader, eventually
from tests.library.talk import Talk


async def a_novel(library: LibraryClient, reader: Reader, search: FakeSearch, passages: int = 12) -> str:
    """A novel whose passage n is of chapter n, ingested."""
    novel_id = await library.novel(reader)
    search.passages[novel_id] = [str(uuid4()) for _ in range(passages)]
    await library.watch(reader, novel_id)
    return novel_id


async def a_talk(library: LibraryClient, reader: Reader, search: FakeSearch, novel_id: str, **scenario: object) -> Talk:
    made = await library.scenario(reader, novel_id, **scenario)
    talk = Talk(library, reader, made.scenario_id, search.add_character(novel_id))
    request = pb.CreateConversationRequest(scenario_id=talk.scenario_id, character_id=talk.character_id)
    talk.conversation_id = (await reader.call(library.conversations.CreateConversation, request)).conversation_id
    return talk


def chapters(passages: object) -> list[int]:
    return [passage.chapter for passage in passages]  # type: ignore[attr-defined] # a repeated field


async def test_a_reply_is_given_what_its_scenario_was_built_on_and_what_stands_for_its_novel(
    library: LibraryClient, search: FakeSearch
) -> None:
    search.defaults = [search_pb.Passage(id=str(uuid4()), content=f"Default {n}.", chapter=n) for n in (1, 4, 9)]
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    talk = await a_talk(library, ada, search, novel_id)
    search.trouble = Unavailable("down")
    context = (await talk.say("Hello")).context
    assert [(p.passage_id, p.content, p.chapter) for p in context.scenario_passages] == [
        (passage_id, f"Text {n}.", n) for n, passage_id in enumerate(search.passages[novel_id][:8])
    ]
    assert [p.content for p in context.novel_passages] == ["Default 1.", "Default 4.", "Default 9."]

    opening = (await talk.get(talk.conversation_id)).reply
    taken = await talk.take(opening.message_id, 0)
    assert taken.context.scenario_passages == context.scenario_passages
    assert taken.context.novel_passages == context.novel_passages


async def test_none_beyond_the_spoiler_limit_is_handed_out_however_it_is_set_later(
    library: LibraryClient, search: FakeSearch
) -> None:
    search.defaults = [search_pb.Passage(id=str(uuid4()), content=f"Default {n}.", chapter=n) for n in (0, 1, 4, 9)]
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    given = search.passages[novel_id][3:6]
    talk = await a_talk(library, ada, search, novel_id, passage_ids=given, until_chapter=4)
    context = (await talk.say("Hello")).context
    assert chapters(context.scenario_passages) == [3, 4]
    assert chapters(context.novel_passages) == [0, 1, 4]
    update = library.scenarios.UpdateScenario
    await ada.call(update, scenarios_pb.UpdateScenarioRequest(scenario_id=talk.scenario_id, until_chapter=0))
    context = (await talk.say("And now?")).context
    assert (chapters(context.scenario_passages), chapters(context.novel_passages)) == ([], [0])


async def test_what_an_earlier_release_did_not_keep_is_fetched_when_a_reply_begins(
    library: LibraryClient, search: FakeSearch, postgres_url: str
) -> None:
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    talk = await a_talk(library, ada, search, novel_id)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("DELETE FROM scenario_passages; DELETE FROM novel_passages")
    finally:
        await connection.close()
    search.characters[talk.character_id].passage_ids[:] = [search.passages[novel_id][n] for n in (7, 2)]
    first = (await talk.say("Hello")).context
    assert not first.scenario_passages

    async def fetched() -> bool:
        context = (await talk.say("Hello again")).context
        return len(context.scenario_passages) == 8 and chapters(context.novel_passages) == [2, 7]

    await eventually(fetched)


async def test_what_is_fetched_in_the_background_makes_way_for_readers() -> None:
    """Each reply of a release without kept passages begins two fetches, and nobody waits for them."""
    asked = asyncio.get_running_loop().create_future()

    class Search:
        async def default_passages(self, *_: object) -> list[StoredPassage]:
            asked.set_result((priority.current(), deadlines.remaining()))
            return []

    class Store:
        async def keep_of_novel(self, *_: object) -> None: ...

    keeping: Any = Keeping(Store(), None, Search())  # type: ignore[arg-type]  # what is not asked for is left out
    novel = SimpleNamespace(novel_id=uuid4(), title="A novel", searchable=True, characters=0)
    with deadlines.scope(5):
        keeping.look_after(
            SimpleNamespace(
                novel=novel, scenario=SimpleNamespace(passage_ids=[]), kept=SimpleNamespace(novel=None, scenario=None)
            )
        )
    assert await asyncio.wait_for(asked, 10) == (priority.BATCH, None)
    assert priority.current() == priority.INTERACTIVE
    await keeping.stop()


async def test_a_novel_without_characters_is_stood_for_by_what_is_near_its_title(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search, passages=3)
    talk = await a_talk(library, ada, search, novel_id)

    async def fetched() -> bool:
        return chapters((await talk.say("Hello")).context.novel_passages) == [0, 1, 2]

    await eventually(fetched)
    assert search.searches[-1].query == "The Tower"


async def test_a_scenario_made_without_search_has_none_and_its_talk_goes_on(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    search.trouble = Unavailable("down")
    scenario = await library.scenario(ada, novel_id)
    search.trouble = None
    talk = Talk(library, ada, scenario.scenario_id, search.add_character(novel_id))
    begun = await talk.open()
    assert not begun.context.scenario_passages
    assert begun.lease_id


async def test_why_a_reply_is_degraded_is_kept_and_shown(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    talk = await a_talk(library, ada, search, await a_novel(library, ada, search))
    begun = await talk.say("Hello")
    record = pb.ReplyRecord(provider="scripted", degraded=["PROVIDER_FALLBACK", "SEARCH_UNAVAILABLE"])
    request = pb.CompleteReplyRequest(
        message_id=begun.reply.message_id, lease_id=begun.lease_id, content="Well.", record=record
    )
    await library.nobody.call(library.conversations.CompleteReply, request)
    shown = (await talk.messages())[-1]
    assert list(shown.record.degraded) == ["PROVIDER_FALLBACK", "SEARCH_UNAVAILABLE"]


async def test_they_go_with_their_novel(library: LibraryClient, search: FakeSearch, postgres_url: str) -> None:
    search.defaults = [search_pb.Passage(id=str(uuid4()), content="Default.", chapter=1)]
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    await library.scenario(ada, novel_id)
    connection = await asyncpg.connect(postgres_url)
    try:
        counted = "SELECT (SELECT count(*) FROM scenario_passages) + (SELECT count(*) FROM novel_passages)"
        assert await connection.fetchval(counted) == 2
        await ada.call(library.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
        assert await connection.fetchval(counted) == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("most", [kept.OF_SCENARIO, kept.OF_NOVEL])
def test_what_is_kept_is_bounded(most: int) -> None:
    many = [StoredPassage(UUID(int=n, version=4), " " if n == 3 else "x" * 5_000, n) for n in range(100)]
    found = kept.bounded(many, most)
    assert [len(passage.content) for passage in found] == [1_200] * (most - 1)
