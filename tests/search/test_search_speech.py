"""Lines belong to whoever the text says speaks them, and to nobody else."""

import pytest

from services.search.domain.samples import chosen
from services.search.domain.speech import Speech, speeches
from services.search.domain.spotting import Spotter
from services.search.models import Name, Passage

NAMES = [
    Name("Elizabeth", {"Elizabeth": 9, "Lizzy": 3, "Miss Bennet": 1}, {0: 1}),
    Name("Mr. Darcy", {"Mr. Darcy": 9, "Darcy": 4}, {0: 1}),
    Name("King", {"King": 5, "Miss Bennet": 1}, {0: 1}),
]
KOREAN = [Name("치삼", {"치삼": 9, "치삼이": 3}, {0: 1}), Name("김첨지", {"김첨지": 9}, {0: 1})]


def said(text: str, *, korean: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    names = KOREAN if korean else NAMES
    found = speeches([text], Spotter(names, korean=korean), korean=korean)
    return [(names[speech.person].name, speech.quotations) for speech in found]


@pytest.mark.parametrize("marks", ["\u201c\u201d", '""', "\u2018\u2019"])
def test_a_name_beside_a_quotation_is_its_speaker(marks: str) -> None:
    def quoted(text: str) -> str:
        return text.replace("<", marks[0]).replace(">", marks[1])

    assert said(quoted("<I am not proud,> said Mr. Darcy.")) == [("Mr. Darcy", ("I am not proud,",))]
    assert said(quoted("<Indeed!> cried Lizzy, <you are.>")) == [("Elizabeth", ("Indeed!", "you are."))]
    assert said(quoted("<Off with them,> the King said.")) == [("King", ("Off with them,",))]
    assert said(quoted("Elizabeth coldly replied, <It is late.>")) == [("Elizabeth", ("It is late.",))]
    assert said(quoted("Darcy said to Elizabeth, <It is late.>")) == [("Mr. Darcy", ("It is late.",))]
    assert said(quoted("<Why?> asked Elizabeth.\n\n<Because,> said Darcy.")) == [
        ("Elizabeth", ("Why?",)),
        ("Mr. Darcy", ("Because,",)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '"My dear Elizabeth," said she.',
        '"It is late." Elizabeth said nothing.',
        '"It is late," said somebody to Elizabeth.',
        "Elizabeth said that it was late.",
        '"It is late," said Miss Bennet.',  # two people have that name
        '"Oh!" Elizabeth began to walk.',
    ],
)
def test_who_is_only_near_says_nothing(text: str) -> None:
    assert said(text) == []


def test_where_another_speaks_in_the_same_paragraph_only_the_nearest_words_count() -> None:
    text = '"I go," said Elizabeth. "You stay," said he. "And then?"'
    assert said(text) == [("Elizabeth", ("I go,",))]


def test_a_passage_may_begin_within_a_quotation() -> None:
    assert said('and so on," said he. "I go home," said Elizabeth.') == [("Elizabeth", ("I go home,",))]


def test_what_i_say_is_the_narrator_s_where_there_is_one() -> None:
    told = '"Come in, Lizzy," said Mr. Darcy.\n\n"I am coming," I said. "Is it late?"'
    assert said(told) == [("Mr. Darcy", ("Come in, Lizzy,",))]
    names, passages = NAMES, [told] * 60
    lines = speeches(passages, Spotter(names, korean=False), korean=False)
    assert {names[line.person].name for line in lines} == {"Mr. Darcy", "Elizabeth"}
    assert lines[1].quotations == ("I am coming,", "Is it late?")
    third = [told.replace("I said", "she said")] * 60
    assert {names[line.person].name for line in speeches(third, Spotter(names, korean=False), korean=False)} == {
        "Mr. Darcy"
    }


def test_korean_speakers_are_the_subjects() -> None:
    assert said("\u201c한 잔 더 주게.\u201d 하고 김첨지는 외쳤다.", korean=True) == [("김첨지", ("한 잔 더 주게.",))]
    assert said("치삼이가 김첨지를 보며, \u201c벌써 넉 잔일세.\u201d", korean=True) == [("치삼", ("벌써 넉 잔일세.",))]
    assert said("치삼이는 김첨지가 우는 것을 보고 \u201c가세.\u201d", korean=True) == []


def test_samples_are_few_short_and_from_everywhere() -> None:
    passages = [Passage(f"p{at}", "", at // 10, "", at) for at in range(200)]
    lines = [Speech(0, at, (f"I have counted {at} sheep and I am not tired of them.",)) for at in range(200)]
    found = chosen([Speech(0, 0, ("No.",)), *lines, Speech(0, 199, ("I " + "will " * 100,))], passages)
    assert len(found) == 8
    assert [sample.chapter for sample in found] == sorted(sample.chapter for sample in found)
    assert found[0].chapter == 0
    assert found[-1].chapter > 14
    assert all(16 <= len(sample.content) <= 220 for sample in found)
    assert chosen([], passages) == ()
