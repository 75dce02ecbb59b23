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


PROSE = f"{BODY} {BODY} {BODY}"
TITLE_PAGE = (
    "THE NOVEL\n\nby Somebody\n\nLondon\nPRINTED BY NOBODY\n\nCopyright 1901. All rights reserved.\n\nTo my mother.\n\n"
)


@pytest.mark.parametrize(
    "heading",
    [
        "# The Boy",
        "### The Boy ###",
        "## Chapter 1",
        "CHAPITRE PREMIER",
        "Kapitel 3",
        "Capítulo IV. El mar",
        "第一章 开始",
        "一",
        "1화",
        "제3화 비",
    ],
)
def test_headings_of_other_styles(heading: str) -> None:
    text = f"{heading}\n\n{PROSE}\n\n{heading.replace('一', '二').replace('1', '2')}\n\n{PROSE}"
    chapters = split_chapters(text)
    assert [chapter.text for chapter in chapters] == [PROSE, PROSE]
    assert chapters[0].title == heading.strip("# ")


def test_marks_say_what_divides_and_what_is_below_and_above() -> None:
    text = (
        f"# The Novel\n\nby Somebody\n\n## Contents\n\nThe Boy\n\nThe Sea\n\n## The Boy\n\n{PROSE}\n\n"
        f"### Later\n\n{PROSE}\n\n## The Sea\n\n{PROSE}\n\n## Acknowledgements\n\n"
        "Thanks to all of you who have read the whole of it.\n"
    )
    boy, sea = split_chapters(text)
    assert (boy.number, boy.title, sea.number, sea.title) == (1, "The Boy", 2, "The Sea")
    assert boy.text == f"{PROSE}\n\nLater\n\n{PROSE}"
    assert sea.text == PROSE


def test_marked_parts_name_the_chapters_below_them() -> None:
    text = f"# The Novel\n\n# Part One\n\n## 1\n\n{PROSE}\n\n## 2\n\n{PROSE}\n\n# Part Two\n\n## 1\n\n{PROSE}\n"
    assert titles(text) == ["Part One, 1", "Part One, 2", "Part Two, 1"]
    text = f"# Childhood\n\n## Rain\n\n{PROSE}\n\n## Sun\n\n{PROSE}\n\n# Youth\n\n## Snow\n\n{PROSE}\n"
    assert titles(text) == ["Childhood, Rain", "Childhood, Sun", "Youth, Snow"]


def test_a_marked_title_below_its_number_belongs_to_it() -> None:
    text = f"## CHAPTER I\n\n### The Boy\n\n{PROSE}\n\n## CHAPTER II\n\n### The Sea\n\n{PROSE}"
    assert titles(text) == ["CHAPTER I. The Boy", "CHAPTER II. The Sea"]


def test_one_mark_does_not_divide() -> None:
    text = f"# The Novel\n\nCHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{PROSE}"
    assert titles(text) == ["CHAPTER I", "CHAPTER II"]
    assert split_chapters(f"# The Novel\n\n{PROSE}") == [Chapter(1, "", f"The Novel\n\n{PROSE}")]


def test_title_pages_and_lists_are_left_out_and_prefaces_are_not() -> None:
    lists = (
        "CONTENTS\n\nCHAPTER I. The Boy 1\nCHAPTER II. The Sea 17\n\n\nLIST OF ILLUSTRATIONS\n\nThe boy looks up. 3\n\n"
    )
    chapters = f"CHAPTER I. The Boy\n\n{PROSE}\n\nCHAPTER II. The Sea\n\n{PROSE}"
    found = split_chapters(TITLE_PAGE + lists + chapters)
    assert [(chapter.number, chapter.text) for chapter in found] == [(1, PROSE), (2, PROSE)]
    found = split_chapters(f"{TITLE_PAGE}{lists}PREFACE\n\n{PROSE}\n\n{chapters}")
    assert found[0] == Chapter(0, "PREFACE", PROSE)
    assert [chapter.text for chapter in found[1:]] == [PROSE, PROSE]


def test_a_list_of_contents_without_a_name_is_left_out() -> None:
    contents = "   I. A Scandal\n  II. The League\n III. A Case of Something Else\n  IV. The Valley\n\n\n"
    text = f"{TITLE_PAGE}{contents}ADVENTURE I. A SCANDAL\n\n{PROSE}\n\nADVENTURE II. THE LEAGUE\n\n{PROSE}"
    assert [chapter.number for chapter in split_chapters(text)] == [1, 2]


def test_what_comes_behind_the_end_is_left_out() -> None:
    text = f"CHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{PROSE}\n\nTHE END\n\n\nOther books by Somebody\n\n{PROSE}"
    assert split_chapters(text)[-1].text == f"{PROSE}\n\nTHE END"
    long = f"CHAPTER I\n\n{PROSE}\n\nThe end.\n\n" + f"{PROSE}\n\n" * 100
    assert len(split_chapters(long)[0].text) > 100 * len(PROSE)


def test_a_long_text_without_headings_is_cut_evenly_at_scenes() -> None:
    scenes = [" ".join(f"In scene {n} line {m} was said by somebody." for m in range(150)) for n in range(40)]
    found = split_chapters("\n\n* * *\n\n".join(scenes))
    assert [chapter.number for chapter in found] == list(range(1, len(found) + 1))
    assert not any("*" in chapter.text[:10] + chapter.text[-10:] for chapter in found)
    assert "\n\n* * *\n\n".join(chapter.text for chapter in found) == "\n\n* * *\n\n".join(scenes)
    words = [len(chapter.text.split()) for chapter in found]
    assert 2_500 < min(words) <= max(words) < 5_500


@pytest.mark.parametrize("joined", ["\n\n", "\n", " ", ""], ids=["paragraphs", "lines", "words", "nothing"])
def test_five_megabytes_without_headings(joined: str) -> None:
    text = joined.join(f"It was said on day {day} that nothing would come of it." for day in range(95_000))
    assert len(text) > 5_000_000
    found = split_chapters(text)
    assert "".join("".join(chapter.text for chapter in found).split()) == "".join(text.split())
    sizes = [len(chapter.text) for chapter in found]
    assert len(found) > 100
    assert max(sizes) < 2 * min(sizes)


def test_marks_and_numbers_without_end_take_no_time_without_end() -> None:
    assert len(split_chapters("# a\n" * 50_000)) >= 1
    assert len(split_chapters("I.\n\n" * 50_000)) >= 1
    assert len(split_chapters("Chapter 1\n\nx\n\n" * 20_000)) >= 1
