"""What an EPUB says of itself: its package document, and the table of contents, as EPUB 2 and 3 have them.

https://idpf.org/epub/20/spec/OPF_2.0.1_draft.htm and https://www.w3.org/TR/epub-33/.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from services.library.intake.archive import Archive, resolved
from services.library.intake.book import UnreadableError
from services.library.intake.encodings import decode
from services.library.intake.markup import plain_xml

MAX_SPINE = 5_000
MAX_POINTS = 5_000
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}encoding=["']([A-Za-z0-9._-]{1,40})""")
_OPS_TYPE = "{http://www.idpf.org/2007/ops}type"
_SKIPPED_PAGES = frozenset({"cover", "toc", "title-page", "titlepage", "copyright-page", "loi", "lot", "colophon"})
_TEXT_TYPES = frozenset({"application/xhtml+xml", "text/html", "application/xml", "text/x-oeb1-document"})


@dataclass(frozen=True, slots=True)
class Point:
    """A line of the table of contents.

    Attributes:
        title: the line.
        depth: 1 for the outermost.
        file: the file that it leads to.
        fragment: the place within; empty: the beginning.
    """

    title: str
    depth: int
    file: str
    fragment: str


@dataclass(slots=True)
class Package:
    """What a package document says.

    Attributes:
        documents: the files of text in reading order.
        points: the table of contents.
    """

    title: str = ""
    author: str = ""
    language: str = ""
    documents: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Item:
    file: str
    kind: str
    properties: frozenset[str]


def read_package(archive: Archive) -> Package:
    """The package of an EPUB.

    Raises:
        UnreadableError: it has none, a broken one, or is encrypted.
    """
    if _CONTAINER not in archive:
        raise UnreadableError("is a ZIP archive, and no EPUB; give the EPUB, or the text within it")
    name = next((one.get("full-path", "") for one in _all(_tree(archive, _CONTAINER), "rootfile")), "")
    root = _tree(archive, resolved("", name)[0])
    items = {
        item.get("id", ""): _Item(
            resolved(name, item.get("href", ""))[0],
            item.get("media-type", ""),
            frozenset(item.get("properties", "").split()),
        )
        for item in _all(root, "item")
    }
    package = Package(
        title=_first(root, "title"), author=", ".join(_authors(root))[:200], language=_first(root, "language")
    )
    skipped = {item.file for item in items.values() if "nav" in item.properties} | _guided(root, name)
    package.documents = [file for file in _spine(root, items) if file not in skipped]
    _refuse_encrypted(archive, package.documents)
    package.points = _points(archive, root, items)
    return package


def document_text(archive: Archive, name: str) -> str:
    """A document of an EPUB as characters: UTF-8 or UTF-16, or what it declares.

    Raises:
        UnreadableError: it cannot be read.
    """
    data = archive.read(name)
    declared = _DECLARED.match(data[:300])
    return decode(data, declared[1].decode() if declared else "")


def _tree(archive: Archive, name: str) -> etree._Element:
    text = plain_xml(document_text(archive, name))
    if "<!entity" in text[:4096].lower():
        raise UnreadableError(f"declares entities in {name[:200]!r}, which no EPUB needs; export the EPUB anew")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, encoding="utf-8")
    try:
        root = etree.fromstring(text.encode("utf-8", errors="replace"), parser)
    except etree.LxmlError:
        root = None
    if root is None:
        raise UnreadableError(f"is broken at {name[:200]!r}; download or export the EPUB anew")
    return root


def _all(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """Elements by their local name: EPUBs are careless with namespaces."""
    return root.iter(f"{{*}}{name}")


def _text(element: etree._Element) -> str:
    return " ".join("".join(part for part in element.itertext() if isinstance(part, str)).split())


def _first(root: etree._Element, name: str) -> str:
    metadata = next(_all(root, "metadata"), root)
    return next((text for one in _all(metadata, name) if (text := _text(one))), "")[:300]


def _authors(root: etree._Element) -> list[str]:
    """The creators that are authors; of an EPUB 3 that says so in a refinement as well."""
    roles = [
        (one.get("refines", "").removeprefix("#"), _text(one))
        for one in _all(root, "meta")
        if one.get("property") == "role"
    ]
    found = []
    for one in _all(root, "creator"):
        said = one.get("{http://www.idpf.org/2007/opf}role", "")
        known = {said} - {""} or {role for whose, role in roles if whose == one.get("id", "")}
        if (not known or "aut" in known) and (name := _text(one)):
            found.append(name)
    return list(dict.fromkeys(found))


def _spine(root: etree._Element, items: dict[str, _Item]) -> list[str]:
    found = []
    for reference in _all(root, "itemref"):
        item = items.get(reference.get("idref", ""))
        if item is not None and item.file and item.kind in _TEXT_TYPES and reference.get("linear", "yes") != "no":
            found.append(item.file)
    files = list(dict.fromkeys(found))
    if not files:
        raise UnreadableError("names no text in its spine; export the EPUB anew")
    if len(files) > MAX_SPINE:
        raise UnreadableError(f"has {len(files):,} parts; an EPUB has at most {MAX_SPINE:,}")
    return files


def _guided(root: etree._Element, name: str) -> set[str]:
    """The pages that the guide of EPUB 2 calls no part of the text."""
    return {
        resolved(name, one.get("href", ""))[0]
        for one in _all(root, "reference")
        if one.get("type", "").lower() in _SKIPPED_PAGES and not resolved(name, one.get("href", ""))[1]
    }


def _refuse_encrypted(archive: Archive, documents: list[str]) -> None:
    """Fonts may be scrambled; text that is cannot be read."""
    if _ENCRYPTION not in archive:
        return
    scrambled = {resolved("", one.get("URI", ""))[0] for one in _all(_tree(archive, _ENCRYPTION), "CipherReference")}
    if not scrambled.isdisjoint(documents):
        raise UnreadableError("is encrypted (DRM); give a copy without")


def _points(archive: Archive, root: etree._Element, items: dict[str, _Item]) -> list[Point]:
    """The table of contents: the navigation document, else the NCX. A broken one is none: headings do as well."""
    navigation = next((item.file for item in items.values() if "nav" in item.properties), "")
    spine = next(_all(root, "spine"), None)
    ncx = items.get(spine.get("toc", "")) if spine is not None else None
    other = next((item for item in items.values() if item.kind == "application/x-dtbncx+xml"), None)
    for file, points_of in ((navigation, _of_navigation), ((ncx or other or _Item("", "", frozenset())).file, _of_ncx)):
        if file not in archive:
            continue
        try:
            found = list(points_of(_tree(archive, file), file))[:MAX_POINTS]
        except UnreadableError:
            continue
        if found:
            return found
    return []


def _of_navigation(root: etree._Element, file: str) -> Iterator[Point]:
    navs = list(_all(root, "nav"))
    contents = next((nav for nav in navs if "toc" in (nav.get(_OPS_TYPE) or "").split()), None)
    if contents is None:
        return
    for link in _all(contents, "a"):
        depth = sum(1 for above in link.iterancestors() if etree.QName(above).localname == "ol")
        target, fragment = resolved(file, link.get("href", ""))
        if target and (title := _text(link)):
            yield Point(title, max(1, depth), target, fragment)


def _of_ncx(root: etree._Element, file: str) -> Iterator[Point]:
    for point in _all(root, "navPoint"):
        depth = 1 + sum(1 for above in point.iterancestors() if etree.QName(above).localname == "navPoint")
        content = next((child for child in point if etree.QName(child).localname == "content"), None)
        label = next((child for child in point if etree.QName(child).localname == "navLabel"), None)
        if content is None or label is None:
            continue
        target, fragment = resolved(file, content.get("src", ""))
        if target and (title := _text(label)):
            yield Point(title, depth, target, fragment)
