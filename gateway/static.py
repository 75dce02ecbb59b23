"""Files that are answered from memory.

They are read once, sent in the smallest coding that a client takes (RFC 9110, section 12.5.3) and not sent again to one
that has them (section 13.1.2).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from gateway.errors import Header
from gateway.http import Request
from mesh.config import MIB

MAX_FILES = 1_000
MAX_BYTES = 32 * MIB
"""Of all files and their codings together: they stay in memory."""
_CODINGS = {".br": "br", ".gz": "gzip"}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_TAG = re.compile(r'"[^"]*"')
_LONGEST_CHOICE = 256
"""Characters of an Accept-Encoding; no browser sends half as many, and what was said is remembered."""


@dataclass(frozen=True, slots=True)
class Form:
    """A file in one content coding.

    Attributes:
        coding: its name; empty: the file as it is.
        body: the bytes.
        tag: the entity tag, with its quotes.
    """

    coding: str
    body: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class File:
    """A file in all of its forms.

    Attributes:
        label: what logs and metrics call it and its like.
        content_type: of all forms.
        forms: smallest first; the last has no coding.
        headers: what every answer with it bears.
    """

    label: str
    content_type: bytes
    forms: tuple[Form, ...]
    headers: tuple[Header, ...]

    def form_for(self, accept_encoding: str) -> Form:
        """The smallest form that a client takes; one that takes none of them gets the file as it is."""
        weights = _weights(accept_encoding[:_LONGEST_CHOICE])
        others = weights.get("*", 0.0)
        return next((form for form in self.forms[:-1] if weights.get(form.coding, others)), self.forms[-1])


async def answer_file(request: Request, file: File) -> None:
    """Answers GET and HEAD with a file, or with 304 whoever has it already."""
    form = file.form_for(request.header(b"accept-encoding"))
    headers = [*file.headers, (b"etag", form.tag.encode())]
    if len(file.forms) > 1:
        headers.append((b"vary", b"Accept-Encoding"))
    known = request.header(b"if-none-match")
    if known == "*" or form.tag in _TAG.findall(known):
        await request.start(304, headers)
        await request.send({"type": "http.response.body", "body": b""})
        return
    headers += [(b"content-type", file.content_type), (b"content-length", b"%d" % len(form.body))]
    if form.coding:
        headers.append((b"content-encoding", form.coding.encode()))
    await request.start(200, headers)
    await request.send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else form.body})


def content_type(name: str) -> bytes:
    """What a file is by its name; of unknown ones no browser makes anything (nosniff goes with every answer)."""
    return _TYPES.get(Path(name).suffix, "application/octet-stream").encode()


def read_folder(root: Path) -> Mapping[str, tuple[Form, ...]]:
    """Reads a folder whole. Names that begin with a dot are left out, as is what stands in folders of such names.

    Returns:
        The forms of each file, smallest first and that without a coding last, by the path within the folder as URLs
        spell it. ``x.br`` and ``x.gz`` are forms of ``x``.

    Raises:
        OSError: something cannot be read.
        ValueError: it is more than can be kept in memory, or a link leads out of the folder.
    """
    root = root.resolve()
    paths = {quote(path.relative_to(root).as_posix()): path for path in sorted(root.rglob("*")) if path.is_file()}
    paths = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in name.split("/"))}
    if astray := next((path for path in paths.values() if not path.resolve().is_relative_to(root)), None):
        raise ValueError(f"{astray} is a link out of its folder")
    size = sum(path.stat().st_size for path in paths.values())
    if len(paths) > MAX_FILES or size > MAX_BYTES:
        raise ValueError(
            f"{root} has {len(paths):,} files of {size:,} bytes; at most {MAX_FILES:,} of {MAX_BYTES:,} fit"
        )
    forms: dict[str, list[Form]] = {}
    for name, path in paths.items():
        base, coding = name[:-3], _CODINGS.get(path.suffix, "")
        whose = base if coding and base in paths else name
        forms.setdefault(whose, []).append(_form(coding if whose == base else "", path.read_bytes()))
    return {name: tuple(sorted(of, key=lambda form: (not form.coding, len(form.body)))) for name, of in forms.items()}


def _form(coding: str, body: bytes) -> Form:
    tag = base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:18]).decode()
    return Form(coding, body, f'"{tag}"')


@lru_cache(maxsize=64)
def _weights(header: str) -> Mapping[str, float]:
    """How much a client wants each coding; of what does not parse: not at all."""
    weights = {}
    for part in header.lower().split(","):
        name, parameter, text = (text.strip() for text in part.partition(";"))
        weight = _WEIGHT.fullmatch(text)
        weights[name] = float(weight[1]) if weight else 0.0 if parameter else 1.0
    return weights
