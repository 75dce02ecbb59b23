"""Reads HTML and XHTML as a stream of events, without ever building a tree: memory does not grow with the markup.

XHTML that is well-formed goes through the XML parser, since ``<title/>`` and the like mean something else in HTML;
whatever is not goes through libxml2's HTML parser, which takes anything. Neither fetches, expands or includes anything.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from services.library.intake.blocks import SCENE_BREAK, Block
from services.library.intake.book import MAX_TEXT_BYTES, UnreadableError

MAX_ELEMENTS = 500_000
MAX_DEPTH = 200
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figure
    footer form header hgroup html legend li main menu nav ol optgroup option p pre section summary table
    tbody td tfoot th thead tr ul
    """.split()  # noqa: SIM905 - a list of so many would be a page
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SKIPPED = frozenset(
    """
    script style svg math template noscript iframe object embed audio video canvas map select textarea button
    rt rp nav figcaption
    """.split()  # noqa: SIM905 - a list of so many would be a page
)
_SKIPPED_CLASSES = frozenset({"pagenum", "pageno", "page-number", "pg-boilerplate", "pgheader", "pgfooter"})
_SKIPPED_IDS = frozenset({"pg-header", "pg-footer", "pg-machine-header", "pg-start-separator", "pg-end-separator"})
_SKIPPED_TYPES = frozenset(
    """
    noteref pagebreak toc landmarks loi lot page-list cover titlepage halftitlepage copyright-page imprint
    colophon
    """.split()  # noqa: SIM905 - a list of so many would be a page
)
_XML = "{http://www.w3.org/XML/1998/namespace}"
_TITLES = {"dc.title", "dcterms.title", "og:title"}
_AUTHORS = {"author", "dc.creator", "dcterms.creator"}
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_OWN = frozenset({"amp", "lt", "gt", "quot", "apos"})
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*>", re.IGNORECASE)
_CHUNK = 64 * 1024
_LINKED = 0.9
"""Of a block's letters, those within links that make it nothing but links."""


@dataclass(slots=True)
class Document:
    """What a document holds."""

    blocks: list[Block] = field(default_factory=list)
    title: str = ""
    author: str = ""
    language: str = ""


def read_document(text: str) -> Document:
    """The paragraphs and headings of an HTML or XHTML document.

    Raises:
        UnreadableError: it has too many elements, or nests them too deep.
    """
    return _well_formed(text) or _any_html(text)


def xml_parser(target: Any) -> etree.XMLParser:
    """A parser that expands, loads and fetches nothing."""
    return etree.XMLParser(
        target=target, encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def plain_xml(text: str) -> str:
    """XML without its declaration and document type, and with the entities of HTML as characters."""
    text = _DOCTYPE.sub("", _DECLARATION.sub("", text.lstrip("\ufeff")), count=1)

    def character(match: "re.Match[str]") -> str:
        return match[0] if match[1] in _XML_OWN else html.unescape(match[0])

    return _ENTITY.sub(character, text)


def _well_formed(text: str) -> Document | None:
    head = text[:2048].lower()
    if "http://www.w3.org/1999/xhtml" not in head or "<!entity" in head:
        return None
    target = _Target()
    try:
        _feed(xml_parser(target), plain_xml(text))
    except etree.LxmlError:
        return None
    return target.document


def _any_html(text: str) -> Document:
    target = _Target()
    taken: Any = target  # the stubs ask for a method that lxml does without
    # Depth is bounded by the target; libxml2's own bound would end the text without a word.
    parser = etree.HTMLParser(target=taken, encoding="utf-8", huge_tree=True, no_network=True)
    try:
        _feed(parser, _DECLARATION.sub("", text))
    except etree.LxmlError as error:
        raise UnreadableError(f"is no HTML that can be read ({str(error)[:100]}); save it anew") from None
    return target.document


def _feed(parser: etree.XMLParser | etree.HTMLParser, text: str) -> None:
    data = text.encode("utf-8", errors="replace")
    for start in range(0, len(data), _CHUNK):
        parser.feed(data[start : start + _CHUNK])
    parser.close()


class _Target:
    """Takes a parser's events (https://lxml.de/parsing.html#the-target-parser-interface)."""

    def __init__(self) -> None:
        self.document = Document()
        self._elements = 0
        self._depth = 0
        self._skip = 0  # how deep within something that is skipped
        self._pre = 0
        self._links = 0
        self._level = 0
        self._in_title = False
        self._named = ""  # the title that a meta element gives
        self._size = 0
        self._pieces: list[str] = []
        self._linked = 0  # letters within links
        self._anchors: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        name = _local(tag)
        self._elements += 1
        self._depth += 1
        if self._elements > MAX_ELEMENTS:
            raise UnreadableError(f"has more than {MAX_ELEMENTS:,} elements; give the plain text")
        if self._depth > MAX_DEPTH:
            raise UnreadableError(f"nests elements deeper than {MAX_DEPTH}; give the plain text")
        if self._skip or name in _SKIPPED or _is_skipped(attributes):
            self._skip += 1
            return
        if name in _BLOCKS or name in _HEADINGS:
            self._end_block()
            self._level = _HEADINGS.get(name, 0)
        self._note_anchors(attributes)
        self._begin(name, attributes)

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "br":
                self._pieces.append("\n")
            case "hr":
                self._end_block()
                self.document.blocks.append(Block(SCENE_BREAK))
            case "pre":
                self._pre += 1
            case "a" if _is_internal(attributes.get("href", "")):
                self._links += 1
            case "img" if self._level:
                self._pieces.append(attributes.get("alt", ""))  # a heading that is a picture
            case "title":
                self._in_title = True
            case "meta":
                self._meta(attributes)
            case "html":
                language = attributes.get("lang") or attributes.get(f"{_XML}lang", "")
                self.document.language = language.strip()

    def end(self, tag: str) -> None:
        """An element ends."""
        name = _local(tag)
        self._depth -= 1
        if self._skip:
            self._skip -= 1
            return
        if name in _BLOCKS or name in _HEADINGS:
            self._end_block()
        if name == "pre":
            self._pre = max(0, self._pre - 1)
        elif name == "a":
            self._links = max(0, self._links - 1)
        elif name == "title":
            self._in_title = False

    def data(self, text: str) -> None:
        """Some text."""
        if self._skip:
            return
        if self._in_title:
            self.document.title += text
            return
        self._size += len(text)
        if self._size > MAX_TEXT_BYTES:
            raise UnreadableError(f"has more than {MAX_TEXT_BYTES:,} characters of text; split it into volumes")
        if not self._pre:
            text = text.replace("\n", " ")
        self._pieces.append(text)
        if self._links:
            self._linked += len(text.strip())

    def close(self) -> None:
        """The document ends."""
        self._end_block()
        self.document.title = self._named or " ".join(self.document.title.split())

    def _end_block(self) -> None:
        text = _tidy("".join(self._pieces))
        letters = len(text.replace("\n", ""))
        if text:
            linked = self._linked > letters * _LINKED
            self.document.blocks.append(Block(text, self._level, tuple(self._anchors), linked))
            self._anchors.clear()
        self._pieces.clear()
        self._linked = 0
        self._level = 0

    def _note_anchors(self, attributes: Mapping[str, str]) -> None:
        for name in ("id", "name", f"{_XML}id"):
            if anchor := attributes.get(name):
                self._anchors.append(anchor)

    def _meta(self, attributes: Mapping[str, str]) -> None:
        name, content = attributes.get("name", "").lower(), " ".join(attributes.get("content", "").split())
        if name in _TITLES and content:
            self._named = content
        elif name in _AUTHORS and content and not self.document.author:
            self.document.author = content


def _tidy(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in text.replace("\u00ad", "").split("\n"))
    return "\n".join(line for line in lines if line)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _is_internal(href: str) -> bool:
    return bool(href) and "://" not in href and not href.startswith(("mailto:", "javascript:"))


def _is_skipped(attributes: Mapping[str, str]) -> bool:
    if not attributes:
        return False
    kind = attributes.get("{http://www.idpf.org/2007/ops}type") or attributes.get("epub:type", "")
    role = attributes.get("role", "").removeprefix("doc-")
    classes = attributes.get("class", "")
    return bool(
        (kind and not _SKIPPED_TYPES.isdisjoint(kind.split()))
        or role in _SKIPPED_TYPES
        or attributes.get("id") in _SKIPPED_IDS
        or (classes and not _SKIPPED_CLASSES.isdisjoint(classes.lower().split()))
        or "hidden" in attributes
    )
