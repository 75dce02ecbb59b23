"""The same novel as text of any encoding, HTML, Markdown and EPUB has the same chapters and passages."""

import pytest

from services.library.intake.reading import read_book
from services.search.domain.chapters import split_chapters
from services.search.domain.passages import split_passages
from services.search.models import Chapter
from tests.intake import books
from tests.search.stories import KOREAN_STORY, STORY, novel

NOVEL_ID = "0b8f4a52-6c1d-4a7e-9b57-0d3c8a1f2e64"
CHAPTERS = {
    "pride-and-prejudice": 61,
    "frankenstein": 28,
    "alice-in-wonderland": 12,
    "adventures-of-sherlock-holmes": 12,
    "dracula": 27,
    "jane-eyre": 38,
    "nalgae": 1,
    "unsu-joeun-nal": 1,
}
# What stands in for a novel that is not at hand.
STAND_INS = {"nalgae": KOREAN_STORY, "unsu-joeun-nal": KOREAN_STORY}
KOREAN = frozenset(STAND_INS)


def passages(chapters: list[Chapter]) -> list[tuple[str, str, int, str]]:
    found = split_passages(NOVEL_ID, chapters)
    return [(passage.id, passage.content, passage.chapter, passage.chapter_title) for passage in found]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_format_gives_the_same_passages(name: str) -> None:
    found = novel(name)
    text = found or STAND_INS.get(name, STORY)
    chapters = split_chapters(text)
    if found:
        assert chapters[-1].number == CHAPTERS[name]
    expected = passages(chapters)
    files = {
        "novel.epub": books.epub(text, 2),
        "novel3.epub": books.epub(text, 3),
        "novel.html": books.html(text, "cp949" if name in KOREAN else "iso-8859-1"),
        "novel.md": books.markdown(text),
    }
    for file, data in files.items():
        assert passages(split_chapters(read_book(data, file).text)) == expected, file


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_encoding_gives_the_same_text(name: str) -> None:
    text = novel(name) or STAND_INS.get(name, STORY)
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "cp949", "euc_kr"]
    encodings += [] if name in KOREAN else ["cp1252", "latin-1"]
    for encoding in encodings:
        try:
            data = text.encode(encoding)
        except UnicodeEncodeError:
            continue  # a curly quote is not in every encoding, and no novel is Korean and French
        assert read_book(data, "novel.txt").text == text, encoding
