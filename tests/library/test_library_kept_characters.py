"""Conversations that begin while search does not answer, with the characters that the library keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest
from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2 as novels_pb

from mesh.errors import DeadlineExceeded, InvalidArgument, MeshError, NotFound, ResourceExhausted, Unavailable
from mesh.telemetry.metrics import REGISTRY
from services.library.domain import kept
from services.library.models import Character
from tests.fixtures.servers import JwtKeys
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader, eventually, serve_search
from tests.library.talk import UNKNOWN, Talk

CAST = ["Ada", "Bertram"]


@pytest.fixture
def search(search: FakeSearch) -> FakeSearch:
    """One that finds two people in each novel."""
    search.cast = list(CAST)
    return search


@asynccontextmanager
async def rows_of(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    try:
        yield connection
    finally:
        await connection.close()


async def a_talk(library: LibraryClient, search: FakeSearch, reader: Reader, **novel: object) -> Talk:
    """A scenario of a novel that has been ingested, and its first character; there is no conversation yet."""
    novel_id = await library.novel(reader, **novel)
    await library.watch(reader, novel_id)
    scenario = await library.scenario(reader, novel_id)
    return Talk(library, reader, scenario.scenario_id, first_of(search, novel_id))


def first_of(search: FakeSearch, novel_id: str) -> str:
    return next(c.character_id for c in search.characters.values() if c.novel_id == novel_id)


async def post(talk: Talk, **changes: str) -> pb.CreateConversationResponse:
    """Begins a conversation whose opening is written by somebody else."""
    request = pb.CreateConversationRequest(scenario_id=talk.scenario_id, character_id=talk.character_id)
    request.MergeFrom(pb.CreateConversationRequest(**changes))
    return await talk.reader.call(talk.library.conversations.CreateConversation, request)


@pytest.mark.parametrize(
    "trouble",
    [Unavailable("down"), DeadlineExceeded("late"), ResourceExhausted("busy")],
    ids=["unavailable", "deadline_exceeded", "resource_exhausted"],
)
async def test_a_conversation_begins_with_the_kept_character(
    library: LibraryClient, search: FakeSearch, trouble: MeshError
) -> None:
    talk = await a_talk(library, search, await library.guest())
    before = (await talk.open()).context
    used = REGISTRY.get_sample_value("gaji_kept_characters_used_total") or 0
    search.trouble = trouble
    begun = await talk.open()
    assert begun.lease_id
    assert begun.context.character_name == before.character_name == "Ada"
    assert begun.context.character_description == before.character_description == "Ada of the tower."
    talk.conversation_id = (await post(talk)).conversation_id
    assert (await talk.conversation()).character_name == "Ada"
    assert (await talk.say("Hello")).context.character_description == "Ada of the tower."
    assert REGISTRY.get_sample_value("gaji_kept_characters_used_total") == used + 2


async def test_a_search_that_was_stopped_is_done_without(
    open_client: OpenLibrary, search: FakeSearch, jwt_keys: JwtKeys
) -> None:
    async with serve_search(search, jwt_keys) as address:
        async with open_client(search_target=address) as library:
            talk = await a_talk(library, search, await library.guest())
            await talk.open()
    async with open_client(search_target=address) as library:  # nobody is there any more
        again = Talk(library, talk.reader, talk.scenario_id, talk.character_id)
        assert (await again.open()).context.character_name == "Ada"
        assert (await post(again)).conversation_id


async def test_a_search_that_is_stuck_is_waited_for_a_moment_and_then_no_more(
    open_client: OpenLibrary, search: FakeSearch
) -> None:
    async with open_client(character_seconds=0.1, breaker_window=4, breaker_minimum_calls=4) as library:
        talk = await a_talk(library, search, await library.guest())
        await talk.open()
        search.stuck, search.asked = True, 0
        for _ in range(8):
            assert (await talk.open()).context.character_name == "Ada"
        assert search.asked < 8, "its circuit has opened"
        asked = search.asked
        assert (await post(talk)).conversation_id
        assert search.asked == asked
        search.stuck = False


async def test_who_is_unknown_or_not_to_be_seen_is_not_found_without_search_either(
    library: LibraryClient, search: FakeSearch
) -> None:
    ada, bob = await library.guest(), await library.guest()
    private = await a_talk(library, search, ada, visibility=novels_pb.VISIBILITY_PRIVATE)
    public = await a_talk(library, search, ada)
    own = await a_talk(library, search, bob)
    search.trouble = Unavailable("down")
    for stranger in (UNKNOWN, private.character_id):
        with pytest.raises(NotFound) as refused:
            await own.open(character_id=stranger)
        assert refused.value.reason == "CHARACTER_NOT_FOUND"
        with pytest.raises(NotFound):
            await post(own, character_id=stranger)
    with pytest.raises(InvalidArgument) as wrong:
        await own.open(character_id=public.character_id)
    assert set(wrong.value.fields) == {"character_id"}
    mixed = Talk(library, ada, public.scenario_id, private.character_id)
    with pytest.raises(InvalidArgument):
        await mixed.open()
    with pytest.raises(NotFound, match="scenario"):
        await Talk(library, bob, private.scenario_id, private.character_id).open()
    assert (await private.open()).context.character_name == "Ada"


async def test_where_they_are_not_kept_the_trouble_is_told(library: LibraryClient, search: FakeSearch) -> None:
    search.tells_cast = False
    ada = await library.guest()
    novel_id = await library.novel(ada)
    await library.watch(ada, novel_id)
    search.trouble = Unavailable("down", reason="SEARCH_DOWN")
    scenario = await library.scenario(ada, novel_id)
    talk = Talk(library, ada, scenario.scenario_id, first_of(search, novel_id))
    for character_id in (talk.character_id, UNKNOWN):  # which of them is one, nobody here can tell
        with pytest.raises(Unavailable) as told:
            await talk.open(character_id=character_id)
        assert told.value.reason == "SEARCH_DOWN"


@pytest.mark.parametrize("by", ["scenario", "reply"])
async def test_what_an_earlier_release_did_not_keep_is_fetched_in_time(
    open_client: OpenLibrary, search: FakeSearch, postgres_url: str, by: str
) -> None:
    search.tells_cast = False
    async with open_client() as library, rows_of(postgres_url) as rows:
        ada = await library.guest()
        novel_id = await library.novel(ada)
        await library.watch(ada, novel_id)

        async def fetched() -> bool:
            found = await rows.fetch("SELECT name FROM novel_characters WHERE novel_id = $1 ORDER BY 1", UUID(novel_id))
            return [row["name"] for row in found] == CAST

        assert not await fetched()
        if by == "reply":
            search.trouble = Unavailable("down")
        scenario = await library.scenario(ada, novel_id)
        talk = Talk(library, ada, scenario.scenario_id, first_of(search, novel_id))
        if by == "reply":
            search.trouble = None
            async with open_client() as other:  # which does not know that one has just tried
                await Talk(other, ada, talk.scenario_id, talk.character_id).open()
                await eventually(fetched)
        else:
            await eventually(fetched)
        search.trouble = Unavailable("down")
        assert (await talk.open()).context.character_name == "Ada"


async def test_they_go_with_their_novel(library: LibraryClient, search: FakeSearch, postgres_url: str) -> None:
    ada = await library.guest()
    talk = await a_talk(library, search, ada)
    novel_id = search.characters[talk.character_id].novel_id
    async with rows_of(postgres_url) as rows:
        counted = "SELECT count(*) FROM novel_characters WHERE novel_id = $1"
        assert await rows.fetchval(counted, UUID(novel_id)) == 2
        await ada.call(library.novels.DeleteNovel, novels_pb.DeleteNovelRequest(novel_id=novel_id))
        assert await rows.fetchval(counted, UUID(novel_id)) == 0


def test_what_is_kept_is_bounded() -> None:
    novel_id = uuid4()
    many = [Character(uuid4(), novel_id, "n" * 500, "d" * 5_000, 1) for _ in range(150)]
    found = kept.people(many)
    assert [one.character_id for one in found] == [one.character_id for one in many[:100]]
    assert {(len(one.name), len(one.description)) for one in found} == {(200, 2_000)}
