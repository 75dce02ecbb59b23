"""The language of a novel, and of a query, which may be another."""

import pytest

from services.search.domain.languages import detect, of_query
from tests.search.stories import KOREAN_STORY, STORY, novel

KOREAN = ("nalgae", "unsu-joeun-nal")
ENGLISH = (
    "adventures-of-sherlock-holmes",
    "alice-in-wonderland",
    "dracula",
    "frankenstein",
    "jane-eyre",
    "pride-and-prejudice",
)


@pytest.mark.parametrize("name", [*ENGLISH, *KOREAN])
def test_of_novels(name: str) -> None:
    korean = name in KOREAN
    text = novel(name) or (KOREAN_STORY if korean else STORY)
    assert detect(text) == ("ko" if korean else "en")
    assert detect(text[:300]) == ("ko" if korean else "en")


@pytest.mark.parametrize(
    ("query", "language", "found"),
    [
        # names and a few words are no evidence of another language
        ("De Lacey", "en", "en"),
        ("die hard", "en-GB", "en-GB"),
        ("Jane e Bingley", "en", "en"),
        ("le bal", "fr", "fr"),
        ("the ball", "fr", "fr"),
        ("", "en", "en"),
        ("42?", "ko", "ko"),
        ("flickan", "sv", "sv"),
        # whole sentences are
        ("What if the marquis had been with his brother?", "fr", "en"),
        ("Et si elle avait dansé avec les officiers dans le jardin?", "en", "fr"),
        # another script is
        ("다아시가 편지를 쓴 장면", "en", "ko"),
        ("Darcy가 쓴 편지", "en", "ko"),
        ("goldfish on the roof", "ko", "en"),
        ("the snow country", "ja", "en"),
        ("война и мир", "en", "ru"),
        # but not where the novel may be written in it
        ("война", "bg", "bg"),
        ("雪国", "ja", "ja"),
        ("雪国", "zh-Hant", "zh-Hant"),
        ("아스피린", "ko-KR", "ko-KR"),
    ],
)
def test_of_queries(query: str, language: str, found: str) -> None:
    assert of_query(query, language) == found
