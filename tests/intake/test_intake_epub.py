"""EPUBs: what is read, what is left out, and that no bytes do more harm than being refused."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.library.intake import UnreadableError
from services.library.intake.archive import resolved
from services.library.intake.reading import read_book
from tests.intake.books import CONTAINER, epub, epub_files, zipped
from tests.search.stories import STORY

Files = dict[str, bytes | str]


def files(version: int = 3, /, **changed: bytes | str | None) -> Files:
    """An EPUB's files, some of them changed or, where None, left out; names by what follows the last slash."""
    made = epub_files(STORY, version, "A Title", "An Author", "en")
    for name, data in changed.items():
        path = next(path for path in made if path.rpartition("/")[2].partition(".")[0] == name)
        if data is None:
            del made[path]
        else:
            made[path] = data
    return made


def text_of(made: Files) -> str:
    return read_book(zipped(made), "a.epub").text


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        read_book(data, "a.epub")
    return str(caught.value)


@pytest.mark.parametrize("version", [2, 3])
def test_chapters_are_headings_and_pages_around_them_are_not(version: int) -> None:
    book = read_book(epub(STORY, version), "a.epub")
    assert (book.title, book.author, book.language) == ("A Title", "An Author", "en")
    headings = [line for line in book.text.split("\n") if line.startswith("#")]
    assert headings == ["# CHAPTER I. The Keeper", "# CHAPTER II. The Storm", "# CHAPTER III. The Ring"]
    assert "All rights reserved" not in book.text


def test_authors_are_those_who_wrote_it() -> None:
    made = files()
    package = made["OEBPS/content.opf"]
    assert isinstance(package, str)
    more = (
        '<dc:creator id="b">Second Author</dc:creator><meta refines="#b" property="role">aut</meta><meta refines="#b"'
        ' property="role">aui</meta><dc:creator id="c">A Translator</dc:creator><meta refines="#c" property="role">trl'
        '</meta><dc:creator xmlns:o="http://www.idpf.org/2007/opf" o:role="ill">A Painter</dc:creator></metadata>'
    )
    made["OEBPS/content.opf"] = package.replace("</metadata>", more)
    assert read_book(zipped(made), "a.epub").author == "An Author, Second Author"


def page(body: str) -> str:
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{body}</body></html>'


def test_a_heading_that_says_more_than_the_contents_counts() -> None:
    made = files(part001=page("<h1>Chapter One</h1><h2>The Keeper of it all</h2><p>Once there was.</p>"))
    listed = made["OEBPS/nav.xhtml"]
    assert isinstance(listed, str)
    made["OEBPS/nav.xhtml"] = listed.replace("CHAPTER I. The Keeper", "1")
    assert "# Chapter One\n\nThe Keeper of it all\n\nOnce there was." in text_of(made)
    made["OEBPS/nav.xhtml"] = listed.replace("CHAPTER I. The Keeper", "Chapter One: The Keeper of It All")
    assert "# Chapter One: The Keeper of It All\n\nOnce there was." in text_of(made)


def test_a_heading_within_a_document() -> None:
    made = files(part001=page('<p>Before.</p><p class="head"><a id="here"/>1</p><p>After.</p>'))
    listed = made["OEBPS/nav.xhtml"]
    assert isinstance(listed, str)
    made["OEBPS/nav.xhtml"] = listed.replace("part001.xhtml", "part001.xhtml#here")
    assert "Before.\n\n# CHAPTER I. The Keeper\n\n1\n\nAfter." in text_of(made)


def test_contents_that_name_parts_alone_leave_the_chapters_to_the_headings() -> None:
    chapters = "".join(f"<h2>Chapter {n}</h2><p>Once there was.</p>" for n in range(1, 12))
    assert "## Chapter 7" in text_of(files(part001=page(chapters)))


@pytest.mark.parametrize(
    "navigation",
    [None, "not xml", page("<p>no list</p>"), page('<nav epub:type="toc"><ol><li><a href="x"/></li></ol></nav>')],
)
def test_without_contents_the_headings_divide(navigation: str | None) -> None:
    assert "## CHAPTER II. The Storm" in text_of(files(nav=navigation))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>It&#8217;s a caf&eacute;&nbsp;&mdash; A&amp;B</p>", "It\u2019s a café \u2014 A&B"),
        ("<p>not <b>well<i> formed</b> here", "not well formed here"),
        ("<p>one<br/>two</p><hr/><p>three</p>", "one\ntwo\n\n* * *\n\nthree"),
        ("<script>bad()</script><style>p</style><p>good</p><svg><text>bad</text></svg>", "good"),
        ('<p>Word<a epub:type="noteref" href="#n1">1</a> goes<sup class="pagenum">12</sup> on</p>', "Word goes on"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>", "漢"),
        ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc"),
        ("<p># no heading</p>", "no heading"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\n\nb"),
    ],
)
def test_markup_becomes_text(body: str, text: str) -> None:
    body = body.replace("<p>Word", '<p xmlns:epub="http://www.idpf.org/2007/ops">Word')
    assert text_of(files(part000=page(body))).startswith(f"{text}\n\n# CHAPTER I.")


def test_fonts_may_be_scrambled_and_text_may_not() -> None:
    def encryption(uri: str) -> str:
        return (
            '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:enc="http://www.w3.org/2001/04/'
            f'xmlenc#"><enc:EncryptedData><enc:CipherData><enc:CipherReference URI="{uri}"/></enc:CipherData>'
            "</enc:EncryptedData></encryption>"
        )

    made = files() | {"META-INF/encryption.xml": encryption("OEBPS/font.otf")}
    assert "CHAPTER I" in text_of(made)
    made["META-INF/encryption.xml"] = encryption("OEBPS/text/part001.xhtml")
    assert refusal(zipped(made)) == "is encrypted (DRM); give a copy without"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"a.txt": "hello"}, "is a ZIP archive, and no EPUB"),
        (files(container="<container/>"), "lacks '', which an EPUB has"),
        (files(container=CONTAINER.replace("OEBPS/content.opf", "../../etc/passwd")), "lacks '', which an EPUB has"),
        (files(container=CONTAINER.replace("OEBPS/content.opf", "/etc/passwd")), "lacks '', which an EPUB has"),
        (files(content="<package"), "names no text in its spine"),
        (files(content=""), "is broken at 'OEBPS/content.opf'"),
        (files(content=b"\x00\x01\x02"), "is not text (it holds NUL bytes)"),
        (files(container='<!DOCTYPE a [<!ENTITY x "y">]><container>&x;</container>'), "declares entities"),
        (files(part001="a" * (17 * 1024 * 1024)), "unpacks to more than a book needs"),
    ],
    ids=["zip", "empty", "up", "root", "cut", "blank", "binary", "entities", "bomb"],
)
def test_broken_ones_are_refused_in_words(made: Files, words: str) -> None:
    assert words in refusal(zipped(made))


def test_entities_of_a_text_are_not_expanded() -> None:
    bomb = '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    outside = '<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    for head in (f"{bomb}]>", outside):
        made = files(part001=f"{head}{page('<p>Quiet &j; &a; text.</p>')}")
        assert len(text_of(made)) < len(STORY) + 200
        assert "root:" not in text_of(made)


def test_a_bomb_that_lies_about_its_size_is_cut_short() -> None:
    data = zipped(files(part001=page("x" * (20 * 1024 * 1024))))
    for size in (struct.pack("<I", 20 * 1024 * 1024 + 113), struct.pack("<I", 20 * 1024 * 1024 + 112)):
        data = data.replace(size, struct.pack("<I", 500))
    assert "is broken at" in refusal(data) or "unpacks to more" in refusal(data)


def test_too_many_files_are_refused() -> None:
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for number in range(10_001):
            archive.writestr(str(number), b"")
    assert refusal(made.getvalue()) == "has 10,001 files inside; an EPUB has at most 10,000"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<div>" * 1000, "nests elements deeper than 200"),
        ("<b>a</b>" * 500_001, "has more than 500,000 elements"),
        ("lorem ipsum dolor " * 500_000, "has more than 8,388,608 characters of text"),
    ],
    ids=["deep", "many", "long"],
)
def test_markup_without_measure_is_refused(body: str, words: str) -> None:
    assert words in refusal(f"<html><body>{body}</body></html>".encode())


def test_other_ways_to_pack_are_refused() -> None:
    made = BytesIO()
    with ZipFile(made, "w", ZIP_BZIP2) as archive:
        for name, data in files().items():
            archive.writestr(name, data)
    assert "packed in a way that EPUB does not know" in refusal(made.getvalue())


@pytest.mark.parametrize(
    ("base", "href", "name"),
    [
        ("OEBPS/content.opf", "text/a%20b.xhtml#x", ("OEBPS/text/a b.xhtml", "x")),
        ("OEBPS/text/a.xhtml", "../b.xhtml", ("OEBPS/b.xhtml", "")),
        ("a.opf", "#top", ("a.opf", "top")),
        ("a.opf", "../b", ("", "")),
        ("a/b.opf", "/etc/passwd", ("", "")),
        ("a.opf", "https://example.org/x", ("", "")),
        ("a.opf", "file:///etc/passwd", ("", "")),
        ("a.opf", "http://[", ("", "")),
        ("a/b.opf", "..%2f..%2f..%2fetc", ("", "")),
    ],
)
def test_links_lead_nowhere_else(base: str, href: str, name: tuple[str, str]) -> None:
    assert resolved(base, href) == name


WHOLE = epub(STORY, 3)
PIECES = (
    *("<p>", "</p>", "<h1>", "</h1>", "<a href='x'>", "</a>", "<br/>", "&", "&lt;", "&#0;", "&#xd800;", "<!--", "-->"),
    *(
        "<![CDATA[",
        "]]>",
        "<?x",
        "?>",
        "<!DOCTYPE a [",
        "]>",
        "<script>",
        "<title/>",
        "\ufeff",
        "\0",
        "é",
        "text ",
        "\n",
    ),
)
XML = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def read(data: bytes) -> None:
    with suppress(UnreadableError):
        book = read_book(data, "a.epub")
        assert book.text.strip()
        assert "\0" not in book.text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=40), st.integers(0, 400))
def test_a_damaged_epub_is_read_or_refused(at: int, put: bytes, left_out: int) -> None:
    read(WHOLE[:at] + put + WHOLE[at + left_out :])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["container", "content", "nav", "part000", "part001", "cover"]), XML, max_size=4)
)
def test_whatever_is_inside_is_read_or_refused(changed: dict[str, str]) -> None:
    read(zipped(files(**changed)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_mark_of_an_archive(data: bytes) -> None:
    read(b"PK\3\4" + data)
    read(zlib.compress(data))


def test_compressed_prose_is_no_bomb() -> None:
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files(
            part001=page("".join(f"<p>{n}: again and again.</p>\n" for n in range(40_000)))
        ).items():
            archive.writestr(name, data)
    assert read_book(made.getvalue(), "a.epub").text.count("again and again") == 40_000
