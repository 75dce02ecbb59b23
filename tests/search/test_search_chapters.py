"""Chapters are found by their headings, and nothing else is taken for one."""

import pytest

from services.search.domain.chapters import split_chapters
from services.search.models import Chapter
from tests.search.stories import STORY, novel

BODY = "It was a fine day and nobody said a word about the weather, which was unusual."
FRONT = "A NOVEL\n\nby Somebody\n\n\n"

# The headings of the eight novels, and texts of the same make for a machine that has them not.
NOVELS = {
    "pride-and-prejudice": (61, 1, FRONT + f"Chapter 1\n\n\n{BODY}\n\n\nChapter 2\n\n\n{BODY}", 2),
    "frankenstein": (28, 1, FRONT + f"Letter 1\n\nTo Mrs. S., England.\n\n{BODY}\n\nChapter 1\n\n{BODY}", 2),
    "alice-in-wonderland": (12, 1, FRONT + f"CHAPTER I. Down the Hole\n\n{BODY}\n\nCHAPTER II. The Pool\n\n{BODY}", 2),
    "adventures-of-sherlock-holmes": (
        12,
        1,
        FRONT
        + f"ADVENTURE I. A CASE\n\nI.\n\n{BODY}\n\nII.\n\n{BODY}\n\nIII.\n\n{BODY}\n\nADVENTURE II. A LEAGUE\n\n{BODY}"
        f"\n\nIII. THE CASE OF THE KEY\n\n{BODY}\n\nIV. THE CASE OF THE HAT\n\n{BODY}",
        4,
    ),
    "dracula": (27, 1, FRONT + f"CHAPTER I\n\nA CLERK'S JOURNAL\n\n{BODY}\n\nCHAPTER II\n\nA LETTER\n\n{BODY}", 2),
    "jane-eyre": (38, 0, f"PREFACE\n\n{BODY * 4}\n\nCHAPTER I\n\n{BODY}\n\nCHAPTER II--CONCLUSION\n\n{BODY}", 2),
    "nalgae": (1, 1, "날개\n\n이상\n\n나는 유쾌하오. 이런 때 연애까지가 유쾌하오.", 1),
    "unsu-joeun-nal": (1, 1, "운수\n\n아무개\n\n이 장날에는 비가 왔다.\n\n그는 3장 읽었다.", 1),
}


@pytest.mark.parametrize("name", NOVELS)
def test_novels(name: str) -> None:
    count, first, stand_in, stand_in_count = NOVELS[name]
    text = novel(name)
    chapters = split_chapters(stand_in if text is None else text)
    assert chapters[0].number == first
    assert [chapter.number for chapter in chapters] == list(range(first, len(chapters) + first))
    assert chapters[-1].number == (stand_in_count if text is None else count)
    assert all(chapter.text.strip() for chapter in chapters)


def test_the_stand_ins_are_of_the_same_make() -> None:
    for _, first, stand_in, count in NOVELS.values():
        chapters = split_chapters(stand_in)
        assert (chapters[0].number, chapters[-1].number) == (first, count)


def titles(text: str) -> list[str]:
    return [chapter.title for chapter in split_chapters(text)]


def test_title_and_author_are_no_chapter() -> None:
    chapters = split_chapters(STORY)
    assert titles(STORY) == ["CHAPTER I. The Keeper", "CHAPTER II. The Storm", "CHAPTER III. The Ring"]
    assert chapters[0].text.split()[:3] == ["Old", "Mr.", "Tolliver"]


def test_no_heading_is_one_chapter() -> None:
    assert split_chapters(BODY) == [Chapter(1, "", BODY)]
    assert split_chapters("") == [Chapter(1, "", "")]


@pytest.mark.parametrize(
    "heading",
    [
        "Chapter 1",
        "CHAPTER ONE",
        "Chapter the First",
        "Chapter Twenty-One",
        "CHAPTER XIV: A Turn",
        "Chapter 3 - The Boy",
        "Chapter 1 The Boy Who Came",
        "LETTER IV",
        "Stave I",
        "제1장",
        "제 1 장 바다",
        "1장",
        "제일장",
        "제2화. 비",
    ],
)
def test_headings(heading: str) -> None:
    assert titles(f"{heading}\n\n{BODY}\n\n{BODY}") == [heading]


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 1 was the only one that he had read.",
        "Letter from Miss Murray to Miss Westenra.",
        "Book. I asked her once what was in it.",
        "Part I played in it is soon told.",
        "Chapter and verse.",
        "Scene: a garden.",
        "이 장을 읽었다.",
        "I.",
        "1914.",
    ],
)
def test_prose_is_no_heading(line: str) -> None:
    assert split_chapters(f"{BODY}\n\n{line}\n\n{BODY}") == [Chapter(1, "", f"{BODY}\n\n{line}\n\n{BODY}")]


def test_prose_that_wraps_onto_a_heading_is_none() -> None:
    text = f"He turned the page and there he saw the words of\nChapter 2\nwhich he knew.\n\n{BODY}"
    assert len(split_chapters(text)) == 1


def test_parts_name_the_chapters_below_them() -> None:
    text = f"BOOK I\n\nCHAPTER 1\n\n{BODY}\n\nCHAPTER 2\n\n{BODY}\n\nBOOK II\n\nA motto.\n\nCHAPTER 1\n\n{BODY}"
    chapters = split_chapters(text)
    assert [(chapter.number, chapter.title) for chapter in chapters] == [
        (1, "BOOK I, CHAPTER 1"),
        (2, "BOOK I, CHAPTER 2"),
        (3, "BOOK II, CHAPTER 1"),
    ]
    assert "A motto." in chapters[2].text


def test_parts_are_chapters_where_there_are_none() -> None:
    assert titles(f"PART ONE\n\n{BODY}\n\nPART TWO\n\n{BODY}") == ["PART ONE", "PART TWO"]


def test_a_table_of_contents_is_no_chapters() -> None:
    contents = "CONTENTS\n\nCHAPTER I. The Sea\nCHAPTER II. The Land\n\n\n"
    text = f"{contents}CHAPTER I. The Sea\n\n{BODY}\n\nCHAPTER II. The Land\n\n{BODY}"
    assert [chapter.text.strip() for chapter in split_chapters(text)] == [BODY, BODY]


def test_bare_numbers_count_where_nothing_else_does() -> None:
    assert titles(f"I.\n\n{BODY}\n\nII.\n\n{BODY}\n\nIII.\n\n{BODY}") == ["I.", "II.", "III."]
    assert titles(f"1\n\n{BODY}\n\n3\n\n{BODY}") == [""]
    assert titles(f"Chapter 1\n\nI.\n\n{BODY}\n\nII.\n\n{BODY}") == ["Chapter 1"]


def test_a_title_below_the_heading_belongs_to_it() -> None:
    (chapter,) = split_chapters(f"CHAPTER 1\nTHE BLACK SPOT\n\n{BODY}")
    assert chapter.title == "CHAPTER 1. THE BLACK SPOT"
    assert chapter.text.strip() == BODY
