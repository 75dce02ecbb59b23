"""The spoiler limit where library has a hand in it, reading progress, and the sources of stored replies."""

from typing import Any
from uuid import uuid4

import pytest
from gaji.library.v1 import citation_pb2
from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import reading_service_pb2 as readings_pb
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb
from gaji.search.v1 import search_service_pb2 as search_pb
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument, NotFound, Unauthenticated
from services.library.models import spoiler_limit
from tests.library.conftest import FakeSearch, LibraryClient, Reader
from tests.library.talk import RECORD, Talk, make_talk
from tests.library.test_library_kept_passages import a_novel, a_talk, chapters


async def read(
    library: LibraryClient, reader: Reader, novel_id: str, chapter: int | None
) -> readings_pb.ReadingProgress:
    request = readings_pb.SetReadingProgressRequest(novel_id=novel_id, chapter=chapter)
    return (await reader.call(library.readings.SetReadingProgress, request)).progress


async def progress(library: LibraryClient, reader: Reader, novel_id: str) -> readings_pb.ReadingProgress:
    request = readings_pb.GetReadingProgressRequest(novel_id=novel_id)
    return (await reader.call(library.readings.GetReadingProgress, request)).progress


async def update(library: LibraryClient, reader: Reader, talk: Talk, **fields: Any) -> scenarios_pb.Scenario:
    request = scenarios_pb.UpdateScenarioRequest(scenario_id=talk.scenario_id, **fields)
    return (await reader.call(library.scenarios.UpdateScenario, request)).scenario


async def test_a_reply_keeps_its_sources(library: LibraryClient, search: FakeSearch) -> None:
    talk = await make_talk(library, search)
    record = pb.ReplyRecord()
    record.CopyFrom(RECORD)
    record.citations.add(
        passage_id="p\0", chapter=3, chapter_title="III. The\0 Ring", position=0, excerpt="They found\0 it.", score=0.5
    )
    record.citations.add(passage_id="q", chapter=1)
    begun = await talk.say("Hello")
    request = pb.CompleteReplyRequest(
        message_id=begun.reply.message_id, lease_id=begun.lease_id, content="Good day.", record=record
    )
    stored = (await library.nobody.call(library.conversations.CompleteReply, request)).reply
    assert list(stored.record.citations) == [
        citation_pb2.Citation(
            passage_id="p", chapter=3, chapter_title="III. The Ring", position=0, excerpt="They found it.", score=0.5
        ),
        citation_pb2.Citation(passage_id="q", chapter=1),
    ]
    assert [one.HasField("position") for one in stored.record.citations] == [True, False]
    assert (await talk.messages())[-1].record == stored.record
    assert (await talk.get(talk.conversation_id, stored.message_id)).reply.record == stored.record


async def test_what_is_kept_can_be_cited(library: LibraryClient, search: FakeSearch) -> None:
    search.defaults = [
        search_pb.Passage(id=str(uuid4()), content="It was.", chapter=2, chapter_title="CHAPTER II", position=9)
    ]
    ada = await library.guest()
    talk = await a_talk(library, ada, search, await a_novel(library, ada, search))
    context = (await talk.say("Hello")).context
    (passage,) = context.novel_passages
    assert (passage.chapter_title, passage.position) == ("CHAPTER II", 9)
    assert [one.position for one in context.scenario_passages] == list(range(8))


async def test_a_lower_limit_takes_the_later_passages_from_a_scenario(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    given = [search.passages[novel_id][n] for n in (9, 2, 5, 1)]
    talk = await a_talk(library, ada, search, novel_id, passage_ids=given)
    assert list((await update(library, ada, talk, title="Another")).passage_ids) == given
    assert list((await update(library, ada, talk, until_chapter=9)).passage_ids) == given
    lower = await update(library, ada, talk, until_chapter=2)
    assert list(lower.passage_ids) == [given[1], given[3]]
    context = (await talk.say("Hello")).context
    assert list(context.scenario.passage_ids) == [given[1], given[3]]
    assert list((await update(library, ada, talk, until_chapter=12)).passage_ids) == [given[1], given[3]]
    without = await update(library, ada, talk, clear_until_chapter=True)
    assert not without.HasField("until_chapter")
    assert list(without.passage_ids) == [given[1], given[3]]
    assert (await update(library, ada, talk, until_chapter=0)).until_chapter == 0
    with pytest.raises(InvalidArgument) as both:
        await update(library, ada, talk, until_chapter=1, clear_until_chapter=True)
    assert list(both.value.fields) == ["clear_until_chapter"]


async def test_under_a_limit_nobody_is_told_what_the_whole_novel_shows_of_a_character(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    talk = await a_talk(library, ada, search, await a_novel(library, ada, search))
    assert (await talk.say("Hello")).context.character_description == "Ada of the tower."
    await update(library, ada, talk, until_chapter=0)
    context = (await talk.say("And now?")).context
    assert (context.character_name, context.character_description) == ("Ada", "")


async def test_a_conversation_bears_the_name_that_its_reader_has_read(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada = await library.guest()
    novel_id = await a_novel(library, ada, search)
    character_id = search.add_character(novel_id, "Mr. Grey")
    search.known_as = {0: "A voice", 1: "The Stranger"}

    async def name(**limit: Any) -> str:
        scenario = await library.scenario(ada, novel_id, **limit)
        context = (await Talk(library, ada, scenario.scenario_id, character_id).open()).context
        return context.character_name

    assert await name() == "Mr. Grey"
    assert await name(until_chapter=1) == "The Stranger"
    assert await name(until_read=True) == "A voice"
    await read(library, ada, novel_id, 1)
    assert await name(until_read=True) == "The Stranger"
    search.characters[character_id].first_chapter = 3
    assert await name(until_chapter=1) == "Mr. Grey", "whom the reader has named before the book does"


async def test_progress_is_a_readers_own(library: LibraryClient, search: FakeSearch) -> None:
    ada, bo = await library.guest(), await library.guest()
    novel_id = await a_novel(library, ada, search)
    nothing = await progress(library, ada, novel_id)
    assert (nothing.novel_id, nothing.HasField("chapter"), nothing.HasField("updated_at")) == (novel_id, False, False)
    said = await read(library, ada, novel_id, 2)
    assert (said.novel_id, said.chapter) == (novel_id, 2)
    assert said.updated_at.seconds > 0
    assert await progress(library, ada, novel_id) == said
    assert not (await progress(library, bo, novel_id)).HasField("chapter")
    assert (await read(library, ada, novel_id, 0)).HasField("chapter"), "chapter 0 read is not nothing read"
    for wrong in (None, -1, 4):  # the novel has 3 chapters
        with pytest.raises(InvalidArgument) as caught:
            await read(library, ada, novel_id, wrong)
        assert list(caught.value.fields) == ["chapter"]
    private = await library.novel(ada, visibility=novels_pb.VISIBILITY_PRIVATE)
    for act in (read(library, bo, private, 1), progress(library, bo, private), read(library, bo, str(uuid4()), 1)):
        with pytest.raises(NotFound):
            await act
    with pytest.raises(Unauthenticated):
        await progress(library, library.nobody, novel_id)
    await ada.call(library.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
    with pytest.raises(NotFound):
        await progress(library, ada, novel_id)


async def test_a_limit_that_is_the_readers_progress_holds_from_the_first_reply_on(
    library: LibraryClient, search: FakeSearch
) -> None:
    search.defaults = [search_pb.Passage(id=str(uuid4()), content=f"Default {n}.", chapter=n) for n in range(4)]
    ada, bo = await library.guest(), await library.guest()
    novel_id = await a_novel(library, ada, search)
    await read(library, ada, novel_id, 2)
    scenario = await library.scenario(
        ada,
        novel_id,
        until_read=True,
        visibility=novels_pb.VISIBILITY_PUBLIC,
        passage_ids=search.passages[novel_id][:3],
    )
    assert scenario.until_read
    assert not scenario.HasField("until_chapter")
    found = await library.scenario(ada, novel_id, until_read=True)
    assert found.until_read
    assert search.searches[-1].until_chapter == 2, "what its owner has read"
    character_id = search.add_character(novel_id)

    async def limit_of(reader: Reader) -> tuple[int, list[int], list[int]]:
        talk = Talk(library, reader, scenario.scenario_id, character_id)
        context = (await talk.open()).context
        assert context.scenario.HasField("until_chapter")
        assert context.character_description == ""
        return context.scenario.until_chapter, chapters(context.scenario_passages), chapters(context.novel_passages)

    assert await limit_of(ada) == (2, [0, 1, 2], [0, 1, 2])
    assert await limit_of(bo) == (0, [0], [0]), "who has said nothing has read nothing"
    await read(library, bo, novel_id, 1)
    assert await limit_of(bo) == (1, [0, 1], [0, 1])
    await read(library, ada, novel_id, 3)
    talk = Talk(library, ada, scenario.scenario_id, character_id)
    await update(library, ada, talk, until_chapter=1)
    assert await limit_of(ada) == (1, [0, 1], [0, 1]), "the lower of both holds"
    opened = await talk.open()
    taken = await talk.take(opened.reply.message_id, opened.epoch)
    assert taken.context.scenario.until_chapter == 1
    shown = await ada.call(
        library.scenarios.GetScenario, scenarios_pb.GetScenarioRequest(scenario_id=scenario.scenario_id)
    )
    assert (shown.scenario.until_chapter, shown.scenario.until_read) == (1, True)
    without = await update(library, ada, talk, until_read=False)
    assert not without.until_read
    assert await limit_of(bo) == (1, [0, 1], [0, 1])


limits = st.none() | st.integers(0, 9)


@given(limits, limits)
def test_absent_progress_fails_closed(until_chapter: int | None, chapter: int | None) -> None:
    assert spoiler_limit(until_chapter, chapter, until_read=False) == until_chapter
    limit = spoiler_limit(until_chapter, chapter, until_read=True)
    assert limit is not None
    assert limit <= (chapter or 0)
    assert until_chapter is None or limit <= until_chapter
