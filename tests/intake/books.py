"""Makes books of other formats out of a plain text, as exporters make them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from services.search.domain.headings import CHAPTER, NUMBERED, candidates

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_XHTML = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><head><title/></head><body>{}</body></html>'
# What stands before and behind the text and is none of it.
_COVER = '<div><img src="cover.jpg" alt="Cover"/></div>'
_COPYRIGHT = "<p>Copyright 1999. All rights reserved.</p><p>No part of this may be copied.</p>"


def paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """The text's paragraphs in order, and whether each is the heading of a chapter."""
    lines = text.split("\n")
    found = candidates(lines)
    headings = {one.first for one in found if one.kind == CHAPTER or (one.kind == NUMBERED and one.title.isupper())}
    block: list[str] = []
    for at, line in enumerate([*lines, ""]):
        if at in headings:
            yield True, line.strip()
        elif line.strip():
            block.append(line)
        elif block:
            yield False, "\n".join(block)
            block = []


def chapters(text: str) -> list[list[tuple[bool, str]]]:
    """The paragraphs by chapter; what stands before the first comes first."""
    found: list[list[tuple[bool, str]]] = [[]]
    for heading, paragraph in paragraphs(text):
        if heading:
            found.append([])
        found[-1].append((heading, paragraph))
    return found


def html(text: str, charset: str = "utf-8") -> bytes:
    """A page of the whole text."""
    title = text.strip().split("\n")[0]
    head = f'<meta charset="{charset}"><title>{escape(title)}</title><style>p {{color: red}}</style>'
    links = "".join(
        f'<li><a href="#c{at}">{escape(paragraph)}</a></li>'
        for at, (heading, paragraph) in enumerate(paragraphs(text))
        if heading
    )
    contents = f"<h3>Contents</h3><ul>{links}</ul>" if links else ""
    body = "".join(
        f'<h2 id="c{at}">{escape(paragraph)}</h2>\n' if heading else f"<p>{escape(paragraph)}</p>\n"
        for at, (heading, paragraph) in enumerate(paragraphs(text))
    )
    page = f'<!DOCTYPE html>\n<html lang="xx"><head>{head}</head>\n<body>{contents}{body}<script>x()</script>'
    return f"{page}</body></html>".encode(charset, errors="xmlcharrefreplace")


def markdown(text: str) -> bytes:
    """The text with its headings marked, and what Markdown would take for its own escaped."""
    parts = [
        f"## {paragraph}" if heading else _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", _flush(paragraph)))
        for heading, paragraph in paragraphs(text)
    ]
    return "\n\n".join(parts).encode()


_MARKDOWN = re.compile(r"[\\`*_\[\]<>#&]|^[-+=~]", re.MULTILINE)
_NUMBERED = re.compile(r"^(\d+)([.)])", re.MULTILINE)


def _flush(paragraph: str) -> str:
    return "\n".join(line.strip() for line in paragraph.split("\n"))


def zipped(files: Mapping[str, bytes | str]) -> bytes:
    """A ZIP archive as EPUB wants it: its type first, not packed."""
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", ZIP_STORED)
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def epub_files(text: str, version: int, title: str, author: str, language: str) -> dict[str, bytes | str]:
    """The files of an EPUB with a cover, a copyright page, a table of contents, and a document for each chapter."""
    documents = {"cover.xhtml": _COVER, "copyright.xhtml": _COPYRIGHT}
    points: list[tuple[str, str]] = []
    for number, chapter in enumerate(chapters(text)):
        if not chapter:
            continue
        name = f"text/part{number:03d}.xhtml"
        documents[name] = "".join(
            f"<h2>{escape(paragraph)}</h2>" if heading else f"<p>{escape(paragraph)}</p>"
            for heading, paragraph in chapter
        )
        if chapter[0][0]:
            points.append((name, chapter[0][1]))
    files: dict[str, bytes | str] = {"META-INF/container.xml": CONTAINER}
    files |= {f"OEBPS/{name}": _XHTML.format(body) for name, body in documents.items()}
    items = [(f"d{at}", name, "application/xhtml+xml", "") for at, name in enumerate(documents)]
    items.append(("picture", "cover.jpg", "image/jpeg", ""))
    if version == 3:
        items.append(("nav", "nav.xhtml", "application/xhtml+xml", ' properties="nav"'))
        listed = "".join(f'<li><a href="{name}">{escape(title)}</a></li>' for name, title in points)
        files["OEBPS/nav.xhtml"] = _XHTML.format(f'<nav epub:type="toc"><ol>{listed}</ol></nav>')
    else:
        items.append(("ncx", "toc.ncx", "application/x-dtbncx+xml", ""))
        listed = "".join(
            f'<navPoint id="n{at}" playOrder="{at}"><navLabel><text>{escape(title)}</text></navLabel>'
            f'<content src="{name}#top"/></navPoint>'
            for at, (name, title) in enumerate(points)
        )
        files["OEBPS/toc.ncx"] = (
            '<?xml version="1.0"?>\n<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">'
            f'\n<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{listed}</navMap></ncx>'
        )
    said = f"<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator>"
    files["OEBPS/content.opf"] = _package(items, version, f"{said}<dc:language>{language}</dc:language>")
    return files


def epub(text: str, version: int, title: str = "A Title", author: str = "An Author", language: str = "en") -> bytes:
    """An EPUB 2 or 3 of a text."""
    return zipped(epub_files(text, version, title, author, language))


def _package(items: Sequence[tuple[str, str, str, str]], version: int, said: str) -> str:
    manifest = "".join(f'<item id="{i}" href="{href}" media-type="{kind}"{more}/>' for i, href, kind, more in items)
    order = "".join(f'<itemref idref="{item[0]}"/>' for item in items if item[0].startswith("d"))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<package xmlns="http://www.idpf.org/2007/opf" version="{version}.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{said}</metadata><manifest>{manifest}</manifest>'
        f'<spine toc="ncx">{order}</spine></package>'
    )
