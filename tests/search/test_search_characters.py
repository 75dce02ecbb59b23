"""Characters are people, most important first, each under one name."""

import pytest

from services.search.domain.chapters import split_chapters
from services.search.domain.characters import find_characters
from services.search.domain.languages import detect, is_tag, primary
from services.search.domain.passages import split_passages
from services.search.models import Character
from tests.search.stories import KOREAN_STORY, STORY, novel

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"

# Names in the order of importance; the story of this folder stands in for a novel that is not at hand.
EXPECTED = {
    "pride-and-prejudice": ["Elizabeth", "Mr. Darcy", "Jane", "Mr. Bingley", "Wickham"],
    "alice-in-wonderland": ["Alice", "Queen", "King"],
    "dracula": ["Van Helsing", "Mina", "Lucy"],
    "jane-eyre": ["Jane", "Mr. Rochester", "St. John"],
    "frankenstein": ["Elizabeth", "Clerval", "Justine"],
    "adventures-of-sherlock-holmes": ["Holmes", "Watson", "Lestrade"],
}


def characters(text: str, language: str = "en") -> list[Character]:
    return find_characters(NOVEL_ID, language, split_passages(NOVEL_ID, split_chapters(text)))


def named(text: str) -> dict[str, Character]:
    return {character.name: character for character in characters(text)}


@pytest.mark.parametrize("name", EXPECTED)
def test_novels(name: str) -> None:
    text = novel(name)
    expected = EXPECTED[name] if text else ["Marian", "Mr. Tolliver", "Captain Brandt"]
    assert [character.name for character in characters(text or STORY)][: len(expected)] == expected


def test_the_story() -> None:
    found = characters(STORY)
    assert [character.name for character in found] == ["Marian", "Mr. Tolliver", "Captain Brandt"]
    assert [character.first_chapter for character in found] == [1, 1, 1]
    passages = {passage.id: passage.content for passage in split_passages(NOVEL_ID, split_chapters(STORY))}
    for character in found:
        assert character.mentions >= 3
        assert character.passage_ids
        shown = [passages[passage_id] for passage_id in character.passage_ids]
        for excerpt, passage in zip(character.description.split("\n\n"), shown, strict=True):
            assert excerpt in " ".join(passage.split())
            assert character.name.split()[-1] in excerpt


def test_places_months_and_openings_are_nobody() -> None:
    text = (
        "They went to Pemberton in March. In Pemberton nobody spoke. Yesterday he drove through Pemberton to London. "
        "However, said Anna, it rained. They left for Pemberton. Anna laughed, and he told Anna so. Anna was glad. "
    ) * 3
    assert [character.name for character in characters(text)] == ["Anna"]


def test_one_person_has_one_entry() -> None:
    text = (
        "Mr. Darcy bowed to Miss Elizabeth Bennet. Darcy said nothing, and Elizabeth said less. He was proud, said "
        "Mrs. Bennet. But Mr. Bennet said that Mr. Darcy was rich. Mrs. Bennet said that Lizzy was pretty. Mr. Bennet "
        "went out, and so Lizzy said to Elizabeth Bennet that Fitzwilliam Darcy was proud. "
    ) * 4
    found = named(text)
    assert len(found) == 4
    assert {"Mr. Darcy", "Mr. Bennet", "Mrs. Bennet"} < set(found)
    assert {"Darcy", "Fitzwilliam Darcy"} <= set(found["Mr. Darcy"].aliases)


def test_ids_depend_on_novel_and_name_alone() -> None:
    assert [c.id for c in characters(STORY)][:3] == [c.id for c in characters(STORY + "\n\nMarian said: Marian.")][:3]


def test_korean_people() -> None:
    names = {character.name for character in characters(KOREAN_STORY, "ko")}
    assert names <= {"순이", "할머니", "아버지"}
    assert "순이" in names


def test_a_language_without_rules_has_none() -> None:
    assert characters(STORY, "de") == []


def test_no_people_no_characters() -> None:
    assert characters("") == []
    assert characters("the rain fell. The rain fell again.") == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (STORY, "en"),
        (KOREAN_STORY, "ko"),
        ("Il était une fois une fille qui vivait dans les bois avec le loup et du pain pour elle.", "fr"),
        ("Es war einmal ein Mädchen, das mit der Mutter in dem Wald war und nicht auf sie hörte.", "de"),
        ("Жила-была девочка в лесу.", "ru"),
        ("昔々あるところにおじいさんがいました。", "ja"),
        ("12345 !!!", "en"),
        ("", "en"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert detect(text) == language


def test_language_tags() -> None:
    assert primary("en-GB") == "en"
    assert is_tag("zh-Hant-TW")
    assert not any(map(is_tag, ["", "e", "english language", "en_GB", "한국어"]))
