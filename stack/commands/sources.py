"""Where novels come from: files, folders and addresses on the web."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from stack.errors import StackError

MAX_BYTES = 20 * 1024 * 1024
SUFFIXES = (".epub", ".html", ".htm", ".xhtml", ".md", ".markdown", ".txt", ".text")
STDIN = "-"
_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(15.0)
_MAX_REDIRECTS = 5
_OF_TYPE = {
    "application/epub+zip": ".epub",
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_NAMED = re.compile(r'filename="?([^";]{1,255})')


@dataclass(frozen=True, slots=True)
class Source:
    """Something to ingest.

    Attributes:
        name: as it is called to people.
        path: a file; None: it is an address, or standard input.
        url: an address; empty: it is none.
    """

    name: str
    path: Path | None = None
    url: str = ""

    def read(self) -> tuple[str, bytes]:
        """The file's name and its bytes.

        Raises:
            StackError: it cannot be read, or is no novel by its size.
        """
        if self.url:
            file_name, data = _download(self.url)
        elif self.path is None:
            file_name, data = "", sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            file_name, data = self.path.name, _file(self.path)
        if len(data) > MAX_BYTES:
            raise StackError(f"{self.name} is larger than {MAX_BYTES // 1024**2} MiB", "split it into volumes")
        if not data.strip():
            raise StackError(f"{self.name} holds no text", "give a novel as EPUB, HTML, Markdown or plain text")
        return file_name, data


def sources_of(arguments: Sequence[str]) -> list[Source]:
    """What the arguments of a command name, each once; of a folder, all files that may be novels, by name.

    Raises:
        FileNotFoundError: there is no such file or folder.
        StackError: a folder holds none.
    """
    return list(dict.fromkeys(source for argument in arguments for source in _sources(argument)))


def _sources(argument: str) -> Iterator[Source]:
    if argument == STDIN:
        yield Source("standard input")
        return
    if argument.startswith(("http://", "https://")):
        yield Source(argument, url=argument)
        return
    path = Path(argument)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(argument)
        yield Source(argument, path)
        return
    inside = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    visible = sorted(file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))
    if not visible:
        raise StackError(f"there is no novel in {argument}", f"its files should end with one of {' '.join(SUFFIXES)}")
    yield from (Source(str(file), file) for file in visible)


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StackError(f"{path} cannot be read ({error.strerror})", "check the file") from None


def _download(url: str) -> tuple[str, bytes]:
    """The file's name and its bytes, one more than `MAX_BYTES` at most, within a minute."""
    until = time.monotonic() + _SECONDS
    chunks: list[bytes] = []
    size = 0
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, follow_redirects=True, max_redirects=_MAX_REDIRECTS) as http,
            http.stream("GET", url) as response,
        ):
            if response.is_error:
                raise StackError(f"{url} answered {response.status_code}", "check the address")
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    break
                if time.monotonic() > until:
                    raise StackError(f"{url} did not come within {_SECONDS:g} s", "download it and give the file")
            return _name(response), b"".join(chunks)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StackError(f"{url} cannot be downloaded ({error})", "check the address") from None


def _name(response: httpx.Response) -> str:
    named = _NAMED.search(response.headers.get("content-disposition", ""))
    name = Path(named[1] if named else unquote(urlsplit(str(response.url)).path)).name
    suffix = _OF_TYPE.get(response.headers.get("content-type", "").partition(";")[0].strip().lower(), "")
    return (name if Path(name).suffix.lower() in SUFFIXES else f"{name}{suffix}")[-255:]
