"""What a language model claims of people is believed where the text bears it out."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from gaji.search.v1 import search_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from services.search.config import SearchSettings
from services.search.domain.characters import characters_of, find_characters, find_names
from services.search.domain.claims import KINDS, MOST_CLAIMS, Claim, Claims, believed, read_claims
from services.search.domain.limited import known_by
from services.search.domain.passages import split_passages
from services.search.domain.people import inquiry
from services.search.models import Chapter, Character, Name, Passage
from tests.search.conftest import ingested, opened
from tests.search.test_search_reranking import JSON
from tests.search.vendor import asking, numbered, open_vendor

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"
FILLER = " ".join(f"The day was long and the road number {number} was longer." for number in range(14))

# The Stranger is Ambrose, as everybody hears at once; Boone is Clare, which comes out in the third chapter.
CHAPTERS = (
    (
        "Ambrose came to town. Ambrose said that he was tired. Ambrose laughed, and he sat. "
        "Ambrose, whom the people called Greycoat, paid. Greycoat laughed, and he slept. "
        '"I am cold," said Greycoat. "I am old," said Greycoat. '
        "Ruth and Ambrose quarrelled. Ruth said that she was late. Ruth laughed, and she ran. Ruth asked Ambrose."
    ),
    (
        "Boone begged at the corner. Boone laughed, and he begged. "
        '"I am poor," said Boone. "I am old," said Boone. '
        "Clare came by. Clare said that he was rich. Clare laughed, and he went. Clare was the guardian of Ruth."
    ),
    'Clare washed his face. "You see that Clare is Boone," said Ruth. Boone asked Clare for nothing more.',
)
SAME = {"who": "Greycoat", "as": "Ambrose", "quote": "Ambrose, whom the people called Greycoat, paid"}
REVEALED = {"who": "Boone", "as": "Clare", "quote": "You see that Clare is Boone"}


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    chapters = [Chapter(number, "", f"{text}\n\n{FILLER}") for number, text in enumerate(CHAPTERS, 1)]
    return split_passages(NOVEL_ID, chapters)


@pytest.fixture(scope="module")
def names(passages: list[Passage]) -> list[Name]:
    found = find_names("en", passages)
    assert {name.name for name in found} == {"Ambrose", "Greycoat", "Ruth", "Boone", "Clare"}
    return found


def place(names: list[Name], name: str) -> int:
    return next(at for at, one in enumerate(names) if one.name == name)


def people(names: list[Name], passages: list[Passage], *rows: dict[str, str]) -> list[Character]:
    """The characters after claims by names."""
    at = {name.name: number for number, name in enumerate(names, 1)}
    answer: dict[str, list[Any]] = {"same": [], "kin": []}
    for row in rows:
        numbers = {key: at.get(value, value) if key in {"who", "as", "of"} else value for key, value in row.items()}
        answer["kin" if "kind" in row else "same"].append(numbers)
    joined, kinds = believed(read_claims(answer, len(names)), names, passages, "en")
    return characters_of(NOVEL_ID, "en", passages, joined, kinds)


def called(characters: list[Character]) -> set[frozenset[str]]:
    return {frozenset({one.name, *one.aliases}) for one in characters}


def test_names_are_joined_where_the_text_says_so_at_once(names: list[Name], passages: list[Passage]) -> None:
    plain = {one.name: one for one in find_characters(NOVEL_ID, "en", passages)}
    joined = people(names, passages, SAME)
    assert called(joined) == {
        frozenset({"Ambrose", "Greycoat"}),
        *(frozenset({one}) for one in ("Ruth", "Boone", "Clare")),
    }
    both = next(one for one in joined if one.name == "Ambrose")
    assert both.id == plain["Ambrose"].id
    assert both.mentions == plain["Ambrose"].mentions + plain["Greycoat"].mentions
    assert not any(relation.name == "Greycoat" for one in joined for relation in one.relations)


def test_what_is_revealed_later_is_not_told_earlier(names: list[Name], passages: list[Passage]) -> None:
    joined = people(names, passages, SAME, REVEALED)
    assert {frozenset({"Boone"}), frozenset({"Clare"})} <= called(joined)
    # Whatever is joined, a reader of the chapters up to a limit is told nothing that they do not say.
    for limit in (1, 2, 3):
        text = " ".join(passage.content for passage in passages if passage.chapter <= limit)
        for one in known_by(joined, passages, limit):
            for form in (one.name, *one.aliases):
                assert form in text
    together = next(one for one in known_by(joined, passages, 1) if one.name == "Ambrose")
    assert together.aliases == ("Greycoat",)


@pytest.mark.parametrize(
    "claim",
    [
        {"who": "Greycoat", "as": "Ambrose", "quote": "Ambrose is Greycoat, the text does not say"},  # not in the text
        {"who": "Greycoat", "as": "Ambrose", "quote": "Clare was the guardian of Ruth"},  # of others
        {"who": "Ruth", "as": "Ambrose", "quote": "Ruth and Ambrose quarrelled"},  # of two sexes, and two
        {"who": "Greycoat", "as": "Ambrose", "quote": "Ambrose"},  # too short to say anything
        {"who": "Greycoat", "as": "Greycoat", "quote": "Ambrose, whom the people called Greycoat, paid"},
    ],
)
def test_what_the_text_does_not_bear_out_is_not_believed(
    names: list[Name], passages: list[Passage], claim: dict[str, str]
) -> None:
    assert called(people(names, passages, claim)) == {frozenset({name.name}) for name in names}


def test_two_that_are_named_side_by_side_stay_two() -> None:
    text = (
        'Anna and Bella came. "I am glad," said Anna. Anna laughed, and she sang. "I am tired," said Anna. '
        '"I am glad," said Bella. "I am tired," said Bella. Bella laughed, and she sang. '
        "Bella, called Anna by the children, went. "
    )
    passages = split_passages(NOVEL_ID, [Chapter(1, "", text)])
    names = find_names("en", passages)
    claim = {"who": "Bella", "as": "Anna", "quote": "Bella, called Anna by the children"}
    assert called(people(names, passages, claim)) == {frozenset({"Anna"}), frozenset({"Bella"})}
    alone = text.replace("Anna and Bella came", "Anna came")
    for changed, one in ((alone, True), (f"{alone} Then Bella saw that Anna had come. Anna laughed at Bella.", False)):
        passages = split_passages(NOVEL_ID, [Chapter(1, "", changed)])
        names = find_names("en", passages)
        assert (frozenset({"Anna", "Bella"}) in called(people(names, passages, claim))) is one


def test_a_kinship_has_its_word_and_its_chapter(names: list[Name], passages: list[Passage]) -> None:
    told = {"who": "Clare", "of": "Ruth", "kind": "guardian", "quote": "clare was the GUARDIAN\nof Ruth"}
    untold = [
        {"who": "Ambrose", "of": "Ruth", "kind": "friend", "quote": "Ruth and Ambrose quarrelled"},
        {"who": "Ruth", "of": "Clare", "kind": "guardian", "quote": "Ruth was the guardian of nobody"},
        {"who": "Ruth", "of": "Clare", "kind": "spy", "quote": "Clare was the guardian of Ruth"},
    ]
    joined = people(names, passages, told, *untold)
    kinds = {(one.name, relation.name): relation for one in joined for relation in one.relations if relation.kind}
    assert {pair: (one.kind, one.kind_chapter) for pair, one in kinds.items()} == {("Ruth", "Clare"): ("guardian", 2)}


def test_kin_goes_both_ways_and_by_sex() -> None:
    text = (
        'Anna came. "I am glad," said Anna. Anna laughed, and she sang. "I am glad," said Otto. '
        "Otto laughed, and he sang. Otto, who is I am told a brother to Anna, went. "
    ) * 2
    passages = split_passages(NOVEL_ID, [Chapter(1, "", text)])
    names = find_names("en", passages)
    quote = "Otto, who is I am told a brother to Anna"
    joined = people(names, passages, {"who": "Otto", "of": "Anna", "kind": "brother", "quote": quote})
    kinds = {(one.name, relation.name): relation.kind for one in joined for relation in one.relations}
    assert kinds == {("Anna", "Otto"): "brother", ("Otto", "Anna"): "sister"}
    wrong = people(names, passages, {"who": "Anna", "of": "Otto", "kind": "brother", "quote": quote})
    assert not any(relation.kind for one in wrong for relation in one.relations)


@given(JSON, st.integers(0, 5))
def test_whatever_is_answered_is_claims_or_of_no_use(answer: Any, count: int) -> None:
    for whole in (answer, {"same": answer, "kin": answer}, {"same": [answer] * 3}):
        try:
            claims = read_claims(whole, count)
        except ValueError:
            continue
        assert all(0 <= one.who < count > one.other >= 0 for one in (*claims.same, *claims.kin))


def test_claims_are_bounded() -> None:
    row = {"who": 1, "as": 2, "quote": "long enough to be said"}
    claims = read_claims({"same": [row] * 1_000}, 2)
    assert claims == Claims((Claim(0, 1, "long enough to be said"),) * MOST_CLAIMS, ())
    with pytest.raises(ValueError, match="lists"):
        read_claims({"order": [1]}, 2)


def test_the_prompt_shows_as_many_as_fit(names: list[Name], passages: list[Passage]) -> None:
    whole = inquiry(names, passages, 32_768)
    assert [number for number, _ in numbered(whole.material)] == [1, 2, 3, 4, 5]
    assert all(kind in whole.system for kind in KINDS)
    few = inquiry(names, passages, 4_800)
    assert 0 < len(numbered(few.material)) < 5


async def test_an_ingestion_with_a_model(search_settings: Callable[..., SearchSettings]) -> None:
    text = "\n\n".join(f"CHAPTER {number}\n\n{body}\n\n{FILLER}" for number, body in enumerate(CHAPTERS, 1))

    def claims(material: str) -> Any:
        at = {line.split(";")[0]: number for number, line in numbered(material)}
        return {"same": [{"who": at["Greycoat"], "as": at["Ambrose"], "quote": SAME["quote"]}], "kin": []}

    async with open_vendor() as vendor, opened(search_settings(**asking(vendor.url))) as stub:
        for says, together in ((claims, True), (lambda _: "Greycoat is Ambrose.", False)):
            vendor.answers = {"same": says}
            novel_id = str(uuid.uuid4())
            await ingested(stub, novel_id, text)
            listed = await stub.ListCharacters(pb.ListCharactersRequest(novel_id=novel_id))
            found = {one.name: list(one.aliases) for one in listed.characters}
            assert ("Greycoat" in found) is not together
            assert ("Greycoat" in found["Ambrose"]) is together
        assert [one.what for one in vendor.asked] == ["same", "same"]
