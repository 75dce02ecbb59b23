"""What a novel's owner has changed about characters, as everybody is shown them; on the real store."""

import uuid
from typing import Any

import grpc
import pytest
from gaji.search.v1 import search_service_pb2 as pb

from tests.search.conftest import Stub, as_user, ingested


class Shown:
    """A novel's characters as they are shown."""

    def __init__(self, stub: Stub, novel_id: str) -> None:
        self.stub = stub
        self.novel_id = novel_id
        self.revision = 0

    async def names(self, **request: Any) -> list[str]:
        found = await self.stub.ListCharacters(pb.ListCharactersRequest(novel_id=self.novel_id, **request))
        return [character.name for character in found.characters]

    async def of(self, name: str) -> str:
        found = await self.stub.ListCharacters(pb.ListCharactersRequest(novel_id=self.novel_id, as_found=True))
        character_id: str = next(one.character_id for one in found.characters if one.name == name)
        return character_id

    async def one(self, character_id: str) -> pb.Character:
        found: pb.GetCharacterResponse = await self.stub.GetCharacter(pb.GetCharacterRequest(character_id=character_id))
        return found.character

    async def edit(self, *edits: pb.CharacterEdit, revision: int = 0) -> None:
        self.revision = revision or self.revision + 1
        request = pb.SetCharacterEditsRequest(novel_id=self.novel_id, revision=self.revision, edits=edits)
        await self.stub.SetCharacterEdits(request)


@pytest.fixture
async def shown(search: Stub) -> Shown:
    novel_id = str(uuid.uuid4())
    await ingested(search, novel_id)
    return Shown(search, novel_id)


async def test_names_aliases_and_descriptions_are_the_owner_s_until_they_are_taken_back(shown: Shown) -> None:
    marian = await shown.of("Marian")
    before = await shown.one(marian)
    assert not before.edited
    edit = pb.CharacterEdit(character_id=marian, name="Marian Tolliver", description="She keeps the lamp.")
    await shown.edit(edit)
    after = await shown.one(marian)
    assert (after.name, after.description, after.edited) == ("Marian Tolliver", "She keeps the lamp.", True)
    assert list(after.aliases) == ["Marian", *before.aliases]
    assert list(after.alias_chapters) == [1, *before.alias_chapters]
    assert (await shown.names())[0] == "Marian Tolliver"
    tolliver = await shown.one(await shown.of("Mr. Tolliver"))
    assert "Marian Tolliver" in [relation.name for relation in tolliver.relations]
    edit.aliases.CopyFrom(pb.Aliases(names=["The keeper"]))
    await shown.edit(edit)
    assert list((await shown.one(marian)).aliases) == ["The keeper"]
    await shown.edit(pb.CharacterEdit(character_id=marian))
    taken_back = await shown.one(marian)
    assert taken_back.edited
    taken_back.edited = False
    assert taken_back == before


async def test_who_is_hidden_is_not_listed_but_found(shown: Shown) -> None:
    brandt = await shown.of("Captain Brandt")
    await shown.edit(pb.CharacterEdit(character_id=brandt, hidden=True))
    assert await shown.names() == ["Marian", "Mr. Tolliver"]
    assert await shown.names(as_found=True) == ["Marian", "Mr. Tolliver", "Captain Brandt"]
    assert (await shown.one(brandt)).hidden


async def test_who_is_joined_adds_names_mentions_and_lines(shown: Shown) -> None:
    marian, brandt = await shown.of("Marian"), await shown.of("Captain Brandt")
    apart = await shown.one(marian), await shown.one(brandt)
    await shown.edit(pb.CharacterEdit(character_id=brandt, merged_into_id=marian))
    assert await shown.names() == ["Marian", "Mr. Tolliver"]
    joined = await shown.one(marian)
    assert "Captain Brandt" in joined.aliases
    assert len(joined.alias_chapters) == len(joined.aliases)
    assert joined.mentions == sum(one.mentions for one in apart)
    assert len(joined.speech_samples) == sum(len(one.speech_samples) for one in apart)
    assert {relation.name for relation in joined.relations} == {"Mr. Tolliver"}
    assert (await shown.one(brandt)).merged_into_id == marian
    tolliver = await shown.one(await shown.of("Mr. Tolliver"))
    assert [relation.name for relation in tolliver.relations].count("Marian") == 1
    pages: list[str] = []
    token = ""
    while token or not pages:
        page = await shown.stub.ListCharacters(
            pb.ListCharactersRequest(novel_id=shown.novel_id, page_size=1, page_token=token)
        )
        pages += [character.name for character in page.characters]
        token = page.next_page_token
    assert pages == ["Marian", "Mr. Tolliver"]


async def test_the_newest_edits_count_and_outlive_a_new_ingestion_but_not_the_novel(search: Stub) -> None:
    novel_id, owner = str(uuid.uuid4()), str(uuid.uuid4())
    await ingested(search, novel_id, owner_id=owner)
    shown = Shown(search, novel_id)
    marian = await shown.of("Marian")
    await shown.edit(pb.CharacterEdit(character_id=marian, name="Second"), revision=2)
    await shown.edit(pb.CharacterEdit(character_id=marian, name="First"), revision=1)
    assert (await shown.one(marian)).name == "Second"
    await ingested(search, novel_id, owner_id=owner)
    assert (await shown.names())[0] == "Second"
    await search.DeleteNovel(pb.DeleteNovelRequest(novel_id=novel_id))
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await shown.edit(revision=3)
    assert gone.value.code() == grpc.StatusCode.NOT_FOUND
    await ingested(search, novel_id, owner_id=owner)
    assert (await shown.names())[0] == "Marian"


async def test_only_the_owner_or_nobody_in_particular_may_say_so(shown: Shown, bearer: Any) -> None:
    request = pb.SetCharacterEditsRequest(novel_id=shown.novel_id, revision=1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await shown.stub.SetCharacterEdits(request, metadata=as_user(bearer()))
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as wrong:
        await shown.stub.SetCharacterEdits(pb.SetCharacterEditsRequest(novel_id="x"))
    assert wrong.value.code() == grpc.StatusCode.INVALID_ARGUMENT
