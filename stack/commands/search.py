"""``gaji search``: passages of a novel, for a query or for a whole file of them."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from stack.answers import ApiError, Json
from stack.api import Gateway
from stack.commands.choice import choose
from stack.commands.sources import Source
from stack.commands.text import one_line
from stack.errors import StackError
from stack.sessions import GuestSession
from stack.shelf import ingest_file

PASSAGES = 10
PATIENCE_SECONDS = 120.0
"""How long one search of a file waits for its turn under the gateway's rate limit."""

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


def search(url: str, query: str, wanted: str | None, until_chapter: int | None) -> None:
    """Shows the passages of a novel that fit a query.

    Raises:
        StackError: there is no such novel, or the search is refused.
    """
    with Gateway(url, GuestSession(url)) as gateway:
        novel = choose("novel", list(gateway.all("/api/novels", "novels")), wanted, key="novel_id", label="title")
        limit = {} if until_chapter is None else {"until_chapter": until_chapter}
        for passage in _searched(gateway, {"novel_id": novel["novel_id"], "query": query, **limit}):
            where = one_line(str(passage.get("chapter_title", ""))) or f"chapter {passage.get('chapter', 0)}"
            _out.print(Text(f"\n{where}, passage {passage.get('position', 0)}, score {passage['score']:.2f}", "bold"))
            _out.print(Text(str(passage["content"])), soft_wrap=True)


def run(url: str, queries: IO[str], out: Path | None, novels: Path | None) -> None:
    """Searches for each query of a file; a line ``{"id", "passages"}`` for each, best passage first.

    Args:
        url: of the gateway.
        queries: a line of JSON for each query: id, query, and novel, a file's name without its ending.
        out: where the lines go; None: standard output.
        novels: where files of novels are that are not on the shelf yet; None: all must be there.

    Raises:
        StackError: the file is none of queries, a novel is missing, or a search is refused.
    """
    asked = list(_read(queries))
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(url, GuestSession(url)))
        ids = _shelved(gateway, {str(one["novel"]) for one in asked}, novels)
        target = None if out is None else stack.enter_context(out.open("w", encoding="utf-8"))
        for one in asked:
            found = _searched(gateway, {"novel_id": ids[one["novel"]], "query": one["query"]})
            line = {"id": one["id"], "passages": [passage["content"] for passage in found]}
            print(json.dumps(line, ensure_ascii=False), file=target, flush=True)
    _err.print(Text(f"{len(asked)} queries searched"))


def _read(queries: IO[str]) -> Iterator[Json]:
    for number, line in enumerate(queries, 1):
        if not line.strip():
            continue
        try:
            query = dict(json.loads(line))
        except (ValueError, TypeError):
            raise StackError(f"line {number} is not a JSON object", 'write {"id", "novel", "query"}') from None
        for name in ("id", "novel", "query"):
            if not isinstance(query.get(name), str) or not query[name].strip():
                raise StackError(f"line {number} has no {name}", 'write {"id", "novel", "query"}, each a text')
        yield query


def _shelved(gateway: Gateway, names: set[str], folder: Path | None) -> Mapping[str, str]:
    """The ids of novels by the names of their files; those that are not on the shelf are put there."""
    shelf = list(gateway.all("/api/novels", "novels"))
    ids = {}
    for name in sorted(names):
        title = name.replace("-", " ").replace("_", " ").title()
        fits = [novel for novel in shelf if title.casefold() in str(novel["title"]).casefold()]
        exact = [novel for novel in fits if str(novel["title"]).casefold() == title.casefold()]
        if fits:
            ids[name] = str((exact or fits)[0]["novel_id"])  # the newest comes first
            continue
        path = None if folder is None else folder / f"{name}.txt"
        if path is None or not path.is_file():
            raise StackError(f"{title} is not on the shelf", "`gaji ingest` it, or say where files are with --novels")
        _err.print(Text(f"{path} goes on the shelf"))
        file_name, data = Source(str(path), path).read()
        novel = ingest_file(gateway, {"title": title, "file_name": file_name}, data, lambda *_: None)
        ids[name] = str(novel["novel_id"])
    return ids


def _searched(gateway: Gateway, request: Json) -> list[Json]:
    """The passages; waits for its turn where many searches have used up the rate limit."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return list(gateway.post("/api/search/passages", {"top_k": PASSAGES, **request}).get("passages", []))
        except ApiError as error:
            if error.status != 429 or time.monotonic() > until:
                raise
            time.sleep(1)
