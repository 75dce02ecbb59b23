"""Characters as the first chapters show them."""

import uuid
from itertools import pairwise

import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.search.domain.chapters import split_chapters
from services.search.domain.characters import find_characters
from services.search.domain.limited import known_by
from services.search.domain.passages import split_passages
from services.search.models import Character, Passage
from tests.search.conftest import Stub, ingested
from tests.search.stories import KOREAN_STORY, STORY
from tests.search.test_search_service import failure

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"


def book(*texts: str) -> list[Passage]:
    """A passage a chapter, from 1."""
    return [Passage(f"p{n}", text, n, "", n - 1) for n, text in enumerate(texts, 1)]


def somebody(name: str, *aliases: str, first: int = 1, description: str = "ALL OF IT") -> Character:
    return Character(name, name, aliases, description, 99, first, ("p9",))


def test_what_is_said_is_of_the_chapters_that_were_read() -> None:
    passages = book(
        "A stranger came. The Stranger sat down.", "The Stranger was Mr. Grey.", "Mr. Grey had a wife, Mrs. Grey."
    )
    people = [somebody("Mr. Grey", "The Stranger", "Grey"), somebody("Mrs. Grey", "Grey", first=3)]
    (stranger,) = known_by(people, passages, 1)
    assert (stranger.id, stranger.name, stranger.aliases) == ("Mr. Grey", "The Stranger", ())
    assert (stranger.description, stranger.mentions) == ("The Stranger sat down.", 1)
    assert (stranger.first_chapter, stranger.passage_ids) == (1, ("p1",))
    (grey,) = known_by(people, passages, 2)
    assert (grey.name, grey.aliases, grey.mentions) == ("Mr. Grey", ("The Stranger",), 3)
    assert [one.id for one in known_by(people, passages, 3)] == ["Mr. Grey", "Mrs. Grey"]
    assert known_by(people, passages, 0) == []
    for limit in (1, 2, 3):
        known = known_by(people, passages, limit)
        assert [known_by(people, passages, limit, only=one.id) for one in known] == [[one] for one in known]
    assert known_by(people, passages, 2, only="Mrs. Grey") == []


def test_a_name_within_a_longer_one_is_nobody_elses() -> None:
    passages = book("Mrs. Bennet spoke to Bennet. Bennets are many, and Mrs. Bennet's nerves are weak.")
    people = [somebody("Bennet"), somebody("Mrs. Bennet")]
    assert {one.name: one.mentions for one in known_by(people, passages, 1)} == {"Mrs. Bennet": 2, "Bennet": 1}
    assert [one.name for one in known_by(people, passages, 1)] == ["Mrs. Bennet", "Bennet"], "most named first"


def test_who_first_appears_later_is_left_out_whatever_the_text_says() -> None:
    passages = book("A rose by the wall.", "Rose came in.")
    assert known_by([somebody("Rose", "rose", first=2)], passages, 1) == []


def test_korean_names_bear_particles() -> None:
    passages = split_passages(NOVEL_ID, split_chapters(KOREAN_STORY))
    people = [somebody("순이"), somebody("아버지", first=2)]
    names = {one.name for one in known_by(people, passages, 1)}
    assert "순이" in names
    assert "아버지" not in names
    assert "아버지" in {one.name for one in known_by(people, passages, 2)}


def test_up_to_the_end_they_are_those_of_the_whole_novel() -> None:
    passages = split_passages(NOVEL_ID, split_chapters(STORY))
    people = find_characters(NOVEL_ID, "en", passages)
    known = known_by(people, passages, 3)
    assert {one.id for one in known} == {one.id for one in people}
    whole = {one.id: one for one in people}
    for one in known:
        assert (one.name, one.first_chapter) == (whole[one.id].name, whole[one.id].first_chapter)
        assert one.description == whole[one.id].description


words = st.sampled_from(["Ada", "Bo", "Mrs. Bo", "the", "boat", "Adam", "was", "said.", "\n\n"])


@given(st.lists(st.lists(words, max_size=30).map(" ".join), min_size=1, max_size=6), st.integers(0, 7))
def test_nothing_is_told_that_does_not_stand_within_the_limit(texts: list[str], limit: int) -> None:
    passages = book(*texts)
    read = "\n\n".join(texts[:limit])
    for one in known_by([somebody("Ada", "Adam"), somebody("Mrs. Bo", "Bo")], passages, limit):
        assert one.name in read
        assert all(alias in read for alias in one.aliases)
        assert set(one.passage_ids) <= {f"p{n}" for n in range(1, limit + 1)}
        assert all(part in " ".join(read.split()) for part in map(str.strip, one.description.split("\n\n")))
        assert 1 <= one.first_chapter <= limit
        assert (
            one.mentions == sum(read.count(form) for form in ("Ada", "Adam")) - read.count("Adam") or one.name != "Ada"
        )


async def test_lists_and_single_characters_heed_a_limit(search: Stub, story_id: str) -> None:
    async def listed(**fields: object) -> list[pb.Character]:
        request = pb.ListCharactersRequest(novel_id=story_id, **fields)  # type: ignore[arg-type]  # the fields' own types
        return list((await search.ListCharacters(request)).characters)

    whole = await listed()
    first = await listed(until_chapter=1)
    assert await listed(until_chapter=3) == await listed(until_chapter=2_000_000_000) == whole
    assert await listed(until_chapter=0) == []
    assert {one.character_id for one in first} <= {one.character_id for one in whole}
    passages = await search.SearchPassages(pb.SearchPassagesRequest(novel_id=story_id, query="lamp", top_k=50))
    chapter_of = {one.id: one.chapter for one in passages.passages}
    assert {chapter_of[passage_id] for one in first for passage_id in one.passage_ids} == {1}
    assert "black stone" not in "".join(one.description for one in first if one.name == "Mr. Tolliver")

    for one in first:
        request = pb.GetCharacterRequest(character_id=one.character_id, until_chapter=1)
        got = await search.GetCharacter(request)
        assert (got.character, got.until_chapter) == (one, 1)
    request = pb.GetCharacterRequest(character_id=whole[0].character_id)
    assert not (await search.GetCharacter(request)).HasField("until_chapter")
    request = pb.GetCharacterRequest(character_id=whole[0].character_id, until_chapter=3)
    got = await search.GetCharacter(request)
    assert (got.character, got.until_chapter) == (whole[0], 3)
    error = await failure(
        search.GetCharacter(pb.GetCharacterRequest(character_id=whole[0].character_id, until_chapter=0))
    )
    assert (error.code.name, error.reason) == ("NOT_FOUND", "CHARACTER_BEYOND_LIMIT")
    for call in (
        search.ListCharacters(pb.ListCharactersRequest(novel_id=story_id, until_chapter=-1)),
        search.GetCharacter(pb.GetCharacterRequest(character_id=whole[0].character_id, until_chapter=-1)),
    ):
        assert list((await failure(call)).fields) == ["until_chapter"]


async def test_pages_of_a_limited_list(search: Stub, story_id: str) -> None:
    names, token = [], ""
    while True:
        request = pb.ListCharactersRequest(novel_id=story_id, page_size=1, page_token=token, until_chapter=2)
        page = await search.ListCharacters(request)
        names += [one.name for one in page.characters]
        if not (token := page.next_page_token):
            break
    request = pb.ListCharactersRequest(novel_id=story_id, until_chapter=2)
    everybody = (await search.ListCharacters(request)).characters
    assert names == [one.name for one in everybody]
    assert all(before.mentions >= after.mentions for before, after in pairwise(everybody))


@pytest.mark.parametrize("again", [STORY, STORY.replace("Marian", "Miranda")])
async def test_a_novel_that_is_read_in_anew_is_told_of_anew(search: Stub, again: str) -> None:
    novel_id = str(uuid.uuid4())
    await ingested(search, novel_id)
    request = pb.ListCharactersRequest(novel_id=novel_id, until_chapter=1)
    before = (await search.ListCharacters(request)).characters
    await ingested(search, novel_id, again)
    after = (await search.ListCharacters(request)).characters
    assert (list(before) == list(after)) == (again == STORY)
