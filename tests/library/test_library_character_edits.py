"""What a novel's owner changes about its characters: kept here, told to search, laid over what is kept."""

from typing import Any

import pytest
from gaji.library.v1 import novel_service_pb2 as pb
from gaji.search.v1 import search_service_pb2 as search_pb

from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader, eventually
from tests.library.talk import UNKNOWN, Talk
from tests.library.test_library_kept_characters import rows_of


class Novel:
    """An ingested novel, its owner and its characters."""

    def __init__(self, library: LibraryClient, search: FakeSearch, owner: Reader, novel_id: str) -> None:
        self.library, self.search, self.owner, self.novel_id = library, search, owner, novel_id
        of_novel = [one for one in search.characters.values() if one.novel_id == novel_id]
        self.ada, self.bertram, self.clara = (one.character_id for one in of_novel)

    async def change(self, by: Reader | None = None, character_id: str = "", **changes: Any) -> pb.EditedCharacter:
        request = pb.UpdateCharacterRequest(character_id=character_id or self.ada, **changes)
        answer = await (by or self.owner).call(self.library.novels.UpdateCharacter, request)
        return answer.character

    def told(self) -> dict[str, search_pb.CharacterEdit]:
        return {edit.character_id: edit for edit in self.search.edits[self.novel_id].edits}


@pytest.fixture
def search(search: FakeSearch) -> FakeSearch:
    search.cast = ["Ada", "Bertram", "Clara"]
    return search


async def a_novel(library: LibraryClient, search: FakeSearch, **fields: Any) -> Novel:
    owner = await library.guest()
    novel_id = await library.novel(owner, **fields)
    await library.watch(owner, novel_id)
    return Novel(library, search, owner, novel_id)


async def test_what_is_present_is_changed_and_search_is_told(library: LibraryClient, search: FakeSearch) -> None:
    novel = await a_novel(library, search)
    changed = await novel.change(name="  Ada \n Lovelace ", hidden=True)
    assert (changed.name, changed.hidden, changed.shown) == ("Ada Lovelace", True, True)
    assert changed.novel_id == novel.novel_id
    assert not changed.HasField("aliases")
    changed = await novel.change(aliases=pb.CharacterAliases(names=["The Countess", "The Countess"]), description="")
    assert (changed.name, list(changed.aliases.names), changed.hidden) == ("Ada Lovelace", ["The Countess"], True)
    assert changed.HasField("description")
    assert not changed.description
    await novel.change(character_id=novel.bertram, merged_into_id=novel.ada)
    assert novel.told() == {
        novel.ada: search_pb.CharacterEdit(
            character_id=novel.ada,
            name="Ada Lovelace",
            aliases=search_pb.Aliases(names=["The Countess"]),
            description="",
            hidden=True,
        ),
        novel.bertram: search_pb.CharacterEdit(character_id=novel.bertram, merged_into_id=novel.ada),
    }
    changed = await novel.change(reset=["name", "aliases", "description"], hidden=False)
    assert (changed.name, changed.hidden) == ("Ada", False)
    await novel.change(character_id=novel.bertram, merged_into_id="")
    assert novel.told() == {each: search_pb.CharacterEdit(character_id=each) for each in (novel.ada, novel.bertram)}


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("character_id", {"character_id": "x"}),
        ("name", {"name": " "}),
        ("name", {"name": "n" * 201}),
        ("name", {"name": "a\0b"}),
        ("aliases", {"aliases": pb.CharacterAliases(names=[""])}),
        ("aliases", {"aliases": pb.CharacterAliases(names=map(str, range(13)))}),
        ("description", {"description": "d" * 2_001}),
        ("reset", {"reset": ["hidden"]}),
        ("reset", {"reset": ["name"], "name": "Ada"}),
        ("merged_into_id", {"merged_into_id": "x"}),
        ("merged_into_id", {"merged_into_id": UNKNOWN}),
    ],
)
async def test_what_breaks_the_contract_is_named(
    library: LibraryClient, search: FakeSearch, field: str, changes: dict[str, Any]
) -> None:
    novel = await a_novel(library, search)
    with pytest.raises(InvalidArgument) as refused:
        await novel.change(**changes)
    assert set(refused.value.fields) == {field}
    assert novel.novel_id not in search.edits


async def test_joined_characters_make_no_chains_and_stay_in_their_novel(
    library: LibraryClient, search: FakeSearch
) -> None:
    novel, other = await a_novel(library, search), await a_novel(library, search)
    for wrong in (novel.ada, other.ada):  # itself, and another novel's
        with pytest.raises(InvalidArgument) as refused:
            await novel.change(merged_into_id=wrong)
        assert set(refused.value.fields) == {"merged_into_id"}
    await novel.change(character_id=novel.bertram, merged_into_id=novel.ada)
    with pytest.raises(InvalidArgument, match="joined with another one itself"):
        await novel.change(character_id=novel.clara, merged_into_id=novel.bertram)
    with pytest.raises(InvalidArgument, match="others are joined"):
        await novel.change(merged_into_id=novel.clara)


async def test_nobody_else_changes_a_character(library: LibraryClient, search: FakeSearch) -> None:
    stranger = await library.guest()
    public = await a_novel(library, search)
    private = await a_novel(library, search, visibility=pb.VISIBILITY_PRIVATE)
    with pytest.raises(PermissionDenied) as refused:
        await public.change(stranger, name="Mine")
    assert set(refused.value.fields) == {"character_id"}
    for unknown in (private.ada, UNKNOWN):
        with pytest.raises(NotFound) as hidden:
            await public.change(stranger, unknown, name="Mine")
        assert hidden.value.reason == "CHARACTER_NOT_FOUND"
    assert not search.edits


async def test_without_search_a_change_is_kept_and_told_later(
    open_client: OpenLibrary, search: FakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.library.stores.edits._TELLING_SECONDS", 0.1)
    # An open circuit would only make it wait.
    async with open_client(ingestion_poll_seconds=0.05, breaker_minimum_calls=10_000, breaker_window=10_000) as library:
        novel = await a_novel(library, search)
        scenario = await library.scenario(novel.owner, novel.novel_id)
        search.trouble = Unavailable("down")
        changed = await novel.change(name="Ada Lovelace", description="She counts.")
        assert (changed.name, changed.shown) == ("Ada Lovelace", False)
        begun = await Talk(library, novel.owner, scenario.scenario_id, novel.ada).open()
        assert (begun.context.character_name, begun.context.character_description) == ("Ada Lovelace", "She counts.")
        assert novel.novel_id not in search.edits
        search.trouble = None
        await eventually(lambda: novel.novel_id in search.edits)
        assert novel.told()[novel.ada].name == "Ada Lovelace"


async def test_after_a_new_ingestion_search_is_told_again(
    open_client: OpenLibrary, search: FakeSearch, postgres_url: str
) -> None:
    async with open_client(ingestion_poll_seconds=0.05) as library:
        novel = await a_novel(library, search)
        await novel.change(name="Ada Lovelace")
        search.edits.clear()
        search.cast = []
        async with rows_of(postgres_url) as rows:
            await rows.execute("UPDATE novels SET status = 'pending'")
        await library.ingest(novel.novel_id)
        await eventually(lambda: novel.novel_id in search.edits)
        assert novel.told()[novel.ada].name == "Ada Lovelace"


async def test_a_conversation_is_given_the_character_s_own_lines_up_to_its_limit(
    library: LibraryClient, search: FakeSearch
) -> None:
    search.lines = [("I count.", 1), ("I have counted.", 3)]
    novel = await a_novel(library, search)
    for limit, expected in ((None, ["I count.", "I have counted."]), (2, ["I count."]), (0, [])):
        scenario = await library.scenario(novel.owner, novel.novel_id, until_chapter=limit)
        begun = await Talk(library, novel.owner, scenario.scenario_id, novel.ada).open()
        assert [sample.content for sample in begun.context.speech_samples] == expected
