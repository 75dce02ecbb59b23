"""Novels that come as files: what they say of themselves, what is refused, and in which words."""

from pathlib import Path
from typing import Any

import pytest
from gaji.library.v1 import novel_service_pb2 as pb

from mesh.errors import InvalidArgument
from services.library.intake import converter
from tests.intake import books
from tests.library.conftest import FakeSearch, LibraryClient, OpenLibrary, Reader
from tests.search.stories import KOREAN_STORY, STORY


async def stored(library: LibraryClient, owner: Reader, search: FakeSearch, **fields: Any) -> tuple[pb.Novel, str]:
    created = await owner.call(library.novels.CreateNovel, pb.CreateNovelRequest(**fields))
    await library.watch(owner, created.novel_id)
    novel = (await owner.call(library.novels.GetNovel, pb.GetNovelRequest(novel_id=created.novel_id))).novel
    return novel, search.texts[created.novel_id]


async def refused(library: LibraryClient, **fields: Any) -> InvalidArgument:
    reader = await library.guest()
    with pytest.raises(InvalidArgument) as caught:
        await reader.call(library.novels.CreateNovel, pb.CreateNovelRequest(**fields))
    return caught.value


async def test_an_epub_says_what_it_is(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    search.language = ""
    file = books.epub(STORY, 3, "The Lamp", "N. Body", "en-GB")
    novel, text = await stored(library, ada, search, file=file, file_name="x.epub")
    assert (novel.title, novel.author, novel.language) == ("The Lamp", "N. Body", "en-GB")
    assert "# CHAPTER II. The Storm\n\nOn the tenth of October" in text
    named, _ = await stored(library, ada, search, file=file, title="Mine", author="Me", language="en")
    assert (named.title, named.author, named.language) == ("Mine", "Me", "en")


async def test_a_text_of_another_encoding_is_named_by_its_file(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    file = KOREAN_STORY.encode("cp949")
    novel, text = await stored(library, ada, search, file=file, file_name="바닷가 이야기.txt")
    assert (novel.title, text) == ("바닷가 이야기", KOREAN_STORY)


async def test_the_header_of_a_text_is_read_and_left_out(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    text = (
        "The Project Gutenberg eBook of The Lamp\n\nTitle: The Lamp\n\nAuthor: N. Body\n\nLanguage: English\n\n"
        f"*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\n\n\n{STORY}\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\nSection 1. General Terms of Use\n"
    )
    novel, kept = await stored(library, ada, search, text=text)
    assert (novel.title, novel.author) == ("The Lamp", "N. Body")
    assert kept == STORY


async def test_the_same_file_makes_one_novel(library: LibraryClient) -> None:
    ada = await library.guest()
    file = STORY.encode("utf-16")
    ids = [await library.novel(ada, text="", file=file, file_name="a.txt", request_id="once") for _ in range(2)]
    assert ids[0] == ids[1]
    with pytest.raises(InvalidArgument) as caught:
        await library.novel(ada, text="", file=file + b"!\0", file_name="a.txt", request_id="once")
    assert caught.value.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("fields", "named", "words"),
    [
        ({"file": b"x", "text": "y"}, "file", "is given beside text; give one of the two"),
        ({"file": b"\x7fELF\2\0\xff", "file_name": "a.txt"}, "file", "is a program; give EPUB"),
        ({"file": b"%PDF-1.7", "file_name": "a.epub"}, "file", "is a PDF, which knows no paragraphs; give EPUB"),
        ({"file": b"PK\3\4" + bytes(60), "file_name": "a.epub"}, "file", "is a broken ZIP archive; download"),
        ({"file": b" \n"}, "file", "is empty; give a novel"),
        ({"file": bytes(20 * 1024 * 1024 + 1)}, "file", "has 20,971,521 bytes; give at most 20,971,520"),
        ({"file": b"a\n" * (4 * 1024 * 1024 + 1)}, "file", "has 8,388,610 bytes of text; give at most 8,388,608"),
        ({"file": b"x", "file_name": "x" * 256}, "file_name", "has 256 characters; give at most 255"),
        ({}, "text", "is empty; give the novel's text, or the novel as a file"),
    ],
    ids=["both", "program", "pdf", "broken", "blank", "size", "text", "name", "neither"],
)
async def test_what_is_no_novel_is_refused(library: LibraryClient, fields: Any, named: str, words: str) -> None:
    error = await refused(library, title="A title", **fields)
    assert list(error.fields) == [named]
    assert error.fields[named].startswith(words)


async def test_a_title_must_come_from_somewhere(library: LibraryClient) -> None:
    assert list((await refused(library, text="Once upon a time.")).fields) == ["title"]


async def test_a_file_that_takes_too_long_or_breaks_its_reader_is_refused(
    open_client: OpenLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_client(intake_seconds=0.01) as library:
        error = await refused(library, file=b"x")
        assert error.fields["file"] == "takes longer than 0.01 s to read; give the plain text"
    killed = ("/bin/sh", "-c", "kill -SEGV $$")
    monkeypatch.setattr(converter, "_COMMAND", killed)
    async with open_client() as library:
        error = await refused(library, file=b"x")
        assert error.fields["file"] == "cannot be read, it breaks what reads it; give the plain text"
